"""Looks into a model: what it takes and gives, and example requests, with recorded answers where asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from celadon.serving import model as models
from celadon.serving.answering import dump
from celadon.serving.artifact import Artifact, examine
from celadon.serving.front import Front
from celadon.serving.identity import Life, Phase, Served
from celadon.serving.metrics import Metrics
from celadon.serving.model import Feeds, Maps, MapsSpec, Model, OutputSpec
from celadon.serving.refusal import InferenceFailedError
from celadon.serving.replay import Request, replay
from celadon.serving.tensors import Array, TensorSpec, jsonable

# Sizes that a dimension of any size is tried with, until the model runs: many a dynamic dimension takes only some of them.
FREE_SIZES: Final = (1, 2, 8, 32, 64, 224)
MAX_BODY_BYTES: Final = 64 * 1024 * 1024


def inspect(given: Path, *, name: str, version: str, record: bool, threads: int) -> dict[str, Any]:
    """The description as a JSON object. Raises ModelRefusedError, or OSError where the file cannot be read."""
    model = models.load(examine(given), threads)
    served = Served(name=name, version=version, model=model, life=Life(phase=Phase.READY))
    samples, note = _samples(model)
    examples = [example for sample in samples for example in _examples(served, sample)]
    if record:
        asyncio.run(_record(served, examples))
    described = _describe(model.artifact)
    described["inputs"] = [_field(spec) for spec in model.inputs]
    described["outputs"] = [_field(spec) for spec in model.outputs]
    return described | {"examples": examples, "notes": [] if note is None else [note]}


def _describe(artifact: Artifact) -> dict[str, Any]:
    return {
        "format": "onnx",
        "file": artifact.main.name,
        "sha256": artifact.sha256,
        "bytes": artifact.main.stat().st_size,
        "opset": artifact.opsets.get("ai.onnx"),
        "opsets": artifact.opsets,
        "ir_version": artifact.ir_version,
        "producer": {"name": artifact.producer, "version": artifact.producer_version},
        "external_data": list(artifact.external_data),
    }


def _field(spec: OutputSpec) -> dict[str, Any]:
    match spec:
        case TensorSpec():
            field = {"name": spec.name, "dtype": spec.element.oip, "shape": spec.sizes()}
            return field | ({"any_rank": True} if spec.any_rank else {})
        case MapsSpec():
            shape = [None, len(spec.keys) or None]
            return {"name": spec.name, "dtype": spec.element.oip, "shape": shape, "map_keys": list(spec.keys)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    feeds: Feeds
    in_rows: bool
    """Whether every input and every output has its one row as the first dimension."""


def _samples(model: Model) -> tuple[list[_Sample], str | None]:
    """Inputs of zeros and of ones that the model runs on, and what to tell the person where it runs on neither."""
    failure = ""
    for free_size in FREE_SIZES:
        samples = []
        for fill in (0, 1):
            feeds = models.sample(model, fill, free_size)
            try:
                outputs = model.run(feeds, [spec.name for spec in model.outputs])
            except InferenceFailedError as error:
                failure = str(error)
            else:
                in_rows = bool(feeds) and all(map(_is_one_row, [*feeds.values(), *outputs]))
                samples.append(_Sample(feeds=feeds, in_rows=in_rows))
        if samples:
            return samples, None
    return (
        [],
        f"the model runs neither on zeros nor on ones, so write golden requests by hand; it said: {failure}",
    )


def _is_one_row(value: Array | Maps) -> bool:
    return len(value) == 1 if isinstance(value, list) else value.ndim > 0 and len(value) == 1


def _examples(served: Served, sample: _Sample) -> list[dict[str, Any]]:
    feeds = sample.feeds
    columns = {name: jsonable(array) for name, array in feeds.items()}
    tensors = [
        {
            "name": spec.name,
            "shape": list(feeds[spec.name].shape),
            "datatype": spec.element.oip,
            "data": jsonable(feeds[spec.name].reshape(-1)),
        }
        for spec in served.model.inputs
    ]
    predict = {"instances": _row(feeds)} if sample.in_rows else {"inputs": columns}
    return [
        _example("tfs", f"/v1/models/{served.name}:predict", predict),
        _example("oip", f"/v2/models/{served.name}/infer", {"inputs": tensors}),
    ]


def _row(feeds: Feeds) -> Any:
    if len(feeds) == 1:
        return jsonable(next(iter(feeds.values())))
    return [{name: jsonable(array.reshape(array.shape[1:])) for name, array in feeds.items()}]


def _example(protocol: str, path: str, body: Any) -> dict[str, Any]:
    return {"protocol": protocol, "method": "POST", "path": path, "body": orjson.loads(dump(body))}


async def _record(served: Served, examples: list[dict[str, Any]]) -> None:
    """Adds to each example the answer that clients would get."""
    front = Front(served, Metrics(served, ""), MAX_BODY_BYTES)
    for example in examples:
        request = Request(method=example["method"], path=example["path"], body=dump(example["body"]))
        status, body = await replay(front, request)
        example["answer"] = {"status": status, "body": orjson.loads(body)}
    front.close()
