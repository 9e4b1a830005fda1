"""The ratio of green's event share to blue's, with an interval that holds at every look.

It inverts the bet of the coin: a ratio is left out when the money against it reached the threshold. So what people
see and what is decided come from the same wealth. Only events count here, and windows are not capped.
"""

import math
from collections.abc import Callable, Iterable

from celadon.domain.evidence import Tally
from celadon.domain.verdict import Interval
from celadon.judge.odds import Rules

SIDE = 40.0
"""Money against a ratio that leaves it out: 2.5 % on each side."""
WIDEST = 12.0
"""Ratios beyond e to this are taken as 0 or without limit."""


def interval(rules: Rules, tallies: Iterable[Tally]) -> Interval:
    """The 95 % confidence sequence at this moment."""
    rows = [
        (t.share / 10_000, t.green_events, t.green_events + t.blue_events)
        for t in tallies
        if 0 < t.share < 10_000 and t.green_events + t.blue_events
    ]
    steps = [math.log(ratio) for ratio in rules.ratios]

    def above(log_k: float) -> bool:
        return _money(rows, log_k, steps) >= SIDE

    def below(log_k: float) -> bool:
        return _money(rows, log_k, [-step for step in steps]) >= SIDE

    low = _edge(lambda log_k: not above(log_k))
    high = _edge(below)
    return Interval(
        ratio=_best(rows),
        low=0.0 if low <= -WIDEST else math.exp(low),
        high=None if high >= WIDEST else math.exp(high),
    )


def _likelihood(rows: list[tuple[float, int, int]], log_k: float) -> float:
    k = math.exp(log_k)
    return sum(green * log_k - both * math.log(pi * k + 1 - pi) for pi, green, both in rows)


def _money(rows: list[tuple[float, int, int]], log_k: float, steps: list[float]) -> float:
    """What the spread bet is worth against the ratio; it only falls as the ratio moves the way of the bet."""
    here = _likelihood(rows, log_k)
    gains = [_likelihood(rows, log_k + step) - here for step in steps]
    return sum(math.exp(min(gain, 600.0)) for gain in gains) / len(gains)


def _edge(beyond: Callable[[float], bool]) -> float:
    """Where a condition begins to hold that holds for ever after."""
    low, high = -WIDEST, WIDEST
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if beyond(middle) else (middle, high)
    return high if high < WIDEST - 1e-6 and high > -WIDEST + 1e-6 else math.copysign(WIDEST, high)


def _best(rows: list[tuple[float, int, int]]) -> float | None:
    """The most likely ratio: events of green beside what was to be expected of them."""
    green, both = sum(row[1] for row in rows), sum(row[2] for row in rows)
    if both in (0, green):
        return None
    if green == 0:
        return 0.0

    def past(log_k: float) -> bool:
        k = math.exp(log_k)
        return sum(both * pi * k / (pi * k + 1 - pi) for pi, _, both in rows) >= green

    return math.exp(_edge(past))
