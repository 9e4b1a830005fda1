"""Golden requests as people write them: one JSON object per line."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from celadon.domain.golden import Expectation, GoldenRequest
from celadon.domain.problem import Problem, ProblemsError
from celadon.parse.complaint import complaint, show
from celadon.parse.fields import Shape, UrlPath
from celadon.parse.text import too_deep

TEXT_BYTES_MAX = 64 * 1024 * 1024
REQUESTS_MAX = 10_000
DEPTH_MAX = 100
NUMBER_MAX = 1e308

OURS = {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te"}
"""Headers that belong to the connection, so that a request can not choose them."""

CHECKS = ("shape", "low", "high", "finite", "argmax", "near", "exact")


def _numbers(value: Any) -> Any:
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < NUMBER_MAX:
        raise ValueError("holds something that is neither a number nor a list of numbers")
    return value


def _said(value: Any) -> Any:
    if value is None:
        raise ValueError("is null, which can not be told from nothing asked; name a value")
    return value


def _rows(value: Any) -> Any:
    return [value] if isinstance(value, int) else value


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            raise ValueError(f'"{name[:60]}" is not a header name')
        if name.lower() in OURS:
            raise ValueError(f"{name} belongs to the connection; leave it out")
        if not re.fullmatch(r"[\t -~]*", text):
            raise ValueError(f"{name} holds a line break or another character that no header can carry")
    return value


Size = Annotated[int, Field(ge=0)]


class _Expect(Shape):
    status: Annotated[int, Field(ge=100, le=599)] = 200
    at: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    shape: Annotated[list[Size | None], Field(min_length=1)] | None = None
    low: float | None = None
    high: float | None = None
    finite: bool = False
    argmax: Annotated[list[Size], BeforeValidator(_rows)] | None = None
    near: Annotated[Any, AfterValidator(_said), AfterValidator(_numbers)] = None
    tolerance: Annotated[float, Field(ge=0)] | None = None
    exact: Annotated[Any, AfterValidator(_said)] = None


class _Line(Shape):
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    method: Annotated[str, Field(pattern=r"^[A-Z]{1,20}$")] | None = None
    path: UrlPath | None = None
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = Field(default={})
    body: Any = None
    expect: list[_Expect] = Field(default=[])


def read_golden(text: str, where: str, path_default: str | None = None) -> tuple[GoldenRequest, ...]:
    """The golden requests of one file, or all of its problems as ProblemsError.

    where: what the file is called in problems. path_default: asked with POST where a line names neither method
    nor path; None when every line has to name its path. Blank lines count and are passed over.
    """
    if len(text) > TEXT_BYTES_MAX:
        raise ProblemsError([Problem(path=where, found=f"is larger than {TEXT_BYTES_MAX} bytes")])
    problems: list[Problem] = []
    requests: list[GoldenRequest] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        found = _line(line, number, path_default)
        if isinstance(found, GoldenRequest):
            requests.append(found)
        else:
            at = f"{where}:{number}"
            problems += [Problem(path=at + path, found=what, hint=hint) for path, what, hint in found]
    problems += _of_file(requests, where, any_read=bool(requests or problems))
    if problems:
        raise ProblemsError(problems)
    return tuple(requests)


def weak(requests: Sequence[GoldenRequest]) -> tuple[str, ...]:
    """Names of the requests that ask for a status and nothing else: allowed, and worth saying."""
    return tuple(request.name for request in requests if not any(map(_asks, request.expect)))


def _asks(expect: Expectation) -> bool:
    return any(getattr(expect, check) not in (None, False) for check in CHECKS)


def _of_file(requests: Sequence[GoldenRequest], where: str, *, any_read: bool) -> Iterator[Problem]:
    if not any_read:
        hint = "write one JSON object per line, or leave `golden` out of the spec"
        yield Problem(path=where, found="holds no golden request", hint=hint)
    if len(requests) > REQUESTS_MAX:
        found = f"holds {len(requests)} golden requests, and {REQUESTS_MAX} is the most"
        yield Problem(
            path=where, found=found, hint="choose the telling ones; every release sends all of them"
        )
    first: dict[str, int] = {}
    for request in requests:
        if request.name in first:
            found = f'"{request.name}" is also the name of line {first[request.name]}'
            yield Problem(path=f"{where}:{request.line}/name", found=found, hint="give each its own")
        first.setdefault(request.name, request.line)


Found = list[tuple[str, str, str]]
"""Path inside the line with a leading slash, what was found, hint."""


def _line(line: str, number: int, path_default: str | None) -> GoldenRequest | Found:
    try:
        value = json.loads(line, object_pairs_hook=_pairs, parse_float=_float, parse_constant=_constant)
    except RecursionError:
        return [("", "is nested too deep", "")]
    except json.JSONDecodeError as error:
        hint = "each line is one whole JSON object"
        return [("", f"is not JSON: {error.msg} (column {error.colno})", hint)]
    except ValueError as error:
        return [("", str(error), "")]
    if not isinstance(value, dict):
        return [("", "is not a JSON object", '{"body": ..., "expect": {...}}')]
    if too_deep(value, DEPTH_MAX):
        return [("", "is nested too deep", "")]
    if isinstance(value.get("expect"), dict):
        value = {**value, "expect": [value["expect"]]}
    return _request(value, number, path_default)


def _request(value: dict[str, Any], number: int, path_default: str | None) -> GoldenRequest | Found:
    found: Found = list(_meaning(value, path_default))
    try:
        shaped = _Line.model_validate(value)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            loc, what, hint = complaint(each, _Line)
            found.append(("".join(f"/{part}" for part in loc), what, hint))
        return found
    if found:
        return found
    path = shaped.path or path_default
    assert path is not None, "a line without a path was let pass"
    asks_default = shaped.path is None or shaped.body is not None
    return GoldenRequest(
        line=number,
        name=shaped.name or f"line {number}",
        method=shaped.method or ("POST" if asks_default else "GET"),
        path=path,
        headers=tuple(sorted(shaped.headers.items())),
        body=shaped.body,
        expect=tuple(map(_expectation, shaped.expect)) or (Expectation(),),
    )


def _meaning(value: dict[str, Any], path_default: str | None) -> Iterator[tuple[str, str, str]]:
    if "path" not in value and path_default is None:
        yield "/path", "is missing", 'say what is asked: "path": "/score"'
    expects = value.get("expect", [])
    for index, expect in enumerate(expects if isinstance(expects, list) else []):
        if not isinstance(expect, dict):
            continue
        at = f"/expect/{index}"
        if "near" in expect and "tolerance" not in expect:
            yield at + "/tolerance", "is missing", "how far off a number may be, such as 0.01"
        if "tolerance" in expect and "near" not in expect:
            yield at + "/near", "is missing, and tolerance belongs to it", "or did you mean low and high?"
        low, high = expect.get("low"), expect.get("high")
        if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
            yield at + "/low", f"{show(low)} is above high, {show(high)}", ""


def _expectation(given: _Expect) -> Expectation:
    return Expectation(
        status=given.status,
        at=given.at,
        shape=None if given.shape is None else tuple(given.shape),
        low=given.low,
        high=given.high,
        finite=given.finite,
        argmax=None if given.argmax is None else tuple(given.argmax),
        near=given.near,
        tolerance=given.tolerance or 0.0,
        exact=given.exact,
    )


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise ValueError(f'"{key[:60]}" is written twice')
        made[key] = value
    return made


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON, and no answer can be compared with it")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:60]} is too large a number")
    return value
