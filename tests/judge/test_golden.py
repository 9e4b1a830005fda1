"""A golden request tells a good answer from a bad one, and says what came instead."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celadon.domain.golden import Answer, Expectation, GoldenRequest
from celadon.judge.golden import check, equal, shape_of


def found(body, *expect, status=200, **one):
    """What is wrong with an answer, or None. body: raw bytes, or a value that is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = GoldenRequest(
        line=1, name="two rows", method="POST", path="/", expect=expect or (Expectation(**one),)
    )
    mismatch = check(request, Answer(status=status, body=raw))
    assert mismatch is None or mismatch.name == "two rows"
    return None if mismatch is None else mismatch.found


def test_a_status_alone_does_not_look_at_the_answer():
    assert found(b"not json", status=200) is None
    assert found(b"", status=404) == "status 404 instead of 200: no body"
    assert found(b"x", Expectation(status=404), status=404) is None


def test_a_wrong_status_shows_the_beginning_of_the_answer():
    text = found(b"no\n such   tensor" + b"!" * 1000, status=400)
    assert text.startswith("status 400 instead of 200: no such tensor!!!")
    assert len(text) < 200


@pytest.mark.parametrize(
    ("body", "expect", "says"),
    [
        (b"<html>", {"finite": True}, "the answer is not JSON: <html>"),
        (b"\xff", {"at": "a"}, "the answer is not JSON"),
        (b"[" * 100_000, {"at": "a"}, "the answer is not JSON"),
        ({"b": 1}, {"at": "a"}, "there is nothing at a: a was looked for in ['b']"),
        ({"a": [1]}, {"at": "a/1"}, "there is nothing at a/1: 1 was looked for in [1]"),
        ({"a": [1]}, {"at": "a/-1"}, "there is nothing at a/-1"),
        ({"a": 1}, {"at": "a/b"}, "b was looked for in 1"),
        ({"a": [[1, 2]]}, {"at": "a", "shape": (2, 2)}, "a has shape [1, 2] instead of shape [2, 2]"),
        ([[1, 2], [3]], {"shape": (2, None)}, "the answer has a ragged list instead of shape [2, any]"),
        ([1, [2]], {"shape": (2,)}, "a ragged list"),
        (3, {"shape": (1,)}, "the answer has shape [] instead of shape [1]"),
        ([1, 2.5], {"high": 2}, "the answer holds 2.5 at [1], which is outside of [-inf, 2]"),
        ([[0, -1]], {"low": 0}, "holds -1 at [0][1], which is outside of [0, inf]"),
        ([None], {"low": 0}, "holds null at [0], which is not a number"),
        ([True], {"low": 0}, "holds true at [0], which is not a number"),
        (["1"], {"finite": True}, 'holds "1" at [0], which is not a number'),
        ([math.nan], {"finite": True}, "holds NaN at [0], which is not finite"),
        ([math.nan], {"low": 0, "high": 1}, "holds NaN at [0]"),
        ([-math.inf], {"finite": True}, "holds -Infinity"),
        ([10**400], {"finite": True}, "which is not a number"),
        ([], {"finite": True}, "holds no number at all"),
        ({"a": {"b": [2]}}, {"high": 1}, "holds 2 at .a.b[0]"),
        ([0.1, 0.7, 0.2], {"argmax": (2,)}, "has its largest number at 1 and not at 2: [0.1, 0.7, 0.2]"),
        ([[1, 0], [1, 0]], {"argmax": (0, 1)}, "has its largest number at 0 and not at 1 in row 1"),
        ([[1, 0]], {"argmax": (0, 1)}, "has 1 rows, and argmax was given for 2"),
        ([], {"argmax": (0,)}, "has no flat list of numbers: []"),
        ([["a"]], {"argmax": (0,)}, 'has no flat list of numbers in row 0: ["a"]'),
        ([1, math.nan], {"argmax": (0,)}, "has a NaN, so that nothing is the largest"),
        ([1, 2], {"near": [1, 3], "tolerance": 0.5}, "holds 2 at [1], which is not within 0.5 of 3"),
        ([1, math.nan], {"near": [1, 3], "tolerance": 5.0}, "holds NaN at [1]"),
        ([1], {"near": [1, 3], "tolerance": 1.0}, "holds [1] instead of a list of 2"),
        ("x", {"near": 1, "tolerance": 1.0}, 'holds "x" instead of a number near 1'),
        ({"a": 1}, {"exact": {"a": 2}}, 'the answer is {"a": 1} instead of exactly {"a": 2}'),
        ([True], {"exact": [1]}, "is [true] instead of exactly [1]"),
        ("é" * 500, {"exact": "e"}, "..."),
    ],
)
def test_says_what_came_instead(body, expect, says):
    assert says in found(body, **expect)


@pytest.mark.parametrize(
    ("body", "expect"),
    [
        (
            {"predictions": [[0.1, 0.9]]},
            {"at": "predictions", "shape": (1, 2), "finite": True, "argmax": (1,)},
        ),
        ({"predictions": [[0.1, 0.9]]}, {"at": "predictions/0", "low": 0, "high": 1, "argmax": (1,)}),
        ({"a": None}, {"at": "a"}),
        ([], {"shape": (0,)}),
        ([[], []], {"shape": (2, 0)}),
        (3, {"shape": ()}),
        ([[1, 2], [3, 4]], {"near": [[1.1, 2], [3, 3.9]], "tolerance": 0.2}),
        ({"a": [1, {"b": 2.0}]}, {"exact": {"a": [1.0, {"b": 2}]}}),
        ([0.5, 0.5], {"argmax": (0,)}),
    ],
)
def test_fits(body, expect):
    assert found(body, **expect) is None


def test_every_expectation_of_a_list_must_hold():
    fits, misses = Expectation(low=0), Expectation(high=1)
    assert found([2], fits) is None
    assert found([2], fits, misses) == found([2], misses, fits) is not None


NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
EXPECT = st.builds(
    Expectation,
    at=st.none() | st.sampled_from(["a", "0", "0/0", "a/0"]),
    shape=st.none() | st.lists(st.none() | st.integers(0, 3), max_size=3).map(tuple),
    low=st.none() | NUMBERS,
    high=st.none() | NUMBERS,
    finite=st.booleans(),
    argmax=st.none() | st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple),
    near=st.none() | NUMBERS | st.lists(NUMBERS, max_size=3),
    tolerance=st.floats(0, 10),
    exact=JSON,
)


@given(body=st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()), expect=EXPECT)
def test_whatever_comes_back_is_judged_and_never_crashes(body, expect):
    text = found(body, expect)
    assert text is None or 0 < len(text) < 600


@given(rows=st.lists(st.lists(NUMBERS, min_size=1, max_size=4), min_size=1, max_size=4))
def test_an_answer_satisfies_what_was_recorded_from_it(rows):
    argmax = tuple(max(range(len(row)), key=row.__getitem__) for row in rows)
    flat = [number for row in rows for number in row]
    assert found(rows, argmax=argmax, finite=True, low=min(flat), high=max(flat)) is None
    assert found(rows, near=rows, tolerance=0.0) is None
    assert found(rows, exact=rows) is None


@given(row=st.lists(NUMBERS, min_size=1, max_size=5), tolerance=st.floats(0.001, 1), data=st.data())
def test_near_holds_inside_the_tolerance_and_not_outside(row, tolerance, data):
    index = data.draw(st.integers(0, len(row) - 1))
    inside, outside = list(row), list(row)
    inside[index] += tolerance * 0.9
    outside[index] += tolerance * 1.1
    assert found(inside, near=row, tolerance=tolerance) is None
    assert found(outside, near=row, tolerance=tolerance) is not None


@given(sizes=st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_the_shape_of_nested_lists_is_their_lengths(sizes):
    value = 0
    for size in reversed(sizes):
        value = [value] * size
    assert shape_of(value) == tuple(sizes)
    assert found(value, shape=tuple(sizes)) is None
    assert found(value, shape=(None,) * len(sizes)) is None
    assert found(value, shape=(*sizes, 1)) is not None


@given(a=JSON, b=JSON)
def test_equality_of_json_is_symmetric_and_knows_true_from_one(a, b):
    assert equal(a, b) == equal(b, a)
    if isinstance(a, bool) != isinstance(b, bool):
        assert not equal(a, b)
