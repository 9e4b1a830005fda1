"""TensorFlow Serving's REST API: predict in row and column form, status and metadata of the one version that is served.

A sequence of maps (skl2onnx's ZipMap) is answered as a list of objects, one per row, its keys as strings.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from celadon.serving.answering import Answer, Route, Routes, answer_json, dump, error, parse_object
from celadon.serving.identity import Phase, Served
from celadon.serving.model import Feeds, Maps, MapsSpec, OutputSpec
from celadon.serving.refusal import RequestRefusedError, shown
from celadon.serving.tensors import Array, TensorSpec, check_symbols, decode, finite_or_named, jsonable

PROTOCOL: Final = "tfs"
PREFIX: Final = "/v1/"
SIGNATURE: Final = "serving_default"
PATH: Final = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
    r"(?P<rest>/metadata|:predict|:classify|:regress|)",
    re.IGNORECASE,
)
STATES: Final = {Phase.WARMING: "LOADING", Phase.READY: "AVAILABLE", Phase.DRAINING: "UNLOADING"}


def routes(served: Served) -> Routes:
    table: dict[tuple[str, str], Route] = {}
    for base in (f"/v1/models/{served.name}", f"/v1/models/{served.name}/versions/{served.version}"):
        table["GET", base] = _route(lambda _: _status(served))
        table["GET", f"{base}/metadata"] = _route(lambda _: _metadata(served))
        table["POST", f"{base}:predict"] = _route(partial(predict, served), infers=True)
        for verb in ("classify", "regress"):
            table["POST", f"{base}:{verb}"] = _route(partial(_unimplemented, verb))
    return table


def _route(answer: Callable[[bytes], Answer], *, infers: bool = False) -> Route:
    return Route(protocol=PROTOCOL, answer=answer, infers=infers)


def _unimplemented(verb: str, _: bytes) -> Answer:
    raise RequestRefusedError(
        501, f"{verb} is not implemented: an ONNX model has no such signature, use predict"
    )


def canonical(path: str) -> str:
    """The path as the routes have it: the original matches paths in any case, but names exactly."""
    match = PATH.fullmatch(path)
    if match is None:
        return path
    version = f"/versions/{match['version']}" if match["version"] else ""
    label = f"/labels/{match['label']}" if match["label"] else ""
    return f"/v1/models/{match['name']}{version}{label}{match['rest'].lower()}"


def unknown(served: Served, method: str, path: str) -> Answer:
    """The original's answer to what no route has: 404 for another model or version, 400 for everything else."""
    match = PATH.fullmatch(path)
    if match is None or method != ("POST" if match["rest"].startswith(":") else "GET"):
        return error(400, f"Malformed request: {method} {path}")
    if match["name"] != served.name:
        return error(404, f"Servable not found for request: Latest({match['name']})")
    if match["label"]:
        return error(400, f"Unrecognized servable version label: {match['label']}")
    return error(404, f"Servable not found for request: Specific({match['name']}, {match['version']})")


def _status(served: Served) -> Answer:
    status = {"error_code": "OK", "error_message": ""}
    state = STATES[served.life.phase]
    return answer_json(
        {"model_version_status": [{"version": served.version, "state": state, "status": status}]}
    )


def _metadata(served: Served) -> Answer:
    signature = {
        "inputs": {spec.name: _tensor_info(spec) for spec in served.model.inputs},
        "outputs": {spec.name: _tensor_info(spec) for spec in served.model.outputs},
        "method_name": "tensorflow/serving/predict",
    }
    spec = {"name": served.name, "signature_name": "", "version": served.version}
    return answer_json(
        {"model_spec": spec, "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}}}
    )


def _tensor_info(spec: OutputSpec) -> Any:
    match spec:
        case TensorSpec():
            dims = [{"size": str(-1 if size is None else size), "name": ""} for size in spec.sizes()]
            shape = {"dim": dims, "unknown_rank": spec.any_rank}
            return {"dtype": spec.element.tensorflow, "tensor_shape": shape, "name": spec.name}
        case MapsSpec():
            # The original has no type for maps; DT_VARIANT is its word for what is not a plain tensor.
            shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
            return {"dtype": "DT_VARIANT", "tensor_shape": shape, "name": spec.name}


def predict(served: Served, body: bytes) -> Answer:
    request = parse_object(body)
    signature = request.get("signature_name", SIGNATURE)
    if signature not in (SIGNATURE, ""):
        raise RequestRefusedError(
            400, f"Serving signature name: {shown(signature)} not found, the only one is {SIGNATURE!r}"
        )
    if ("instances" in request) == ("inputs" in request):
        raise RequestRefusedError(
            400, "the request must have either 'instances' (row form) or 'inputs' (column form)"
        )
    if "instances" in request:
        return _predict_rows(served, request["instances"])
    return _predict_columns(served, request["inputs"])


def _predict_columns(served: Served, inputs: Any) -> Answer:
    specs = served.model.inputs
    named = isinstance(inputs, dict) and not (len(specs) == 1 and _is_b64(inputs, specs[0]))
    if not named and len(specs) != 1:
        raise RequestRefusedError(
            400, f"the model has {len(specs)} inputs, so 'inputs' must be an object: {_names(specs)}"
        )
    values = inputs if named else {specs[0].name: inputs}
    outputs = _run(served, _feeds(specs, values, "inputs"))
    plain = [_columns(output) for output in outputs]
    names = [spec.name for spec in served.model.outputs]
    answer = plain[0] if len(plain) == 1 else dict(zip(names, plain, strict=True))
    return Answer(body=dump({"outputs": answer}), outputs=_said(served, outputs))


def _predict_rows(served: Served, instances: Any) -> Answer:
    if not isinstance(instances, list) or not instances:
        raise RequestRefusedError(
            400, f"'instances' must be a list with at least one row, found {shown(instances)}"
        )
    outputs = _run(
        served, _feeds(served.model.inputs, _by_input(served.model.inputs, instances), "instances")
    )
    rows = [
        _rows(output, len(instances), spec)
        for output, spec in zip(outputs, served.model.outputs, strict=True)
    ]
    said = _said(served, outputs)
    if len(rows) == 1:
        return Answer(body=dump({"predictions": rows[0]}), outputs=said)
    names = [spec.name for spec in served.model.outputs]
    predictions = [dict(zip(names, row, strict=True)) for row in zip(*rows, strict=True)]
    return Answer(body=dump({"predictions": predictions}), outputs=said)


def _said(served: Served, outputs: list[Array | Maps]) -> tuple[tuple[OutputSpec, Array | Maps], ...]:
    return tuple(zip(served.model.outputs, outputs, strict=True))


def _by_input(specs: tuple[TensorSpec, ...], instances: list[Any]) -> dict[str, Any]:
    """Rows turned into one list per input. A row is an object by input name, or the bare value of the only input."""
    if len(specs) == 1 and (not isinstance(instances[0], dict) or _is_b64(instances[0], specs[0])):
        return {specs[0].name: instances}
    first = instances[0].keys() if isinstance(instances[0], dict) else None
    for position, row in enumerate(instances):
        if not isinstance(row, dict) or row.keys() != first:
            raise RequestRefusedError(
                400,
                f"instances[{position}] must be an object with the same keys as all rows: {_names(specs)}",
            )
    return {name: [row[name] for row in instances] for name in instances[0]}


def _feeds(specs: tuple[TensorSpec, ...], values: dict[str, Any], where: str) -> Feeds:
    names = {spec.name for spec in specs}
    if values.keys() != names:
        missing, strange = sorted(names - values.keys()), sorted(values.keys() - names)
        found = "; ".join(
            f"{what} {', '.join(shown(name) for name in group)}"
            for what, group in (("missing", missing), ("unknown", strange))
            if group
        )
        raise RequestRefusedError(
            400, f"'{where}' does not name the model's inputs ({_names(specs)}): {found}"
        )
    feeds = {
        spec.name: decode(
            values[spec.name], spec, partial(_text, spec) if spec.element.onnx == "string" else None
        )
        for spec in specs
    }
    check_symbols(specs, feeds)
    return feeds


def _names(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(repr(spec.name) for spec in specs)


def _is_b64(value: Any, spec: TensorSpec) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"} and spec.name != "b64"


def _text(spec: TensorSpec, value: dict[str, Any]) -> Any:
    """A string out of its ``{"b64": ...}`` wrapping. An ONNX string is text, so the bytes must be UTF-8."""
    if not _is_b64(value, spec):
        return value
    try:
        return base64.b64decode(value["b64"], validate=True).decode()
    except (binascii.Error, TypeError, ValueError):
        raise RequestRefusedError(
            400, f"input {spec.name!r}: {shown(value)} is not base64 of UTF-8 text"
        ) from None


def _run(served: Served, feeds: Feeds) -> list[Array | Maps]:
    return served.model.run(feeds, [spec.name for spec in served.model.outputs])


def _columns(output: Array | Maps) -> Any:
    if isinstance(output, list):
        return [{str(key): finite_or_named(score) for key, score in row.items()} for row in output]
    return jsonable(output)


def _rows(output: Array | Maps, count: int, spec: OutputSpec) -> Any:
    length = len(output) if isinstance(output, list) or output.ndim else None
    if length != count:
        found = "a single value" if length is None else f"{length} rows"
        raise RequestRefusedError(
            400,
            f"output {spec.name!r} has {found} for {count} instances: this model answers in column form only ('inputs')",
        )
    return _columns(output)
