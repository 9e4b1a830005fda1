"""How many requests the judge needs, beside what no test can do with less."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from bench.judge_streams import Draws, Whole
from numpy.typing import NDArray

from celadon.domain.evidence import Coin, Tally
from celadon.judge.bet import not_worse
from celadon.judge.coin import EventCoin
from celadon.judge.odds import Rules, boundary
from celadon.judge.planner import Traffic, harm_forecast

CHUNK = 128
RATE_PER_S = 200
LEVEL = 20.0
SHIPPED_LEVEL = 100.0


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


def harm_bound(cell: Cell, level: float = LEVEL) -> float:
    """Green requests below which no test at that level can be on average, blue's share not known."""
    pi, green = cell.share / 10_000, cell.k * cell.base
    pooled = pi * green + (1 - pi) * cell.base
    return math.log(level) * pi / (pi * kl(green, pooled) + (1 - pi) * kl(cell.base, pooled))


def fine_bound(cell: Cell) -> float:
    """The same for proving that equal shares of events are within a ratio of k."""
    pi = cell.share / 10_000
    green, blue = boundary(pi, cell.base, cell.base, cell.k, 0.0)
    return math.log(LEVEL) * pi / (pi * kl(cell.base, green) + (1 - pi) * kl(cell.base, blue))


@dataclass(frozen=True, slots=True)
class Events:
    """The next events, each with the calm requests before it: requests, those of green, and which events are green's."""

    requests: Whole
    green: Whole
    on_green: NDArray[np.bool_]

    def summed(self, starts: Whole) -> list[tuple[int, int, int, int]]:
        """For blocks that begin there: requests, green's, green's events, and all events."""
        parts = (self.requests, self.green, self.on_green.astype(np.int64), np.ones_like(self.requests))
        columns = [np.add.reduceat(part, starts).tolist() for part in parts]
        return list(zip(*columns, strict=True))


def events(draws: Draws, blue: float, green: float, share: int) -> Iterator[Events]:
    """For ever: the calm requests up to the next event, and that event."""
    pi = share / 10_000
    pooled = pi * green + (1 - pi) * blue
    while True:
        calm = draws.geometric(pooled, CHUNK) - 1
        on_green = draws.random(CHUNK) < pi * green / pooled
        calm_green = draws.binomial(calm, pi * (1 - green) / (1 - pooled))
        yield Events(calm + 1, calm_green + on_green, on_green)


@dataclass(slots=True)
class Walk:
    """A coin on its way, and the requests that it has seen, of both sides and of green."""

    judge: EventCoin
    share: int
    coin: Coin
    requests: int = 0
    green: int = 0

    def on(self, block: tuple[int, int, int, int]) -> "Walk":
        requests, green, green_events, both = block
        total = self.requests + requests
        tally = Tally(self.share, green, green_events, requests - green, both - green_events)
        coin = self.judge.add(self.coin, total // RATE_PER_S, tally)
        return Walk(self.judge, self.share, coin, total, self.green + green)

    def worth(self, *, harm: bool) -> float:
        worth = self.judge.worth(self.coin)
        return worth.harm if harm else worth.fine


def green_needed(judge: EventCoin, cell: Cell, draws: Draws, *, harm: bool, level: float = LEVEL) -> int:
    """Green's requests until the bet is worth the threshold.

    Events come in blocks. The bet on harm rises with green's events, so a block ends with one. The bet on fine falls
    with them, so a block ends before one, and where it ends above the threshold its events are looked at one by one.
    """
    before = HISTORY, int(draws.binomial(HISTORY, cell.base))
    share, coin = cell.share, judge.begin(0, before)
    requests = green = 0
    for chunk in events(draws, cell.base, cell.base * (cell.k if harm else 1.0), share):
        on_green = np.flatnonzero(chunk.on_green)
        starts = np.union1d([0], on_green[on_green < CHUNK - 1] + 1 if harm else on_green)
        for place, (more, more_green, bad, both) in enumerate(chunk.summed(starts)):
            at_s = (requests + more) // RATE_PER_S
            later = judge.add(coin, at_s, Tally(share, more_green, bad, more - more_green, both - bad))
            worth = judge.worth(later)
            if (worth.harm if harm else worth.fine) >= level:
                if harm:
                    return green + more_green
                single = chunk.summed(np.arange(CHUNK))[starts[place] : (*starts, CHUNK)[place + 1]]
                return _first(Walk(judge, share, coin, requests, green), single, level)
            coin, requests, green = later, requests + more, green + more_green
    raise AssertionError("an endless stream ended")


def _first(walk: Walk, single: list[tuple[int, int, int, int]], level: float) -> int:
    """Green's requests at the first of the events after which the bet on fine is worth that much, or at the last."""
    for event in single:
        walk = walk.on(event)
        if walk.worth(harm=False) >= level:
            break
    return walk.green


ALONE = replace(Rules(), cap=math.inf, fine_cap=math.inf, first=1.0, fine_extra=0.0)
"""One bet alone: windows not capped, and no bets for harm that sets in late."""


def needed_alone(cell: Cell, harm: bool, draws: Draws, runs: int) -> list[list[float]]:
    """Green's requests that so many runs needed, at a threshold of 20."""
    judge = EventCoin(replace(ALONE, fine_ratio=1.5 if harm else cell.k))
    return [[green_needed(judge, cell, draws, harm=harm)] for _ in range(runs)]


def needed_shipped(cell: Cell, draws: Draws, runs: int) -> list[list[float]]:
    """The same for harm with the robust layer and late bets, at the threshold of a rollback."""
    judge = EventCoin(Rules())
    return [[green_needed(judge, cell, draws, harm=True, level=SHIPPED_LEVEL)] for _ in range(runs)]


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def labels_needed(cap: float, pairs_per_s: float, draws: Draws, runs: int) -> list[list[float]]:
    """Labels until mirrored pairs of which 5 % differ prove a margin of one percentage point, in so many runs."""
    pairs, differ, found = not_worse(0.01, cap), 0.05, []
    for _ in range(runs):
        bet, requests, labels = pairs.begin(0), 0, 0
        while pairs.worth(bet)[0] < LEVEL:
            gap = int(draws.geometric(differ))
            requests, labels = requests + gap, labels + 1
            worse = int(draws.random() < 0.5)
            bet = pairs.add(bet, int(requests / pairs_per_s), (gap - 1, 1 - worse, worse))
        found.append([float(labels)])
    return found


def planner_errors(needed: Mapping[Cell, Sequence[float]], rules: Rules) -> tuple[float, float]:
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
