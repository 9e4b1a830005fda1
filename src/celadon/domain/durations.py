"""Durations in buckets: each ends 5 % above the one before it, so that sums are exact and margins whole buckets."""

import math
from collections.abc import Sequence
from typing import TypeVar

Buckets = tuple[tuple[int, int], ...]
"""How many answers took how long, as (bucket, answers) with buckets rising."""

Bound = TypeVar("Bound", bound=float)

GROWTH = 1.05
FIRST_US = 100.0


def bucket(duration_us: float) -> int:
    """The bucket of a duration; 0 for everything up to a tenth of a millisecond."""
    return max(0, math.ceil(math.log(max(duration_us, FIRST_US) / FIRST_US) / math.log(GROWTH) - 1e-9))


def end_us(number: int) -> float:
    """The longest duration of a bucket."""
    return FIRST_US * GROWTH**number


def merged(one: Sequence[tuple[Bound, int]], other: Sequence[tuple[Bound, int]]) -> list[tuple[Bound, int]]:
    """Two cumulative histograms as one; a bound that one of them lacks has its count at the next lower one."""
    bounds = sorted({bound for bound, _ in [*one, *other]})
    return [
        (bound, a + b)
        for bound, a, b in zip(bounds, at_bounds(one, bounds), at_bounds(other, bounds), strict=True)
    ]


def at_bounds(steps: Sequence[tuple[Bound, int]], bounds: Sequence[Bound]) -> list[int]:
    """What a cumulative histogram counts up to each of these bounds: the most of its steps at or below it.

    steps: (upper bound, answers at or below it), bounds: both rising. Each step is looked at once.
    """
    counts, most, place = [], 0, 0
    for bound in bounds:
        while place < len(steps) and steps[place][0] <= bound:
            most = max(most, steps[place][1])
            place += 1
        counts.append(most)
    return counts
