"""A tensor comes through JSON unchanged or not at all."""

import math

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from celadon.serving.answering import dump
from celadon.serving.refusal import RequestRefusedError
from celadon.serving.tensors import ELEMENT_TYPES, TensorSpec, check_symbols, decode, decode_shaped, jsonable

SHAPES = st.lists(st.integers(1, 4), max_size=4).map(tuple)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


def spec_of(onnx_type, shape):
    return TensorSpec(name="x", element=ELEMENT_TYPES[onnx_type], shape=shape)


def values_of(dtype):
    match dtype.kind:
        case "f":
            return st.floats(width=dtype.itemsize * 8)
        case "i" | "u":
            return st.integers(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
        case "b":
            return st.booleans()
        case _:
            return st.text(max_size=5)


@st.composite
def tensors(draw):
    onnx_type = draw(st.sampled_from(sorted(ELEMENT_TYPES)))
    dtype = ELEMENT_TYPES[onnx_type].numpy
    shape = draw(SHAPES)
    count = math.prod(shape)
    flat = np.empty(count, dtype=dtype)
    flat[:] = draw(st.lists(values_of(dtype), min_size=count, max_size=count))
    return onnx_type, flat.reshape(shape)


def same(left, right):
    assert left.dtype == right.dtype
    assert left.shape == right.shape
    np.testing.assert_array_equal(left, right)


@given(tensors())
def test_every_tensor_comes_back_from_nested_json_unchanged(tensor):
    onnx_type, array = tensor
    body = dump(jsonable(array))
    same(decode(orjson.loads(body), spec_of(onnx_type, (None,) * array.ndim)), array)


@given(tensors())
def test_every_tensor_comes_back_from_flat_json_with_its_shape_unchanged(tensor):
    onnx_type, array = tensor
    body = dump(jsonable(array.reshape(-1)))
    same(decode_shaped(orjson.loads(body), list(array.shape), spec_of(onnx_type, array.shape)), array)


@given(JSON, SHAPES, st.sampled_from(sorted(ELEMENT_TYPES)))
def test_any_json_is_a_tensor_of_the_declared_kind_or_is_refused(value, shape, onnx_type):
    try:
        array = decode(value, spec_of(onnx_type, shape))
    except RequestRefusedError:
        return
    assert array.shape == shape
    assert array.dtype == ELEMENT_TYPES[onnx_type].numpy


@given(JSON, JSON, st.sampled_from(sorted(ELEMENT_TYPES)))
def test_any_json_as_data_and_shape_is_a_tensor_or_is_refused(data, shape, onnx_type):
    try:
        array = decode_shaped(data, shape, spec_of(onnx_type, (None, None)))
    except RequestRefusedError:
        return
    assert list(array.shape) == shape


@pytest.mark.parametrize(
    ("onnx_type", "value"),
    [
        ("int8", [128]),
        ("uint8", [-1]),
        ("int32", [1.0]),
        ("int64", [True]),
        ("bool", [1]),
        ("float", ["1.5"]),
        ("float", [None]),
        ("float", [True]),
        ("float", [1e300]),
        ("float16", [65536]),
        ("string", [1]),
        ("float", [[1], [2, 3]]),
        ("float", [[1], 2]),
        ("float", {"a": 1}),
    ],
)
def test_nothing_is_rounded_cut_off_or_cast_on_the_way_in(onnx_type, value):
    with pytest.raises(RequestRefusedError) as refused:
        decode(value, spec_of(onnx_type, (None,)))
    assert refused.value.status == 400
    assert "'x'" in refused.value.text


def test_what_is_not_finite_travels_as_a_string_in_both_directions():
    array = np.array([np.nan, np.inf, -np.inf, 1], dtype=np.float32)
    body = dump(jsonable(array))
    assert body == b'["NaN","Infinity","-Infinity",1.0]'
    same(decode(orjson.loads(body), spec_of("float", (None,))), array)


def test_a_named_dimension_has_one_size_in_all_inputs():
    specs = [TensorSpec(name=name, element=ELEMENT_TYPES["float"], shape=("N",)) for name in "ab"]
    with pytest.raises(RequestRefusedError, match="'N' is 2 here and 1 in input 'a'"):
        check_symbols(specs, {"a": np.zeros(1), "b": np.zeros(2)})
