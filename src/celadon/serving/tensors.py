"""JSON values to numpy arrays and back, exactly: nothing is rounded, cut off, cast or guessed on the way in.

JSON has no NaN and no infinity. In both directions they are the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"`` inside a
float tensor, as in the JSON mapping of Protocol Buffers. ``null`` is refused: a client written in Go would read it as 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from celadon.serving.refusal import RequestRefusedError, shown

Array = npt.NDArray[Any]
Kinds = set[type]


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementType:
    """One element type under its names: ONNX Runtime's, numpy's, the Open Inference Protocol's and TensorFlow's."""

    onnx: str
    numpy: np.dtype[Any]
    oip: str
    tensorflow: str


def _element(onnx: str, numpy: str, oip: str, tensorflow: str) -> ElementType:
    return ElementType(onnx=onnx, numpy=np.dtype(numpy), oip=oip, tensorflow=tensorflow)


ELEMENT_TYPES: Final = {
    element.onnx: element
    for element in (
        _element("bool", "bool", "BOOL", "DT_BOOL"),
        _element("uint8", "uint8", "UINT8", "DT_UINT8"),
        _element("uint16", "uint16", "UINT16", "DT_UINT16"),
        _element("uint32", "uint32", "UINT32", "DT_UINT32"),
        _element("uint64", "uint64", "UINT64", "DT_UINT64"),
        _element("int8", "int8", "INT8", "DT_INT8"),
        _element("int16", "int16", "INT16", "DT_INT16"),
        _element("int32", "int32", "INT32", "DT_INT32"),
        _element("int64", "int64", "INT64", "DT_INT64"),
        _element("float16", "float16", "FP16", "DT_HALF"),
        _element("float", "float32", "FP32", "DT_FLOAT"),
        _element("double", "float64", "FP64", "DT_DOUBLE"),
        _element("string", "object", "BYTES", "DT_STRING"),
    )
}

NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """A declared tensor. A dimension is a size, a symbol that must be the same size wherever it stands, or None for any size."""

    name: str
    element: ElementType
    shape: tuple[int | str | None, ...]
    any_rank: bool = False
    """The model states no shape at all; `shape` is empty then and says nothing."""

    def sizes(self) -> list[int | None]:
        return [size if isinstance(size, int) else None for size in self.shape]


def decode(value: Any, spec: TensorSpec, unwrap: Callable[[Any], Any] | None = None) -> Array:
    """A nested JSON value as the declared tensor; its shape is read off the nesting.

    `unwrap` is applied to elements that are JSON objects. Raises RequestRefusedError (400) when it does not fit.
    """
    shape, flat, kinds = _unnest(value, spec)
    if unwrap is not None and dict in kinds:
        flat = [unwrap(item) if type(item) is dict else item for item in flat]
        kinds = set(map(type, flat))
    return _shaped(_elements(flat, kinds, spec), shape, spec)


def decode_shaped(data: Any, shape: Any, spec: TensorSpec) -> Array:
    """Row-major data (flat, or nested as its shape says) with a stated shape, as the Open Inference Protocol sends it.

    Raises RequestRefusedError (400) when it does not fit.
    """
    stated = _stated_shape(shape, spec)
    nesting, flat, kinds = _unnest(data, spec)
    if (
        not isinstance(data, list)
        or (len(nesting) != 1 and nesting != stated)
        or len(flat) != math.prod(stated)
    ):
        raise _misfit(spec, f"data of shape {list(nesting)} does not fill the stated shape {list(stated)}")
    return _shaped(_elements(flat, kinds, spec), stated, spec)


def _unnest(value: Any, spec: TensorSpec) -> tuple[tuple[int, ...], list[Any], Kinds]:
    """Shape, elements and the kinds of elements, level by level at C speed; numpy would accept ragged lists and cast silently."""
    shape: list[int] = []
    level = [value]
    while list in (kinds := set(map(type, level))):
        lengths = set(map(len, level)) if len(kinds) == 1 else ()
        if len(lengths) != 1:
            raise _misfit(
                spec, f"ragged: lists of different lengths, or lists beside values, {len(shape)} levels down"
            )
        shape.extend(lengths)
        level = list(chain.from_iterable(level))
    return tuple(shape), level, kinds


def _elements(flat: list[Any], kinds: Kinds, spec: TensorSpec) -> Array:
    match spec.element.numpy.kind:
        case "f":
            return _floats(flat, kinds, spec)
        case "i" | "u":
            return _integers(flat, kinds, spec)
        case "b":
            _only(kinds, {bool}, flat, spec, "true or false")
            return np.array(flat, dtype=bool)
        case kind:
            assert kind == "O", kind
            _only(kinds, {str}, flat, spec, "strings")
            texts = np.empty(len(flat), dtype=object)
            texts[:] = flat
            return texts


def _only(kinds: Kinds, wanted: Kinds, flat: list[Any], spec: TensorSpec, what: str) -> None:
    if kinds <= wanted:
        return
    stranger = next(value for value in flat if type(value) not in wanted)
    raise _misfit(spec, f"{spec.element.oip} wants {what}, found {shown(stranger)}")


def _floats(flat: list[Any], kinds: Kinds, spec: TensorSpec) -> Array:
    if str in kinds:
        flat = [NOT_FINITE.get(value, value) if type(value) is str else value for value in flat]
        _only(set(map(type, flat)), {int, float}, flat, spec, 'numbers, "NaN", "Infinity" or "-Infinity"')
    else:
        _only(kinds, {int, float}, flat, spec, "numbers")
    with np.errstate(over="ignore"):
        array = np.array(flat, dtype=spec.element.numpy)
    if not np.isfinite(array).all():
        overflowed = next(
            (x for x, y in zip(flat, array.tolist(), strict=True) if math.isfinite(x) != math.isfinite(y)),
            None,
        )
        if overflowed is not None:
            raise _misfit(spec, f"{shown(overflowed)} is out of the range of {spec.element.oip}")
    return array


def _integers(flat: list[Any], kinds: Kinds, spec: TensorSpec) -> Array:
    _only(kinds, {int}, flat, spec, "whole numbers")
    try:
        return np.array(flat, dtype=spec.element.numpy)
    except OverflowError:
        bounds = np.iinfo(spec.element.numpy)
        stranger = next(value for value in flat if not bounds.min <= value <= bounds.max)
        raise _misfit(spec, f"{stranger} is out of the range of {spec.element.oip}") from None


def _shaped(array: Array, shape: tuple[int, ...], spec: TensorSpec) -> Array:
    fits = len(shape) == len(spec.shape) and all(
        actual == declared or not isinstance(declared, int)
        for actual, declared in zip(shape, spec.shape, strict=True)
    )
    if not fits and not spec.any_rank:
        declared = ["any" if size is None else size for size in spec.shape]
        raise _misfit(spec, f"shape {list(shape)} does not fit {declared}")
    try:
        return array.reshape(shape)
    except ValueError as error:
        raise _misfit(spec, f"shape {list(shape)} is not possible: {error}") from None


def _stated_shape(shape: Any, spec: TensorSpec) -> tuple[int, ...]:
    if not isinstance(shape, list) or not all(type(size) is int and 0 <= size < 2**31 for size in shape):
        raise _misfit(spec, f"shape must be a list of whole numbers from 0, found {shown(shape)}")
    return tuple(shape)


def check_symbols(specs: Sequence[TensorSpec], feeds: dict[str, Array]) -> None:
    """A dimension that the model names must have one size in all inputs.

    Found here it is the request's fault and a 400; found by the runtime it would count as harm done by the revision.
    """
    sizes: dict[str, tuple[int, str]] = {}
    for spec in specs:
        if spec.any_rank:
            continue
        for symbol, size in zip(spec.shape, feeds[spec.name].shape, strict=True):
            if not isinstance(symbol, str):
                continue
            known, where = sizes.setdefault(symbol, (size, spec.name))
            if known != size:
                raise _misfit(spec, f"dimension {symbol!r} is {size} here and {known} in input {where!r}")


def _misfit(spec: TensorSpec, text: str) -> RequestRefusedError:
    return RequestRefusedError(400, f"input {spec.name!r}: {text}")


def jsonable(array: Array) -> Any:
    """What orjson writes as valid JSON, with every value that is not finite as its string."""
    if array.dtype.kind == "O" or array.size == 0:
        return array.tolist()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return _named(array.tolist())
    return array[()] if array.ndim == 0 else np.ascontiguousarray(array)


def _named(value: Any) -> Any:
    if isinstance(value, list):
        return [_named(item) for item in value]
    return finite_or_named(value)


def finite_or_named(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
