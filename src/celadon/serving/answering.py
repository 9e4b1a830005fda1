"""How a protocol is told to the server: a table of routes, and the bytes of an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson

from celadon.serving.model import Maps, OutputSpec
from celadon.serving.refusal import RequestRefusedError
from celadon.serving.tensors import Array

OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """outputs: what the model said, for the log of predictions; empty where no model ran."""

    status: int = 200
    body: bytes = b""
    content_type: bytes = b"application/json"
    outputs: tuple[tuple[OutputSpec, Array | Maps], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`infers` routes run the model and so leave the event loop; all others answer at once from what is known."""

    protocol: str
    answer: Callable[[bytes], Answer]
    infers: bool = False
    refuse_headers: Mapping[bytes, str] | None = None
    """Headers that ask for what is not offered, with the sentence that says so."""


Routes = Mapping[tuple[str, str], Route]


def dump(value: Any) -> bytes:
    return orjson.dumps(value, default=_scalar, option=OPTIONS)


def _scalar(value: Any) -> Any:
    """Numpy has two types for 64 bits, and orjson knows one of them."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"not for JSON: {type(value).__name__}")


def answer_json(value: Any, status: int = 200) -> Answer:
    return Answer(status=status, body=dump(value))


def error(status: int, text: str) -> Answer:
    """Both protocols answer errors in this form."""
    return answer_json({"error": text}, status)


def parse_object(body: bytes) -> dict[str, Any]:
    """The request's JSON object. Raises RequestRefusedError (400); NaN and Infinity are not JSON and end here too."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as problem:
        raise RequestRefusedError(400, f"the body is not valid JSON: {problem}") from None
    if not isinstance(document, dict):
        raise RequestRefusedError(400, f"the body must be a JSON object, found {type(document).__name__}")
    return document
