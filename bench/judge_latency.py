"""Latency before the judge: a common day that swings, and green like blue, slower by its margin, or slower by more."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from bench.judge_runs import Many

from celadon.domain.durations import FIRST_US, GROWTH, Buckets
from celadon.domain.evidence import Durations, Tally
from celadon.judge.coin import EventCoin
from celadon.judge.latency import LatencyCoins, LatencyRules, quantile

LATENCY = LatencyRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Durations are lognormal (sigma 0.6, median 20 ms) times a day that swings by 30 %; green's are `slower` times it."""

    rate_per_s: float = 200.0
    share: int = 5000
    slower: float = 1.0
    seconds: int = 3600

    def windows(self, draws: np.random.Generator, window_s: int) -> Iterator[tuple[int, Durations]]:
        """The answers of each window; an hour of single seconds is not needed, as only window ends are looked at."""
        pi = self.share / 10_000
        for at_s in range(0, self.seconds, window_s):
            median_us = 20_000 * (1 + 0.3 * math.sin(at_s / 600 * 2 * math.pi))
            green, blue = draws.poisson(
                (self.rate_per_s * window_s * pi, self.rate_per_s * window_s * (1 - pi))
            )
            yield (
                at_s,
                Durations(
                    share=self.share,
                    green=_drawn(draws, green, median_us * self.slower),
                    blue=_drawn(draws, blue, median_us),
                ),
            )


def _drawn(draws: np.random.Generator, count: int, median_us: float) -> Buckets:
    natural = np.log(median_us / FIRST_US) + 0.6 * draws.standard_normal(count)
    numbers = np.maximum(0, np.ceil(natural / math.log(GROWTH))).astype(np.int64)
    found, counts = np.unique(numbers, return_counts=True)
    return tuple(zip(found.tolist(), counts.tolist(), strict=True))


def many_latencies(judge: LatencyCoins, service: Service, runs: int, seed: list[int]) -> tuple[Many, Many]:
    """When harm, and when fine, was proved in so many runs."""
    draws = np.random.default_rng(seed)
    window_s = judge.rules.slower.window_s
    harms, fines = [], []
    for _ in range(runs):
        slowness, harm, fine = judge.begin(0), math.inf, math.inf
        for at_s, durations in service.windows(draws, window_s):
            slowness = judge.add(slowness, at_s, durations)
            worth = judge.worth(slowness)
            harm = at_s + window_s if harm == math.inf and worth.harm >= 100 else harm
            fine = at_s + window_s if fine == math.inf and worth.fine >= 20 else fine
            if harm < math.inf:
                break
        harms.append(harm)
        fines.append(fine)
    return Many(reached_s=harms), Many(reached_s=fines)


def hindsight(judge: EventCoin, service: Service, runs: int, seed: list[int]) -> Many:
    """A broken judge, whose p99 threshold comes from the very window that it judges."""
    draws = np.random.default_rng(seed)
    window_s, reached = judge.rules.window_s, []
    for _ in range(runs):
        coin, found = judge.begin(0, (1000, 10)), math.inf
        for at_s, durations in service.windows(draws, window_s):
            limit = quantile(durations.blue, 0.99) if durations.blue else 0
            green, slow = (sum(n for at, n in durations.green if at > low) for low in (-1, limit))
            blue, blue_slow = (sum(n for at, n in durations.blue if at > low) for low in (-1, limit))
            coin = judge.add(coin, at_s, Tally(service.share, green, slow, blue, blue_slow))
            if judge.worth(coin).harm >= 100:
                found = at_s + window_s
                break
        reached.append(found)
    return Many(reached_s=reached)


def latency_figures(runs: int, seed: int) -> dict[str, float | int]:
    """Validity and delay at half and half, where both sides have the same load."""
    judge = LatencyCoins(LATENCY)
    margin = GROWTH**LATENCY.fine_buckets
    same, _ = many_latencies(judge, Service(slower=1.0), runs, [seed, 20])
    few, _ = many_latencies(judge, Service(rate_per_s=10, slower=1.0), runs, [seed, 21])
    tolerated, _ = many_latencies(judge, Service(slower=GROWTH**LATENCY.harm_buckets), runs, [seed, 22])
    _, beyond = many_latencies(judge, Service(slower=margin), runs, [seed, 23])
    slow, _ = many_latencies(judge, Service(slower=1.2), min(runs, 200), [seed, 24])
    return {
        "false_rollback_latency": same.share,
        "false_rollback_latency_at_tolerance": tolerated.share,
        "false_rollback_latency_worst_z": max(same.z(0.01), few.z(0.01), tolerated.z(0.01)),
        "false_promotion_latency": beyond.share,
        "false_promotion_latency_z": beyond.z(0.05),
        "detect_latency_20pct_s": slow.quantile_s(0.5),
        "detect_latency_20pct_share": slow.share,
    }
