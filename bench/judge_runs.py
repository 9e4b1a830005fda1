"""The judge before simulated streams: how often it is wrong, and how soon it is right."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from bench.judge_streams import Seconds, Truth, ticks

from celadon.domain.evidence import Tally
from celadon.domain.verdict import Worth
from celadon.judge.coin import EventCoin


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A threshold that one of the bets may reach."""

    look: Callable[[Worth], float]
    threshold: float


HARM = Goal(look=lambda worth: worth.harm, threshold=100.0)
FREEZE = Goal(look=lambda worth: worth.suspected, threshold=20.0)
FINE = Goal(look=lambda worth: worth.fine, threshold=20.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Many:
    """When each of many runs reached a goal, in seconds; infinite where it never did."""

    reached_s: Sequence[float]

    @property
    def share(self) -> float:
        return sum(math.isfinite(at) for at in self.reached_s) / len(self.reached_s)

    def quantile_s(self, q: float) -> float:
        """Over all runs, those that never reached the goal among them."""
        return sorted(self.reached_s)[int(q * (len(self.reached_s) - 1))]

    def z(self, alpha: float) -> float:
        """By how many standard errors more runs reached the goal than was promised."""
        return (self.share - alpha) / math.sqrt(alpha * (1 - alpha) / len(self.reached_s))


def reached(
    judge: EventCoin, steps: Iterable[tuple[int, Tally]], goals: Sequence[Goal], *, forgets: bool = False
) -> list[float]:
    """The second after which each goal was first reached.

    forgets: a broken judge that starts anew after a crash, and crashes at a window's end while it has lost money.
    """
    coin, found = judge.begin(0), [math.inf] * len(goals)
    for at_s, tally in steps:
        if forgets and at_s // judge.rules.window_s > coin.closed.window and judge.worth(coin).harm < 1:
            coin = judge.begin(at_s)
        coin = judge.add(coin, at_s, tally)
        worth = judge.worth(coin)
        for place, goal in enumerate(goals):
            if found[place] == math.inf and goal.look(worth) >= goal.threshold:
                found[place] = at_s + 1
        if math.inf not in found:
            break
    return found


def many(
    judge: EventCoin,
    draw: Callable[[np.random.Generator, Truth], Seconds],
    truth: Truth,
    *,
    runs: int,
    seed: Sequence[int],
    goals: Sequence[Goal],
    forgets: bool = False,
) -> list[Many]:
    """For each goal, when it was reached in so many runs."""
    draws = np.random.default_rng(seed)

    def once() -> list[float]:
        seconds = draw(draws, truth)
        steps = ticks(seconds, truth.share, judge.rules.window_s, before=FINE in goals)
        return reached(judge, steps, goals, forgets=forgets)

    return [Many(reached_s=column) for column in zip(*(once() for _ in range(runs)), strict=True)]


def us_per_tick(judge: EventCoin, rounds: int = 20) -> float:
    """Microseconds that one more second costs one metric, looked at; the median of some rounds."""
    tally = Tally(500, 10, 0, 190, 2)
    taken = []
    for _ in range(rounds):
        coin, began = judge.begin(0), time.perf_counter()
        for at_s in range(2000):
            coin = judge.add(coin, at_s, tally)
            judge.worth(coin)
        taken.append((time.perf_counter() - began) / 2000 * 1e6)
    return sorted(taken)[len(taken) // 2]
