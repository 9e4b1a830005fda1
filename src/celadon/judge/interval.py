"""The ratio of green's event share to blue's, with an interval that holds at every look.

It inverts the bet of the coin: a ratio is left out when the money against it reached the threshold. So what people
see and what is decided come from the same wealth. Only events count here, and windows are not capped.
"""

import math
from collections.abc import Callable, Iterable
from functools import lru_cache

from celadon.domain.evidence import Tally
from celadon.domain.verdict import Interval
from celadon.judge.odds import Rules

SIDE = 40.0
"""Money against a ratio that leaves it out: 2.5 % on each side."""
WIDEST = 12.0
"""Ratios beyond e to this are taken as 0 or without limit."""
HALVINGS = 18
"""Of the logarithms of all ratios: the last one is a ten-thousandth wide."""

Rows = tuple[tuple[float, int, int], ...]
"""Green's part of the requests, its events, and those of both sides, for every share."""


def interval(rules: Rules, tallies: Iterable[Tally]) -> Interval:
    """The 95 % confidence sequence at this moment."""
    rows = tuple(
        (t.share / 10_000, t.green_events, t.green_events + t.blue_events)
        for t in tallies
        if 0 < t.share < 10_000 and t.green_events + t.blue_events
    )
    return _interval(rules.ratios, rows) if rows else Interval(ratio=None, low=0.0, high=None)


@lru_cache(maxsize=1024)
def _interval(ratios: tuple[float, ...], rows: Rows) -> Interval:
    """It only moves when there was an event, and most seconds have none."""
    inverse = tuple(1 / ratio for ratio in ratios)
    low = _edge(lambda k: _money(rows, k, ratios) < SIDE)
    high = _edge(lambda k: _money(rows, k, inverse) >= SIDE)
    return Interval(
        ratio=_best(rows),
        low=0.0 if low <= -WIDEST else math.exp(low),
        high=None if high >= WIDEST else math.exp(high),
    )


def _money(rows: Rows, k: float, ratios: tuple[float, ...]) -> float:
    """What the spread bet is worth against the ratio k; it only falls as k moves the way of the bet."""
    total, log = 0.0, math.log
    here = [log(pi * k + 1 - pi) for pi, _, _ in rows]
    for ratio in ratios:
        gain, step, other = 0.0, log(ratio), k * ratio
        for (pi, green, both), spread in zip(rows, here, strict=True):
            gain += green * step - both * (log(pi * other + 1 - pi) - spread)
        total += math.exp(min(gain, 600.0))
    return total / len(ratios)


def _edge(beyond: Callable[[float], bool]) -> float:
    """The logarithm of the ratio from which on a condition holds for ever after."""
    low, high = -WIDEST, WIDEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if beyond(math.exp(middle)) else (middle, high)
    last = 2 * WIDEST / 2**HALVINGS
    if high >= WIDEST - last:
        return WIDEST
    return -WIDEST if high <= -WIDEST + last else (low + high) / 2


def _best(rows: Rows) -> float | None:
    """The most likely ratio: events of green beside what was to be expected of them."""
    green, both = sum(row[1] for row in rows), sum(row[2] for row in rows)
    if both in (0, green):
        return None
    if green == 0:
        return 0.0
    return math.exp(_edge(lambda k: sum(n * pi * k / (pi * k + 1 - pi) for pi, _, n in rows) >= green))
