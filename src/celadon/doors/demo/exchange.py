"""One request as its caller saw it, and what many of them say together."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from celadon.doors.demo.story import SERVICE


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """at: wall time at which it was meant to be sent; latency_ms counts from then, so that waiting counts too.

    status None: no answer came, and fault says why. revision: who answered, as the answer says. right: whether
    the digit was read rightly; None without a readable answer. service: who was asked; request: id of the request, as
    the answer says; digit: what the image showed.
    """

    at: float
    latency_ms: float
    status: int | None = None
    revision: str | None = None
    right: bool | None = None
    fault: str = ""
    service: str = SERVICE
    request: str = ""
    digit: int = 0

    @property
    def failed(self) -> bool:
        """Whether the caller did not get what was asked for, wrong digits aside."""
        return self.status != 200 or self.right is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What callers saw of some requests. Latencies and right_share are None without an answer.

    statuses: answers by HTTP status; `none` counts requests without one.
    """

    requests: int
    failures: int
    latency_ms_p50: float | None
    latency_ms_p95: float | None
    right_share: float | None
    statuses: Mapping[str, int]


def seen(exchanges: Sequence[Exchange]) -> Seen:
    """Sums up. right_share: part of the readable answers that were right."""
    answered = sorted(exchange.latency_ms for exchange in exchanges if exchange.status is not None)
    readings = [exchange.right for exchange in exchanges if exchange.right is not None]
    return Seen(
        requests=len(exchanges),
        failures=sum(exchange.failed for exchange in exchanges),
        latency_ms_p50=quantile(answered, 0.5),
        latency_ms_p95=quantile(answered, 0.95),
        right_share=sum(readings) / len(readings) if readings else None,
        statuses=dict(Counter(str(exchange.status or "none") for exchange in exchanges)),
    )


def quantile(ordered: Sequence[float], q: float) -> float | None:
    """The smallest value that at least `q` of all are not above (nearest rank)."""
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)] if ordered else None


def by_revision(exchanges: Iterable[Exchange]) -> Mapping[str | None, list[Exchange]]:
    """Exchanges of each revision, in the order in which the revisions first answered."""
    groups: dict[str | None, list[Exchange]] = {}
    for exchange in exchanges:
        groups.setdefault(exchange.revision, []).append(exchange)
    return groups
