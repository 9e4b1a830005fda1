"""Streams of answers with the habits of real services, second by second, whose truth is known."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from celadon.domain.evidence import Tally

Numbers = NDArray[np.float64]
Whole = NDArray[np.int64]

RESTARTS_EVERY_S = 1800
RESTART_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Green's share of events is `ratio` times blue's plus `extra`; green gets `share` of 10,000.

    apart: what green's own restarts add comes on top of blue's average, so that green is never within the margin.
    """

    ratio: float = 1.0
    extra: float = 0.0
    share: int = 500
    apart: bool = False

    def green(self, blue: Numbers) -> Numbers:
        return np.minimum(self.ratio * blue + self.extra, 0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """What every second brought: answers and events of both sides."""

    green: Whole
    green_events: Whole
    blue: Whole
    blue_events: Whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A kind of service. independent: no side has bad days of its own, so the uncapped bet is fair, too.

    sets_in_s: until then green is like blue. users: requests per user where users are drawn and not requests.
    """

    name: str
    base: float
    seconds: int = 3600
    rate_per_s: float = 200.0
    swinging: bool = False
    bursts: bool = False
    drifting: bool = False
    outages: bool = False
    restarts: bool = False
    users: float = 0.0
    sets_in_s: int = 0
    independent: bool = True

    def draw(self, draws: np.random.Generator, truth: Truth) -> Seconds:
        rate, blue = self._load(draws), self._events(draws)
        green = truth.green(blue)
        if self.restarts:
            often = RESTART_S / RESTARTS_EVERY_S if truth.apart else 0.0
            green = _restarted(draws, truth.green(blue * (1 - often) + 0.5 * often), 1)
            blue = _restarted(draws, blue, 19)
        if self.sets_in_s:
            green[: self.sets_in_s] = blue[: self.sets_in_s]
        pi = truth.share / 10_000
        answers = draws.poisson(rate * pi), draws.poisson(rate * (1 - pi))
        return Seconds(
            green=answers[0],
            green_events=draws.binomial(answers[0], green),
            blue=answers[1],
            blue_events=draws.binomial(answers[1], blue),
        )

    def _load(self, draws: np.random.Generator) -> Numbers:
        rate = np.full(self.seconds, self.rate_per_s / (self.users or 1.0))
        if self.swinging:
            rate *= 1 + 0.5 * np.sin(np.arange(self.seconds) / 600 * 2 * math.pi)
        if self.bursts:
            rate *= np.repeat(draws.gamma(0.75, 1 / 0.75, self.seconds // 5), 5)
        return rate

    def _events(self, draws: np.random.Generator) -> Numbers:
        odds = np.full(self.seconds, math.log(self.base / (1 - self.base)))
        if self.drifting:
            odds += np.repeat(_ar1(draws, self.seconds // 10, sd=0.6, steps=30.0), 10)
        share: Numbers = 1 / (1 + np.exp(-odds))
        if self.outages:
            for start in draws.integers(0, self.seconds, draws.poisson(self.seconds / 1200)):
                share[start : start + 20] = 0.5
        return share


def _ar1(draws: np.random.Generator, count: int, *, sd: float, steps: float) -> Numbers:
    keep = math.exp(-1 / steps)
    found = np.empty(count)
    value = draws.normal(0, sd)
    for place, kick in enumerate(draws.normal(0, sd * math.sqrt(1 - keep * keep), count).tolist()):
        found[place] = value
        value = keep * value + kick
    return found


def _restarted(draws: np.random.Generator, share: Numbers, replicas: int) -> Numbers:
    """Each replica starts again every 30 minutes, and for 10 s half of its answers are errors."""
    restarting = np.zeros(len(share))
    for phase in draws.integers(0, RESTARTS_EVERY_S, replicas).tolist():
        for start in range(phase, len(share), RESTARTS_EVERY_S):
            restarting[start : start + RESTART_S] += 1 / replicas
    found: Numbers = share * (1 - restarting) + 0.5 * restarting
    return found


STREAMS = (
    Stream(name="even", base=0.01, swinging=True),
    Stream(name="bursts", base=0.01, bursts=True),
    Stream(name="drifting", base=0.01, drifting=True),
    Stream(name="outages", base=0.01, outages=True),
    Stream(name="all_common", base=0.01, swinging=True, bursts=True, drifting=True, outages=True),
    Stream(name="restarts", base=0.01, restarts=True, independent=False),
    Stream(name="users", base=0.01, users=8.0),
    Stream(name="rare", base=0.001, seconds=14_400),
)
"""In `users` the drawn units are users with 8 requests each, and each counts once, with its first failure."""


def ticks(
    seconds: Seconds, share: int, window_s: int, *, before: bool = False
) -> Iterator[tuple[int, Tally]]:
    """The seconds at which the wealth can reach a new high, each with all that came since the one before.

    Those are seconds with an event of green, and the ends of windows. before: the seconds before an event of green
    as well, for bets that rise with answers that are no events.
    """
    event = seconds.green_events > 0
    wanted = event.copy()
    if before:
        wanted[:-1] |= event[1:]
    wanted[window_s - 1 :: window_s] = True
    wanted[-1] = True
    at = np.flatnonzero(wanted)
    starts = np.concatenate(([0], at[:-1] + 1))
    columns = [
        np.add.reduceat(column, starts).tolist()
        for column in (seconds.green, seconds.green_events, seconds.blue, seconds.blue_events)
    ]
    for at_s, green, green_events, blue, blue_events in zip(at.tolist(), *columns, strict=True):
        yield at_s, Tally(share, green, green_events, blue, blue_events)


def counted_by_request(draws: np.random.Generator, truth: Truth, stream: Stream) -> Seconds:
    """Users who fail for as long as they stay, each failure counted: what a judge must never be given."""
    requests, pi, staying_s = 8.0, truth.share / 10_000, 30.0
    users = stream.rate_per_s / requests
    columns = []
    for side, failing in ((pi, truth.ratio * stream.base), (1 - pi, stream.base)):
        events = np.zeros(stream.seconds, np.int64)
        begins = draws.integers(0, stream.seconds, draws.poisson(users * side * failing * stream.seconds))
        each = np.repeat(begins, draws.geometric(1 / requests, len(begins)))
        at = np.minimum(each + draws.exponential(staying_s, len(each)).astype(np.int64), stream.seconds - 1)
        np.add.at(events, at, 1)
        calm = draws.poisson(stream.rate_per_s * side * (1 - failing), stream.seconds)
        columns += [calm + events, events]
    return Seconds(green=columns[0], green_events=columns[1], blue=columns[2], blue_events=columns[3])
