"""Latency before the judge: a common day that swings, and green like blue, slower by its margin, or slower by more.

How many answers fall into which bucket of a window is drawn at once, since they come as Poisson processes.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from bench.judge_runs import Times
from bench.judge_streams import STREAMS, Draws, Lane, Numbers, Stream, Truth, Whole

from celadon.domain.durations import FIRST_US, GROWTH, Buckets
from celadon.domain.evidence import Durations, Tally
from celadon.judge.coin import EventCoin
from celadon.judge.latency import LatencyCoins, LatencyRules, quantile

LATENCY = LatencyRules()
WINDOW_S = LATENCY.slower.window_s
HALF = 5000
"""Both sides have the same load; elsewhere latency is not compared."""
BUCKETS = 260
NEVER = 1e-12
"""Answers of a bucket that are expected so rarely are not drawn."""
MEDIAN_US = 20_000.0
SIGMA = 0.6
PARETO = 1.5
AT_HARM = GROWTH**LATENCY.harm_buckets
AT_MARGIN = GROWTH**LATENCY.fine_buckets

Rows = Iterator[tuple[int, Durations]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Durations are lognormal (sigma 0.6, median 20 ms) or Pareto, times a day that both sides have in common.

    green's are `slower` times that. Failures are those of the stream; they took for ever. Where users are drawn and
    not requests, the first answer of each is counted.
    """

    stream: Stream
    slower: float = 1.0
    pareto: bool = False

    def windows(self, draws: Draws) -> Rows:
        """The answers of each window; single seconds are not needed, as only the ends of windows are looked at."""
        lanes = self.stream.lanes(draws, Truth(share=HALF))
        assert len(lanes) == 1, "latency is compared at one share"
        (lane,) = lanes
        scale = self._scale(draws, lane)
        green = self._drawn(draws, lane.green_calm, scale * self.slower)
        blue = self._drawn(draws, lane.blue_calm, scale)
        failed = [draws.poisson(_by_window(side)).tolist() for side in (lane.green_events, lane.blue_events)]
        for number, row in enumerate(zip(_rows(green), _rows(blue), *failed, strict=True)):
            yield (
                number * WINDOW_S,
                Durations(share=HALF, green=row[0], blue=row[1], green_failed=row[2], blue_failed=row[3]),
            )

    def _scale(self, draws: Draws, lane: Lane) -> Numbers:
        """The median of each window, in microseconds: a swing of 30 %, outages at three times it, and what drifts."""
        at_s = np.arange(0, len(lane.blue_calm), WINDOW_S)
        scale: Numbers = MEDIAN_US * (1 + 0.3 * np.sin(at_s / 600 * 2 * math.pi))
        if self.stream.outages:
            failing = _by_window(lane.blue_events) / _by_window(lane.blue_events + lane.blue_calm)
            scale = np.where(failing > 0.2, 3 * scale, scale)
        if self.stream.drifting:
            scale *= np.exp(np.cumsum(draws.normal(0, 0.05, len(scale))))
        if self.stream.rises_at_s:
            scale = np.where(at_s < self.stream.rises_at_s, scale, 2 * scale)
        return scale

    def _drawn(self, draws: Draws, calm: Numbers, median_us: Numbers) -> Whole:
        rates = _by_window(calm)[:, None] * np.diff(self._at_most(median_us), axis=1, prepend=0.0)
        wanted = rates.max(axis=0) > NEVER
        found = np.zeros(rates.shape, np.int64)
        found[:, wanted] = draws.poisson(np.maximum(rates[:, wanted], 0.0))
        return found

    def _at_most(self, median_us: Numbers) -> Numbers:
        """For each window, the chance of every bucket or one below it."""
        above = np.arange(BUCKETS) * math.log(GROWTH) - np.log(median_us / FIRST_US)[:, None]
        if self.pareto:
            found: Numbers = 1 - np.minimum(np.exp(-PARETO * above) / 2, 1.0)
        else:
            found = np.interp(above / SIGMA, *_normal_table())
        found[:, -1] = 1.0
        return found


def _by_window(rates: Numbers) -> Numbers:
    found: Numbers = np.add.reduceat(rates, np.arange(0, len(rates), WINDOW_S))
    return found


def _rows(counts: Whole) -> Iterator[Buckets]:
    for row in counts:
        numbers = np.flatnonzero(row)
        yield tuple(zip(numbers.tolist(), row[numbers].tolist(), strict=True))


@cache
def _normal_table() -> tuple[Numbers, Numbers]:
    """The normal distribution function, to look up between."""
    points = np.linspace(-9, 9, 3601)
    return points, np.array([math.erfc(-x / math.sqrt(2)) / 2 for x in points])


HORIZON_S = 1200
"""More than twenty times what any test needs at 200 requests/s for 1.5 times as many slow answers at the 99th percentile."""

_SHORT = {
    stream.name: Stream(
        name=stream.name,
        base=stream.base,
        seconds=HORIZON_S,
        swinging=stream.swinging,
        bursts=stream.bursts,
        drifting=stream.drifting,
        outages=stream.outages,
        restarts=stream.restarts,
        rises_at_s=HORIZON_S // 2 if stream.rises_at_s else 0,
    )
    for stream in STREAMS
}
SERVICES = {
    **{
        name: Service(stream=_SHORT[name])
        for name in ("even", "bursts", "drifting", "outages", "all_common", "restarts", "late")
    },
    "pareto": Service(stream=_SHORT["even"], pareto=True),
    "quiet": Service(stream=Stream(name="quiet", base=0.01, seconds=3 * HORIZON_S, rate_per_s=20.0)),
    "users": Service(stream=Stream(name="users", base=0.01, seconds=3 * HORIZON_S, users=8.0)),
}
"""Latency is not compared while green's share rises; labels have none."""


@cache
def _judge() -> LatencyCoins:
    return LatencyCoins(LATENCY)


def slowed(service: Service, fine: bool, draws: Draws, runs: int) -> list[Times]:
    """When harm, or when fine, was proved in so many runs."""
    judge, found = _judge(), []
    for _ in range(runs):
        slowness, at = judge.begin(0), math.inf
        for at_s, durations in service.windows(draws):
            slowness = judge.add(slowness, at_s, durations)
            worth = judge.worth(slowness)
            if worth.fine >= 20 if fine else worth.harm >= 100:
                at = at_s + WINDOW_S
                break
        found.append([at])
    return found


def hindsight(service: Service, draws: Draws, runs: int) -> list[Times]:
    """A broken judge, whose p99 threshold comes from the very window that it judges."""
    judge, found = EventCoin(LATENCY.slower), []
    for _ in range(runs):
        coin, at = judge.begin(0, (1000, 10)), math.inf
        for at_s, durations in service.windows(draws):
            limit = quantile(durations.blue, 0.99) if durations.blue else 0
            green, slow = (sum(n for at, n in durations.green if at > low) for low in (-1, limit))
            blue, blue_slow = (sum(n for at, n in durations.blue if at > low) for low in (-1, limit))
            coin = judge.add(coin, at_s, Tally(HALF, green, slow, blue, blue_slow))
            if judge.worth(coin).harm >= 100:
                at = at_s + WINDOW_S
                break
        found.append([at])
    return found
