"""What callers noticed of a failure: from requests with the moments they were meant for to gaps and recovery time."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from celadon.domain.drill import Measured

WINDOW_S = 1.0
"""Served as before is said of a window of this length. A site's failover is judged by 30 s; on one machine, with
requests of its own at a known rate, a second tells as much."""

OK_SHARE = 0.99
RATE_SHARE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request. at: when it was meant to be sent; ended: when its answer was whole, or it had failed (wall time)."""

    at: float
    ended: float
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """steady: the last window up to `clear_to` was as good as those before the failure."""

    measured: Measured
    steady: bool
    before: int
    ok_before: int


def outage(asked: Sequence[Asked], struck_at: float | None, clear_to: float) -> Outage:
    """asked: by the moment they were meant for. clear_to: every request meant for before then has ended.

    What was on its way when the failure came counts as after it. struck_at None: there was no failure yet.
    """
    struck = clear_to if struck_at is None else struck_at
    before = [one for one in asked if one.ended <= struck]
    since = [one for one in asked if one.ended > struck and one.at < clear_to]
    rate = _rate(before)
    windows = _Windows(asked, rate)
    measured = Measured(
        requests=len(since),
        failed=sum(not one.ok for one in since),
        gap_ms=1000 * _gap_s(before, since, clear_to) if struck_at is not None else 0.0,
        slowest_ms=_slowest_ms(since),
        slowest_before_ms=_slowest_ms(before),
        rto_s=_rto_s(since, windows, clear_to),
    )
    steady = windows.good(clear_to - WINDOW_S)
    return Outage(
        measured=measured, steady=steady, before=len(before), ok_before=sum(one.ok for one in before)
    )


def _rate(before: Sequence[Asked]) -> float:
    """Right answers per second before the failure."""
    if len(before) < 2:
        return 0.0
    took_s = before[-1].at - before[0].at
    return sum(one.ok for one in before[1:]) / took_s if took_s > 0 else 0.0


def _slowest_ms(asked: Sequence[Asked]) -> float:
    return 1000 * max((one.ended - one.at for one in asked if one.ok), default=0.0)


def _gap_s(before: Sequence[Asked], since: Sequence[Asked], clear_to: float) -> float:
    """The longest time between two right answers, from the last one before the failure on, also if it goes on."""
    ends = sorted(one.ended for one in since if one.ok)
    last = max((one.ended for one in before if one.ok), default=ends[0] if ends else clear_to)
    moments = [last, *ends]
    if clear_to > moments[-1]:
        moments.append(clear_to)
    return max((later - earlier for earlier, later in pairwise(moments)), default=0.0)


def _rto_s(since: Sequence[Asked], windows: "_Windows", clear_to: float) -> float | None:
    """From the first failed request to the start of the first good window after it."""
    first = min((one.at for one in since if not one.ok), default=None)
    if first is None:
        return 0.0
    starts = (one.at for one in since if one.at > first and one.at + WINDOW_S <= clear_to)
    found = next((start for start in starts if windows.good(start)), None)
    return None if found is None else found - first


class _Windows:
    """Whether a window was as good as before. right: how many of the first n were right, for every n."""

    def __init__(self, asked: Sequence[Asked], rate: float) -> None:
        self._at = [one.at for one in asked]
        self._right = [0, *accumulate(one.ok for one in asked)]
        self._ok_ends = sorted(one.ended for one in asked if one.ok)
        self._needed = max(1, int(RATE_SHARE * rate * WINDOW_S))

    def good(self, start: float) -> bool:
        first, last = bisect_left(self._at, start), bisect_left(self._at, start + WINDOW_S)
        ends = bisect_left(self._ok_ends, start + WINDOW_S) - bisect_left(self._ok_ends, start)
        meant, right = last - first, self._right[last] - self._right[first]
        return meant > 0 and right >= OK_SHARE * meant and ends >= self._needed
