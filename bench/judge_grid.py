"""How many requests the judge needs, beside what no test can do with less."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from celadon.domain.evidence import Tally
from celadon.judge.bet import not_worse
from celadon.judge.coin import EventCoin
from celadon.judge.odds import Rules, boundary
from celadon.judge.planner import Traffic, harm_forecast

CHUNK = 128
RATE_PER_S = 200
LEVEL = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One situation: blue's share of events, how many times larger green's is, and green's share of requests."""

    base: float
    k: float
    share: int


def _cells(ratios: tuple[float, ...]) -> tuple[Cell, ...]:
    return tuple(
        Cell(base=base, k=k, share=share)
        for base in (0.001, 0.01, 0.05)
        for k in ratios
        for share in (500, 5000)
    )


HARM_CELLS = _cells((1.5, 2.0, 5.0))
FINE_CELLS = _cells((1.25, 1.5, 2.0))
HISTORY = 2000
"""Answers of blue before the comparison, from which its share of events is first guessed."""


def kl(x: float, y: float) -> float:
    """Kullback-Leibler divergence of two coins, in nats."""
    return sum(a * math.log(a / b) for a, b in ((x, y), (1 - x, 1 - y)) if a > 0)


def harm_bound(cell: Cell) -> float:
    """Green requests below which no test at that level can be on average, blue's share not known."""
    pi, green = cell.share / 10_000, cell.k * cell.base
    pooled = pi * green + (1 - pi) * cell.base
    return math.log(LEVEL) * pi / (pi * kl(green, pooled) + (1 - pi) * kl(cell.base, pooled))


def fine_bound(cell: Cell) -> float:
    """The same for proving that equal shares of events are within a ratio of k."""
    pi = cell.share / 10_000
    green, blue = boundary(pi, cell.base, cell.base, cell.k, 0.0)
    return math.log(LEVEL) * pi / (pi * kl(cell.base, green) + (1 - pi) * kl(cell.base, blue))


def events(draws: np.random.Generator, blue: float, green: float, share: int) -> Iterator[Tally]:
    """For ever: the calm requests up to the next event, and that event."""
    pi = share / 10_000
    pooled = pi * green + (1 - pi) * blue
    calm_share = pi * (1 - green) / (1 - pooled)
    while True:
        calm = draws.geometric(pooled, CHUNK) - 1
        calm_green = draws.binomial(calm, calm_share)
        on_green = draws.random(CHUNK) < pi * green / pooled
        for total, of_green, bad in zip(calm.tolist(), calm_green.tolist(), on_green.tolist(), strict=True):
            yield Tally(share, of_green + bad, int(bad), total - of_green + (not bad), int(not bad))


def green_needed(
    judge: EventCoin,
    cell: Cell,
    draws: np.random.Generator,
    *,
    harm: bool,
    history: bool = True,
) -> int:
    """Green's requests until the bet is worth the threshold, looking after each event."""
    coin = judge.begin(0, (HISTORY, int(draws.binomial(HISTORY, cell.base))) if history else (0, 0))
    requests = green = 0
    for tally in events(draws, cell.base, cell.base * (cell.k if harm else 1.0), cell.share):
        requests += tally.green + tally.blue
        green += tally.green
        coin = judge.add(coin, requests // RATE_PER_S, tally)
        if harm and not tally.green_events and coin.closed.base < judge.rules.whole_from:
            continue
        worth = judge.worth(coin)
        if (worth.harm if harm else worth.fine) >= LEVEL:
            return green
    raise AssertionError("an endless stream ended")


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def labels_needed(draws: np.random.Generator, runs: int, *, cap: float) -> float:
    """Labels, on average, until mirrored pairs of which 5 % differ prove a margin of one percentage point."""
    pairs, differ, total = not_worse(0.01, cap), 0.05, 0
    for _ in range(runs):
        bet, requests = pairs.begin(0), 0
        while pairs.worth(bet)[0] < LEVEL:
            gap = int(draws.geometric(differ))
            requests, total = requests + gap, total + 1
            worse = int(draws.random() < 0.5)
            bet = pairs.add(bet, requests // RATE_PER_S, (gap - 1, 1 - worse, worse))
    return total / runs


def planner_errors(needed: Mapping[Cell, Sequence[int]], rules: Rules) -> tuple[float, float]:
    """The planner's worst relative error on mean and median, and on the 95th percentile."""
    middle, late = [], []
    for cell, greens in needed.items():
        plan = harm_forecast(
            rules, Traffic(rate_per_s=RATE_PER_S, share=cell.share, base=cell.base), cell.k, LEVEL
        )
        assert plan is not None
        middle += [
            abs(plan.mean / np.mean(greens) - 1),
            abs(plan.p50 / np.quantile(greens, 0.5) - 1),
        ]
        late.append(abs(plan.p95 / np.quantile(greens, 0.95) - 1))
    return float(max(middle)), float(max(late))
