"""From what each round saw to the figures of `bench.switch`: pure arithmetic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.exchanges import quantile
from bench.rounds import paired_ratios, spread
from bench.switches import SwitchSeen

Figures = dict[str, float | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One party in one round."""

    switches: Sequence[SwitchSeen]
    retired: int
    requests: int
    streams: int
    lost: int
    cut_streams: int
    faults: Mapping[str, int]
    quiet_ms_p99: tuple[float, float]
    """Two like stretches before anything happens: their ratio is what noise alone does."""
    starting_ms_p99: float
    """While the new backend starts and warms up."""
    send_lag_ms_p99: float
    retries: int
    """Requests that the router itself sent again."""
    shell_ms: Sequence[float]
    """Switches by the command that a person types, from its start to its end; none where there is no such command."""

    @property
    def switch_ms_p50(self) -> float:
        return median(s.switch_ms for s in self.switches)

    @property
    def starting_ratio(self) -> float:
        return self.starting_ms_p99 / median(self.quiet_ms_p99)


def figures_of(rounds: Sequence[Outcome], prefix: str) -> Figures:
    switches = [s for outcome in rounds for s in outcome.switches]
    times_ms = [s.switch_ms for s in switches]
    found: Figures = {
        "switches": len(switches),
        "retired": sum(o.retired for o in rounds),
        "requests": sum(o.requests for o in rounds),
        "lost": sum(o.lost for o in rounds),
        "exposed_inflight": sum(s.exposed_inflight for s in switches),
        "streams": sum(o.streams for o in rounds),
        "open_streams_min": min(s.open_streams for s in switches),
        "cut_streams": sum(o.cut_streams for o in rounds),
        "switch_ms_p50": median(times_ms),
        "switch_ms_p99": quantile(times_ms, 0.99),
        "blue_p99_ratio": median(o.starting_ratio for o in rounds),
        "retries": sum(o.retries for o in rounds),
        "send_lag_ms_p99": max(o.send_lag_ms_p99 for o in rounds),
    }
    if shell_ms := [ms for outcome in rounds for ms in outcome.shell_ms]:
        found["command_ms_p50"] = median(shell_ms)
    return {prefix + name: value for name, value in found.items()}


def ratio_figures(outcomes: Mapping[str, Sequence[Outcome]]) -> Figures:
    """Every party beside nginx: the median of the ratios within each round, with their spread."""
    found: Figures = {}
    for name in outcomes:
        if name != "nginx":
            ratios = paired_ratios(*([o.switch_ms_p50 for o in outcomes[who]] for who in (name, "nginx")))
            seen = spread(ratios)
            found |= {
                f"{name}_to_nginx_ratio": seen.median,
                f"{name}_to_nginx_ratio_low": seen.low,
                f"{name}_to_nginx_ratio_high": seen.high,
            }
    return found


def noise_figures(outcomes: Mapping[str, Sequence[Outcome]]) -> Figures:
    """A party beside itself: nginx's even switches beside its odd ones, and two quiet stretches of everyone."""
    switching = [
        median(s.switch_ms for s in o.switches[::2]) / median(s.switch_ms for s in o.switches[1::2])
        for o in outcomes["nginx"]
    ]
    quiet = [o.quiet_ms_p99[1] / o.quiet_ms_p99[0] for rounds in outcomes.values() for o in rounds]
    return {
        "aa_switch_ratio_off_p50": median(abs(r - 1) for r in switching),
        "aa_p99_ratio_off_p50": median(abs(r - 1) for r in quiet),
        "aa_p99_ratio_off_max": max(abs(r - 1) for r in quiet),
    }
