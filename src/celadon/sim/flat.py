"""Whether a curve is flat, by arithmetic and not by eye: growth per hour against a limit that was set beforehand.

Shared by the soak of the simulated world and by its twin on real processes (`bench/soak.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

HOUR_S = 3600.0
BINS = 12
SPELLS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One quantity over time. at_s: seconds from any one moment on, rising; sawtooth: it is tidied up now and then,
    so that only its peaks say whether it grows.
    """

    name: str
    at_s: Sequence[float]
    values: Sequence[float]
    sawtooth: bool = False

    def since(self, at_s: float) -> "Curve":
        """What is left without the warm-up."""
        kept = [(at, value) for at, value in zip(self.at_s, self.values, strict=True) if at >= at_s]
        return Curve(
            name=self.name,
            at_s=[at for at, _ in kept],
            values=[value for _, value in kept],
            sawtooth=self.sawtooth,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What may grow in an hour, in percent of the curve's median or in its own unit, whichever is more."""

    percent: float
    amount: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What a curve did. amount_per_hour has the curve's unit; percent_per_hour is of its median."""

    middle: float
    amount_per_hour: float
    percent_per_hour: float

    def within(self, limit: Limit) -> bool:
        """Whether the curve is flat; one that falls is."""
        return self.percent_per_hour <= limit.percent or self.amount_per_hour <= limit.amount


def growth(curve: Curve) -> Growth:
    """The larger of two slopes that no single spike decides: the median of those between any two bins of time (Theil
    1950, Sen 1968), which sees what rises steadily, and that from the first quarter to the last, which sees a step.

    A bin stands for the median of its values, or, of a sawtooth, for its peak: there are fewer of these, for each has
    to hold a peak. A curve that has values in one bin alone can not grow.
    """
    assert curve.values, f"{curve.name} has no values"
    points = _binned(curve)
    slopes = [(late - early) / (then - before) for (before, early), (then, late) in combinations(points, 2)]
    per_hour = max(median(slopes), _from_end_to_end(points)) * HOUR_S if slopes else 0.0
    middle = median(curve.values)
    if per_hour == 0:
        percent = 0.0
    else:
        percent = 100 * per_hour / middle if middle else math.copysign(math.inf, per_hour)
    return Growth(middle=middle, amount_per_hour=per_hour, percent_per_hour=percent)


def _from_end_to_end(points: Sequence[tuple[float, float]]) -> float:
    few = max(1, len(points) // 4)
    first, last = points[:few], points[-few:]
    rise = median(value for _, value in last) - median(value for _, value in first)
    return rise / (median(at for at, _ in last) - median(at for at, _ in first))


def _binned(curve: Curve) -> list[tuple[float, float]]:
    """The middle of each bin that has values, and what stands for them."""
    first, last = curve.at_s[0], curve.at_s[-1]
    count = SPELLS if curve.sawtooth else BINS
    wide_s = (last - first) / count
    bins: dict[int, list[float]] = {}
    for at, value in zip(curve.at_s, curve.values, strict=True):
        number = min(count - 1, int((at - first) / wide_s)) if wide_s else 0
        bins.setdefault(number, []).append(value)
    stands = max if curve.sawtooth else median
    return [(first + (number + 0.5) * wide_s, stands(values)) for number, values in sorted(bins.items())]
