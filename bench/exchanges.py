"""What the load generator wrote down: one exchange per request or stream."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and what became of it; all times are of the monotonic clock, 0 for what never happened.

    `fault` is empty when the whole and right answer came. `answered_by` is the name that the backend gave
    itself in a header, so it tells where a request was routed and not what a router claims.
    """

    kind: Literal["request", "stream"]
    target: int
    intended_ns: int
    taken_ns: int
    sent_ns: int
    end_ns: int
    reused: bool
    status: int
    answered_by: str
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """All exchanges of one run of the generator, and how many it issued by its own count."""

    requests: Sequence[Exchange]
    streams: Sequence[Exchange]
    requests_issued: int
    streams_issued: int


def read_traffic(path: Path, *, requests_issued: int, streams_issued: int) -> Traffic:
    with path.open(newline="") as file:
        exchanges = [_exchange(row) for row in csv.DictReader(file)]
    return Traffic(
        requests=[e for e in exchanges if e.kind == "request"],
        streams=[e for e in exchanges if e.kind == "stream"],
        requests_issued=requests_issued,
        streams_issued=streams_issued,
    )


def _exchange(row: dict[str, str]) -> Exchange:
    kind = row["kind"]
    assert kind in ("request", "stream"), kind
    return Exchange(
        kind="request" if kind == "request" else "stream",
        target=int(row["target"]),
        intended_ns=int(row["intended_ns"]),
        taken_ns=int(row["taken_ns"]),
        sent_ns=int(row["sent_ns"]),
        end_ns=int(row["end_ns"]),
        reused=row["reused"] == "1",
        status=int(row["status"]),
        answered_by=row["revision"],
        fault=row["fault"],
    )


def lost(traffic: Traffic) -> int:
    """Requests without their whole and right answer, and requests that left no record at all."""
    faulty = sum(1 for e in traffic.requests if e.fault)
    return faulty + traffic.requests_issued - len(traffic.requests)


def cut_streams(traffic: Traffic) -> int:
    """Streams without their end mark or with other content, and streams that left no record at all."""
    faulty = sum(1 for e in traffic.streams if e.fault)
    return faulty + traffic.streams_issued - len(traffic.streams)


def faults(traffic: Traffic) -> dict[str, int]:
    """How often each class of fault was seen, for the reader of a bad result."""
    counts: dict[str, int] = {}
    for e in (*traffic.requests, *traffic.streams):
        if e.fault:
            counts[f"{e.kind} {e.fault}"] = counts.get(f"{e.kind} {e.fault}", 0) + 1
    return counts


def in_flight(exchanges: Iterable[Exchange], at_ns: int) -> int:
    """Exchanges that were sent and not yet over at one moment."""
    return sum(1 for e in exchanges if 0 < e.sent_ns <= at_ns < e.end_ns)


def send_lag_ms_p99(traffic: Traffic) -> float:
    """How late the generator itself was. A new connection's handshake is the other end's time, so there
    only the taking up counts."""
    late_ns = [(e.sent_ns if e.reused else e.taken_ns) - e.intended_ns for e in traffic.requests]
    return quantile(late_ns, 0.99) / 1e6


def latency_ms_p99(
    exchanges: Iterable[Exchange], from_ns: int, to_ns: int, *, target: int | None = None
) -> float:
    """Callers' p99 over the requests intended in [from_ns, to_ns), counted from the intended send time."""
    chosen = [
        e.end_ns - e.intended_ns
        for e in exchanges
        if from_ns <= e.intended_ns < to_ns and target in (None, e.target)
    ]
    return quantile(chosen, 0.99) / 1e6


def quantile(values: Iterable[float], share: float) -> float:
    """The smallest value with at least this share of all values at or below it."""
    ordered = sorted(values)
    assert ordered, "a quantile of nothing"
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]
