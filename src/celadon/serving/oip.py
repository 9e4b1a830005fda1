"""The Open Inference Protocol v2 over REST, tensors as JSON.

Not offered, and refused with a sentence that says so: binary tensors, shared memory, the classification extension. A sequence of
maps (skl2onnx's ZipMap), for which the protocol has no type, is flattened to a tensor with one column per key; the keys are in the
output's parameter ``map_keys``, as a JSON list in a string.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from typing import Any, Final

from celadon.serving.answering import Answer, Route, Routes, answer_json, dump, error, parse_object
from celadon.serving.identity import Phase, Served
from celadon.serving.model import Feeds, Maps, MapsSpec, OutputSpec, flattened
from celadon.serving.refusal import RequestRefusedError, shown
from celadon.serving.tensors import Array, TensorSpec, check_symbols, decode_shaped, jsonable

VERSION: Final = metadata.version("celadon")
"""Read once: whoever asks for it anew makes the library keep what it saw of every folder that changed since."""

PROTOCOL: Final = "oip"
PREFIX: Final = "/v2"
NO_BINARY: Final = (
    "binary tensors are not offered here: send and ask for JSON (tritonclient: binary_data=False)"
)
REFUSED_HEADERS: Final = {b"inference-header-content-length": NO_BINARY}
REFUSED_PARAMETERS: Final = {
    "binary_data": NO_BINARY,
    "binary_data_output": NO_BINARY,
    "binary_data_size": NO_BINARY,
    "shared_memory_region": "shared memory is not offered here: send the data itself",
    "classification": "the classification extension is not offered here: take the scores",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    id: str | None
    feeds: Feeds
    outputs: tuple[OutputSpec, ...]


def routes(served: Served) -> Routes:
    table: dict[tuple[str, str], Route] = {
        ("GET", "/v2"): _route(lambda _: _server()),
        ("GET", "/v2/health/live"): _route(lambda _: answer_json({"live": True})),
        ("GET", "/v2/health/ready"): _route(lambda _: ready(served)),
    }
    for base in (f"/v2/models/{served.name}", f"/v2/models/{served.name}/versions/{served.version}"):
        table["GET", base] = _route(lambda _: _model(served))
        table["GET", f"{base}/ready"] = _route(lambda _: ready(served))
        table["POST", f"{base}/infer"] = Route(
            protocol=PROTOCOL, answer=partial(infer, served), infers=True, refuse_headers=REFUSED_HEADERS
        )
    return table


def _route(answer: Callable[[bytes], Answer]) -> Route:
    return Route(protocol=PROTOCOL, answer=answer)


def ready(served: Served) -> Answer:
    """Clients judge by the status; the field is what the protocol's schema has."""
    is_ready = served.life.phase is Phase.READY
    return answer_json({"name": served.name, "ready": is_ready}, 200 if is_ready else 503)


def _server() -> Answer:
    return answer_json({"name": "celadon", "version": VERSION, "extensions": []})


def _model(served: Served) -> Answer:
    return answer_json(
        {
            "name": served.name,
            "versions": [served.version],
            "platform": "onnxruntime_onnx",
            "inputs": [_tensor_metadata(spec) for spec in served.model.inputs],
            "outputs": [_tensor_metadata(spec) for spec in served.model.outputs],
        }
    )


def _tensor_metadata(spec: OutputSpec) -> Any:
    match spec:
        case TensorSpec():
            shape = [-1] if spec.any_rank else [-1 if size is None else size for size in spec.sizes()]
        case MapsSpec():
            shape = [-1, len(spec.keys) or -1]
    return {"name": spec.name, "datatype": spec.element.oip, "shape": shape}


def unknown(served: Served, method: str, path: str) -> Answer:
    parts = path.strip("/").split("/")
    if parts[:2] == ["v2", "models"] and len(parts) >= 3:
        if parts[2] != served.name:
            return error(404, f"model {shown(parts[2])} is not served here, only {served.name!r}")
        if len(parts) >= 5 and parts[3] == "versions" and parts[4] != served.version:
            return error(
                404,
                f"version {shown(parts[4])} of {served.name!r} is not served here, only {served.version!r}",
            )
    return error(404, f"nothing is served at {method} {shown(path)}")


def infer(served: Served, body: bytes) -> Answer:
    asked = _asked(served, parse_object(body))
    results = served.model.run(asked.feeds, [spec.name for spec in asked.outputs])
    answer: dict[str, Any] = {"model_name": served.name, "model_version": served.version}
    if asked.id is not None:
        answer["id"] = asked.id
    said = tuple(zip(asked.outputs, results, strict=True))
    answer["outputs"] = [_output(spec, result) for spec, result in said]
    return Answer(body=dump(answer), outputs=said)


def _asked(served: Served, request: dict[str, Any]) -> _Asked:
    ident = request.get("id")
    if ident is not None and not isinstance(ident, str):
        raise RequestRefusedError(400, f"id must be a string, found {shown(ident)}")
    _check_parameters(request, "the request")
    feeds = _feeds(served.model.inputs, _entries(request, "inputs"))
    return _Asked(id=ident, feeds=feeds, outputs=_outputs(served.model.outputs, request))


def _check_parameters(holder: dict[str, Any], where: str) -> None:
    """Parameters are hints that a server may not know, so they are let through, except those whose meaning would be lost."""
    parameters = holder.get("parameters")
    if parameters is None:
        return
    if not isinstance(parameters, dict):
        raise RequestRefusedError(400, f"parameters of {where} must be an object, found {shown(parameters)}")
    for name, sentence in REFUSED_PARAMETERS.items():
        if parameters.get(name):
            raise RequestRefusedError(400, f"{where} asks for {name}: {sentence}")


def _entries(request: dict[str, Any], key: str) -> dict[str, dict[str, Any]]:
    """The named objects of a list, each checked for its name and parameters."""
    entries = request.get(key)
    if not isinstance(entries, list):
        raise RequestRefusedError(400, f"{key!r} must be a list of objects, found {shown(entries)}")
    named: dict[str, dict[str, Any]] = {}
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise RequestRefusedError(400, f"{key}[{position}] must be an object with a name")
        if entry["name"] in named:
            raise RequestRefusedError(400, f"{key}[{position}] repeats the name {shown(entry['name'])}")
        _check_parameters(entry, f"{key}[{position}]")
        named[entry["name"]] = entry
    return named


def _feeds(specs: tuple[TensorSpec, ...], entries: dict[str, dict[str, Any]]) -> Feeds:
    names = {spec.name for spec in specs}
    strange = sorted(entries.keys() - names)
    if strange:
        raise RequestRefusedError(400, f"unknown input {shown(strange[0])}, the model has {sorted(names)}")
    feeds = {spec.name: _tensor(spec, entries.get(spec.name)) for spec in specs}
    check_symbols(specs, feeds)
    return feeds


def _tensor(spec: TensorSpec, entry: dict[str, Any] | None) -> Array:
    if entry is None:
        raise RequestRefusedError(400, f"input {spec.name!r} is missing")
    if entry.get("datatype") != spec.element.oip:
        found = shown(entry.get("datatype"))
        raise RequestRefusedError(
            400, f"input {spec.name!r}: datatype {found}, the model takes {spec.element.oip!r}"
        )
    if "data" not in entry:
        raise RequestRefusedError(400, f"input {spec.name!r} has no data")
    return decode_shaped(entry["data"], entry.get("shape"), spec)


def _outputs(specs: tuple[OutputSpec, ...], request: dict[str, Any]) -> tuple[OutputSpec, ...]:
    if not request.get("outputs"):
        return specs
    known = {spec.name: spec for spec in specs}
    asked = _entries(request, "outputs")
    strange = [name for name in asked if name not in known]
    if strange:
        raise RequestRefusedError(400, f"unknown output {shown(strange[0])}, the model has {sorted(known)}")
    return tuple(known[name] for name in asked)


def _output(spec: OutputSpec, result: Array | Maps) -> Any:
    output: dict[str, Any] = {"name": spec.name, "datatype": spec.element.oip}
    if isinstance(spec, MapsSpec):
        assert isinstance(result, list), type(result)
        result, keys = flattened(result, spec)
        output["parameters"] = {"map_keys": dump(keys).decode()}
    assert not isinstance(result, list), type(result)
    return output | {"shape": list(result.shape), "data": jsonable(result.reshape(-1))}
