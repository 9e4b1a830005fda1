"""Does an answer satisfy a golden request? Values in, the first thing that does not fit out."""

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

from celadon.domain.golden import Answer, Expectation, GoldenRequest, Mismatch

SHOWN = 120
"""Characters of an answer that a message may carry."""


class _MisfitError(Exception):
    """What was expected and what came instead, as a sentence."""


def check(request: GoldenRequest, answer: Answer) -> Mismatch | None:
    """The first way in which `answer` is not what `request` expects; None when it is."""
    try:
        for expect in request.expect:
            _check(expect, answer)
    except _MisfitError as misfit:
        return Mismatch(name=request.name, found=str(misfit))
    return None


def _check(expect: Expectation, answer: Answer) -> None:
    if answer.status != expect.status:
        raise _MisfitError(f"status {answer.status} instead of {expect.status}: {_body(answer)}")
    if expect == Expectation(status=expect.status):
        return
    value, where = _at(_json(answer), expect.at)
    for check_one in CHECKS:
        for found in check_one(expect, value):
            raise _MisfitError(f"{where} {found}")


def _body(answer: Answer) -> str:
    text = answer.body.decode("utf-8", "replace")
    return _cut(" ".join(text.split())) or "no body"


def _json(answer: Answer) -> Any:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        raise _MisfitError(f"the answer is not JSON: {_body(answer)}") from None


def _at(value: Any, path: str | None) -> tuple[Any, str]:
    if path is None:
        return value, "the answer"
    for part in path.split("/"):
        inner = _step(value, part)
        if inner is None:
            there = sorted(value) if isinstance(value, dict) else _show(value)
            raise _MisfitError(f"there is nothing at {path}: {part} was looked for in {_cut(str(there))}")
        (value,) = inner
    return value, path


def _step(value: Any, part: str) -> tuple[Any] | None:
    """The value one step inside, in a tuple so that null can be told from nothing."""
    if isinstance(value, dict) and part in value:
        return (value[part],)
    if isinstance(value, list) and part.isdecimal() and part.isascii() and int(part[:9]) < len(value):
        return (value[int(part[:9])],)
    return None


def _shape(expect: Expectation, value: Any) -> Iterator[str]:
    if expect.shape is None:
        return
    wanted, came = expect.shape, shape_of(value)
    if came is None:
        yield f"has a ragged list instead of shape {_sizes(wanted)}"
    elif len(came) != len(wanted) or any(w not in (None, c) for w, c in zip(wanted, came, strict=True)):
        yield f"has shape {_sizes(came)} instead of shape {_sizes(wanted)}"


def shape_of(value: Any) -> tuple[int, ...] | None:
    """Lengths of nested lists, outermost first; () for a value that is no list, None for ragged lists."""
    sizes: list[int] = []
    level = [value]
    while level and all(isinstance(item, list) for item in level):
        lengths = {len(item) for item in level}
        if len(lengths) > 1:
            return None
        sizes.append(lengths.pop())
        level = [inner for item in level for inner in item]
    return None if any(isinstance(item, list) for item in level) else tuple(sizes)


def _numbers(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of nested lists and objects with its place."""
    level = [(at, value)]
    while level:
        place, item = level.pop()
        if isinstance(item, list):
            level.extend((f"{place}[{index}]", inner) for index, inner in reversed(list(enumerate(item))))
        elif isinstance(item, dict):
            level.extend((f"{place}.{key}", inner) for key, inner in reversed(item.items()))
        else:
            yield place, item


def _bounds(expect: Expectation, value: Any) -> Iterator[str]:
    if expect.low is None and expect.high is None:
        return
    low = -math.inf if expect.low is None else expect.low
    high = math.inf if expect.high is None else expect.high
    yield from _each_number(value, lambda number: low <= number <= high, f"is outside of [{low:g}, {high:g}]")


def _finite(expect: Expectation, value: Any) -> Iterator[str]:
    if expect.finite:
        yield from _each_number(value, math.isfinite, "is not finite")


def _each_number(value: Any, fits: Callable[[float], bool], wrong: str) -> Iterator[str]:
    empty = True
    for place, item in _numbers(value):
        empty = False
        if not is_number(item):
            yield f"holds {_show(item)}{_place(place)}, which is not a number"
        elif not fits(item):
            yield f"holds {_show(item)}{_place(place)}, which {wrong}"
    if empty:
        yield "holds no number at all"


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number that can be compared. An integer beyond every float is not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) <= 2**1023


def _argmax(expect: Expectation, value: Any) -> Iterator[str]:
    if expect.argmax is not None:
        yield from _argmax_of(expect.argmax, value)


def _argmax_of(wanted: tuple[int, ...], value: Any) -> Iterator[str]:
    rows = (
        value
        if isinstance(value, list) and value and all(isinstance(row, list) for row in value)
        else [value]
    )
    if len(rows) != len(wanted):
        yield f"has {len(rows)} rows, and argmax was given for {len(wanted)}"
        return
    for index, (row, place) in enumerate(zip(rows, wanted, strict=True)):
        at = f" in row {index}" if rows is value else ""
        if not isinstance(row, list) or not row or not all(map(is_number, row)):
            yield f"has no flat list of numbers{at}: {_show(row)}"
        elif any(math.isnan(number) for number in row):
            yield f"has a NaN{at}, so that nothing is the largest"
        elif (came := max(range(len(row)), key=row.__getitem__)) != place:
            yield f"has its largest number at {came} and not at {place}{at}: {_show(row)}"


def _near(expect: Expectation, value: Any) -> Iterator[str]:
    if expect.near is not None:
        yield from _off(expect.near, value, expect.tolerance, "")


def _off(wanted: Any, came: Any, tolerance: float, place: str) -> Iterator[str]:
    if isinstance(wanted, list):
        if not isinstance(came, list) or len(came) != len(wanted):
            yield f"holds {_show(came)}{_place(place)} instead of a list of {len(wanted)}"
            return
        for index, (inner, other) in enumerate(zip(wanted, came, strict=True)):
            yield from _off(inner, other, tolerance, f"{place}[{index}]")
    elif not is_number(came):
        yield f"holds {_show(came)}{_place(place)} instead of a number near {wanted}"
    elif not abs(came - wanted) <= tolerance:  # also true where the difference is NaN
        yield f"holds {_show(came)}{_place(place)}, which is not within {tolerance:g} of {wanted}"


def _exact(expect: Expectation, value: Any) -> Iterator[str]:
    if expect.exact is not None and not equal(expect.exact, value):
        yield f"is {_show(value)} instead of exactly {_show(expect.exact)}"


def equal(a: Any, b: Any) -> bool:
    """Whether two JSON values are equal: 1 is 1.0, true is not 1, and objects have no order."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return bool(a == b)


CHECKS: tuple[Callable[[Expectation, Any], Iterator[str]], ...] = (
    _shape,
    _finite,
    _bounds,
    _argmax,
    _near,
    _exact,
)


def _sizes(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"


def _place(place: str) -> str:
    return f" at {place}" if place else ""


def _show(value: Any) -> str:
    # Only the beginning of a large value is made into text.
    short = value[:SHOWN] if isinstance(value, list | str) else value
    return _cut(json.dumps(short, ensure_ascii=False))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."
