"""The judge before simulated streams: how often it is wrong, and how soon it is right."""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from bench.judge_streams import (
    Draws,
    Steps,
    Stream,
    Truth,
    counted_by_request,
    looks,
    steps,
    summed_to,
)

from celadon.domain.evidence import Tally
from celadon.domain.verdict import Worth
from celadon.judge.coin import EventCoin
from celadon.judge.odds import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A threshold that one of the bets may reach. at: the bet's place in `Worth`.

    part: of the money, the rest of which is not staked.
    """

    at: int
    threshold: float
    part: float = 1.0

    @property
    def money(self) -> float:
        """What the bet alone must be worth."""
        return (self.threshold - 1 + self.part) / self.part


HARM = Goal(at=Worth._fields.index("harm"), threshold=100.0)
FREEZE = Goal(at=Worth._fields.index("suspected"), threshold=20.0)
FINE = Goal(at=Worth._fields.index("fine"), threshold=20.0)

Times = list[float]
"""When each goal was reached in one run, in seconds; infinite where it never was."""


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


def columns(runs: Sequence[Times]) -> list[Many]:
    """One for each goal."""
    return [Many(reached_s=column) for column in zip(*runs, strict=True)]


def reached(
    judge: EventCoin,
    stream: Iterable[tuple[int, Sequence[Tally]]],
    goals: Sequence[Goal],
    *,
    forgets: bool = False,
) -> Times:
    """The second after which each goal was first reached.

    forgets: a broken judge that starts anew after a crash, and crashes at a window's end while it has lost money.
    """
    coin, found = judge.begin(0), [math.inf] * len(goals)
    left = [(place, goal.at, goal.money) for place, goal in enumerate(goals)]
    for at_s, tallies in stream:
        if forgets and at_s // judge.rules.window_s > coin.closed.window and judge.worth(coin).harm < 1:
            coin = judge.begin(at_s)
        for tally in tallies:
            coin = judge.add(coin, at_s, tally)
        worth = judge.worth(coin)
        for place, at, money in left:
            if worth[at] >= money:
                found[place] = at_s + 1
                left = [goal for goal in left if goal[0] != place]
        if not left:
            break
    return found


ALIKE = Truth()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is simulated. part: of the money, which errors have beside other metrics."""

    stream: Stream
    truth: Truth = ALIKE
    part: float = 1.0


@cache
def shipped() -> EventCoin:
    """The judge of errors as it is shipped."""
    return EventCoin(Rules())


def harmed(case: Case, draws: Draws, runs: int) -> list[Times]:
    """When harm was proved and when it was suspected, in so many runs."""
    goals = [replace(goal, part=case.part) for goal in (HARM, FREEZE)]
    return [reached(shipped(), _steps(case, draws), goals) for _ in range(runs)]


def promoted(case: Case, draws: Draws, runs: int) -> list[Times]:
    """When green was proved fine, in so many runs."""
    return [reached(shipped(), _steps(case, draws, every=True), (FINE,)) for _ in range(runs)]


def forgetting(case: Case, draws: Draws, runs: int) -> list[Times]:
    """A broken judge that a crash makes forget what it lost."""
    return [reached(shipped(), _steps(case, draws), (HARM,), forgets=True) for _ in range(runs)]


def by_request(case: Case, draws: Draws, runs: int) -> list[Times]:
    """A judge that counts every failure of users who stay on their side."""
    found = []
    for _ in range(runs):
        seconds = counted_by_request(draws, case.truth, case.stream)
        ends = looks(seconds.green_events > 0, shipped().rules.window_s)
        found.append(reached(shipped(), summed_to(ends, case.truth.share, seconds), (HARM,)))
    return found


def _steps(case: Case, draws: Draws, *, every: bool = False) -> Steps:
    lanes = case.stream.lanes(draws, case.truth)
    return steps(draws, lanes, shipped().rules.window_s, every=every)


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
