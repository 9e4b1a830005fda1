"""From what each run saw to the figures of `bench.scale`: pure arithmetic."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Figures = dict[str, float | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one run saw. cpu_ms: processor time of celadon alone for every service once, a period's worth.

    lag_s: from when a service was due, or a fact of it changed, to its decision being durable.
    """

    services: int
    released: int
    ended: int
    idle_cpu_ms: float
    cpu_ms: float
    rss_mib: float
    lag_s_p99: float
    lag_s_max: float
    bytes_per_release: float


def growth_exponent(few: int, few_ms: float, many: int, many_ms: float) -> float:
    """The slope between two points where both axes are logarithms: 1 where twice the services cost twice as much."""
    return math.log(many_ms / few_ms) / math.log(many / few)


def figures_of(rounds: Mapping[int, Sequence[Seen]]) -> Figures:
    """rounds: by number of services. Medians of the rounds; of lags and memory the largest, of the largest number."""
    costs_ms = {count: median(seen.cpu_ms for seen in runs) for count, runs in rounds.items()}
    most, before = sorted(rounds, reverse=True)[:2]
    last = rounds[most]
    every = [seen for runs in rounds.values() for seen in runs]
    return {
        **{f"cpu_ms_per_tick_{count}": costs_ms[count] for count in sorted(rounds)},
        "idle_service_us_per_tick": median(1000 * seen.idle_cpu_ms / most for seen in last),
        f"rss_mb_{most}": max(seen.rss_mib for seen in last) * 2**20 / 1e6,
        "journal_bytes_per_release": median(seen.bytes_per_release for seen in last),
        "growth_exponent": growth_exponent(before, costs_ms[before], most, costs_ms[most]),
        "decision_lag_s_p99": max(seen.lag_s_p99 for seen in last),
        "decision_lag_s_max": max(seen.lag_s_max for seen in last),
        "released": sum(seen.released for seen in every),
        "promoted": sum(seen.ended for seen in every),
    }
