"""Golden requests: what green must answer before it may have traffic, in terms that survive retraining."""

from dataclasses import dataclass
from typing import Any

from celadon.domain.names import ServiceKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What an answer must be. Every field that is not None is checked.

    status: HTTP status. at: a path into the JSON answer such as `predictions` or `outputs/0/data`; the checks
    below apply to the value there (the whole answer when None). shape: list lengths, outermost first, None for
    any. low, high: bounds of every number. finite: every number is finite. argmax: index of the largest number of
    a flat list, or one index per row. near: numbers with `tolerance` (absolute) around them. exact: equal JSON.
    """

    status: int = 200
    at: str | None = None
    shape: tuple[int | None, ...] | None = None
    low: float | None = None
    high: float | None = None
    finite: bool = False
    argmax: tuple[int, ...] | None = None
    near: Any = None
    tolerance: float = 0.0
    exact: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenRequest:
    """One request and what its answer must satisfy. body: JSON value or None for no body; line: where it stood."""

    line: int
    name: str
    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: Any = None
    expect: tuple[Expectation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. body: the raw bytes."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One golden request that was not answered as expected."""

    name: str
    found: str


def predict_path(service: ServiceKey) -> str:
    """Where a `model:` service is asked when a golden request names no path."""
    return f"/v1/models/{service.name}:predict"
