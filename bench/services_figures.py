"""From what each round saw to the figures of `bench.services`: pure arithmetic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.exchanges import Exchange, quantile
from bench.rounds import spread

Figures = dict[str, float | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretches:
    """The callers' p99 of the services that were not released, in each stretch of a round."""

    quiet_ms_p99: tuple[float, float]
    """Two like stretches before anything happens: their ratio is what noise alone does."""
    starting_ms_p99: float
    """While the greens of other services start, from the deploy until they wait at their gates."""
    switching_ms_p99: float
    """From the commands that switch the other services on: switch, watch, tidying up and retiring blue."""

    @property
    def noise_ratio(self) -> float:
        return self.quiet_ms_p99[1] / self.quiet_ms_p99[0]

    @property
    def starting_ratio(self) -> float:
        return self.starting_ms_p99 / median(self.quiet_ms_p99)

    @property
    def switching_ratio(self) -> float:
        return self.switching_ms_p99 / median(self.quiet_ms_p99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What celadon itself takes. Percentages of one core; idle: nothing is released and nobody calls."""

    daemon_cpu_percent_idle: float
    daemon_cpu_percent_loaded: float
    envoy_cpu_percent_idle: float
    daemon_rss_mib: float
    envoy_rss_mib: float
    first_deploy_s: float
    """From one deploy of all services until every one of them serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One round."""

    others: Stretches
    cost: Cost
    requests: int
    lost: int
    retries: int
    faults: Mapping[str, int]
    send_lag_ms_p99: float


def others_ms_p99(requests: Sequence[Exchange], targets: frozenset[int], from_ns: int, to_ns: int) -> float:
    """From the intended send time, over the requests of these services intended in [from_ns, to_ns)."""
    taken_ns = [
        e.end_ns - e.intended_ns for e in requests if e.target in targets and from_ns <= e.intended_ns < to_ns
    ]
    return quantile(taken_ns, 0.99) / 1e6


def figures_of(rounds: Sequence[Outcome]) -> Figures:
    switching = spread([o.others.switching_ratio for o in rounds])
    starting = spread([o.others.starting_ratio for o in rounds])
    noise = [abs(o.others.noise_ratio - 1) for o in rounds]
    costs = (
        "daemon_cpu_percent_idle",
        "daemon_cpu_percent_loaded",
        "envoy_cpu_percent_idle",
        "first_deploy_s",
    )
    return {
        "requests": sum(o.requests for o in rounds),
        "lost": sum(o.lost for o in rounds),
        "retries": sum(o.retries for o in rounds),
        "others_p99_ratio": switching.median,
        "others_p99_ratio_low": switching.low,
        "others_p99_ratio_high": switching.high,
        "others_p99_ratio_starting": starting.median,
        "others_p99_ratio_starting_low": starting.low,
        "others_p99_ratio_starting_high": starting.high,
        "others_quiet_ms_p99": median(ms for o in rounds for ms in o.others.quiet_ms_p99),
        "aa_p99_ratio_off_p50": median(noise),
        "aa_p99_ratio_off_max": max(noise),
        **{name: median(getattr(o.cost, name) for o in rounds) for name in costs},
        "daemon_rss_mib": max(o.cost.daemon_rss_mib for o in rounds),
        "envoy_rss_mib": max(o.cost.envoy_rss_mib for o in rounds),
        "send_lag_ms_p99": max(o.send_lag_ms_p99 for o in rounds),
    }
