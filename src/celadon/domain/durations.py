"""Durations in buckets: each ends 5 % above the one before it, so that sums are exact and margins whole buckets."""

import math

Buckets = tuple[tuple[int, int], ...]
"""How many answers took how long, as (bucket, answers) with buckets rising."""

GROWTH = 1.05
FIRST_US = 100.0


def bucket(duration_us: float) -> int:
    """The bucket of a duration; 0 for everything up to a tenth of a millisecond."""
    return max(0, math.ceil(math.log(max(duration_us, FIRST_US) / FIRST_US) / math.log(GROWTH) - 1e-9))


def end_us(number: int) -> float:
    """The longest duration of a bucket."""
    return FIRST_US * GROWTH**number
