"""Streams of answers with the habits of real services, whose truth is known.

Every kind of answer comes as a Poisson process whose rate is known second by second, so that what lies between two
looks can be drawn as one number: only green's events are drawn one by one.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from celadon.domain.evidence import Tally

Numbers = NDArray[np.float64]
Whole = NDArray[np.int64]
Draws = np.random.Generator
Steps = Iterator[tuple[int, Sequence[Tally]]]
"""Seconds at which one looks, each with all that came since the one before, a tally for every share."""

RESTARTS_EVERY_S = 1800
RESTART_S = 10
MOST = 0.95
"""No share of events is larger."""


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
        return np.minimum(self.ratio * blue + self.extra, MOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """What every second brings on average while green has `share`: events of green and blue, and other answers."""

    share: int
    green_events: Numbers
    blue_events: Numbers
    green_calm: Numbers
    blue_calm: Numbers


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

    users: requests per user where users are drawn and not requests. sets_in_s: until then green is like blue.
    rises_at_s: until then the share of events is half of `base` on both sides. ramp: green's shares, one after the
    other, in parts of equal length, instead of the truth's. delay_s: median of the lognormal delay (sigma 1) after
    which an answer is known to be an event or not; then 80 % of events and half of the others ever are.
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
    rises_at_s: int = 0
    ramp: tuple[int, ...] = ()
    delay_s: float = 0.0
    independent: bool = True

    def lanes(self, draws: Draws, truth: Truth) -> tuple[Lane, ...]:
        if self.bursts or self.drifting or self.outages or self.restarts:
            return self._lanes(draws, truth)
        return _same_every_time(self, truth)

    def _lanes(self, draws: Draws, truth: Truth) -> tuple[Lane, ...]:
        rate = self._load(draws)
        green, blue = self._sides(draws, truth)
        shares = self.ramp or (truth.share,)
        part = -(-self.seconds // len(shares))
        lanes = []
        for place, share in enumerate(shares):
            pi, open_now = share / 10_000, np.zeros(self.seconds)
            open_now[place * part : (place + 1) * part] = rate[place * part : (place + 1) * part]
            lane = Lane(
                share=share,
                green_events=open_now * pi * green,
                blue_events=open_now * (1 - pi) * blue,
                green_calm=open_now * pi * (1 - green),
                blue_calm=open_now * (1 - pi) * (1 - blue),
            )
            lanes.append(_delayed(lane, self.delay_s) if self.delay_s else lane)
        return tuple(lanes)

    def _sides(self, draws: Draws, truth: Truth) -> tuple[Numbers, Numbers]:
        """The shares of events of green and of blue, second by second."""
        blue = self._events(draws)
        green = truth.green(blue)
        if self.restarts:
            often = RESTART_S / RESTARTS_EVERY_S if truth.apart else 0.0
            green = _restarted(draws, truth.green(blue * (1 - often) + 0.5 * often), 1)
            blue = _restarted(draws, blue, 19)
        if self.sets_in_s:
            green[: self.sets_in_s] = blue[: self.sets_in_s]
        return green, blue

    def _load(self, draws: Draws) -> Numbers:
        rate = np.full(self.seconds, self.rate_per_s / (self.users or 1.0))
        if self.swinging:
            rate *= 1 + 0.5 * np.sin(np.arange(self.seconds) / 600 * 2 * math.pi)
        if self.bursts:
            rate *= np.repeat(draws.gamma(0.75, 1 / 0.75, self.seconds // 5), 5)
        return rate

    def _events(self, draws: Draws) -> Numbers:
        odds = np.full(self.seconds, math.log(self.base / (1 - self.base)))
        if self.drifting:
            odds += np.repeat(_ar1(draws, self.seconds // 10, sd=0.6, steps=30.0), 10)
        share: Numbers = 1 / (1 + np.exp(-odds))
        share[: self.rises_at_s] /= 2
        if self.outages:
            for start in draws.integers(0, self.seconds, draws.poisson(self.seconds / 1200)):
                share[start : start + 20] = 0.5
        return share


@lru_cache(maxsize=16)
def _same_every_time(stream: Stream, truth: Truth) -> tuple[Lane, ...]:
    """The rates of a stream in which nothing but the answers themselves is drawn."""
    return stream._lanes(np.random.default_rng(0), truth)  # noqa: SLF001


def _ar1(draws: Draws, count: int, *, sd: float, steps: float) -> Numbers:
    keep = math.exp(-1 / steps)
    found = np.empty(count)
    value = draws.normal(0, sd)
    for place, kick in enumerate(draws.normal(0, sd * math.sqrt(1 - keep * keep), count).tolist()):
        found[place] = value
        value = keep * value + kick
    return found


def _restarted(draws: Draws, share: Numbers, replicas: int) -> Numbers:
    """Each replica starts again every 30 minutes, and for 10 s half of its answers are errors."""
    restarting = np.zeros(len(share))
    for phase in draws.integers(0, RESTARTS_EVERY_S, replicas).tolist():
        for start in range(phase, len(share), RESTARTS_EVERY_S):
            restarting[start : start + RESTART_S] += 1 / replicas
    found: Numbers = share * (1 - restarting) + 0.5 * restarting
    return found


def _delayed(lane: Lane, median_s: float) -> Lane:
    """The same answers at the time at which they are known, without those that never are."""
    seconds = len(lane.green_events)
    known = np.array([_normal(math.log(s / median_s)) if s else 0.0 for s in range(seconds + 1)])
    size = 2 * seconds
    delay = np.fft.rfft(np.diff(known), size)

    def later(rates: Numbers, ever: float) -> Numbers:
        return np.maximum(np.fft.irfft(np.fft.rfft(rates, size) * delay, size)[:seconds] * ever, 0.0)

    return Lane(
        share=lane.share,
        green_events=later(lane.green_events, 0.8),
        blue_events=later(lane.blue_events, 0.8),
        green_calm=later(lane.green_calm, 0.5),
        blue_calm=later(lane.blue_calm, 0.5),
    )


def _normal(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


STREAMS = (
    Stream(name="even", base=0.01, swinging=True),
    Stream(name="bursts", base=0.01, bursts=True),
    Stream(name="drifting", base=0.01, drifting=True),
    Stream(name="outages", base=0.01, outages=True),
    Stream(name="all_common", base=0.01, swinging=True, bursts=True, drifting=True, outages=True),
    Stream(name="restarts", base=0.01, restarts=True, independent=False),
    Stream(name="users", base=0.01, users=8.0),
    Stream(name="late", base=0.01, sets_in_s=1800, rises_at_s=1800),
    Stream(name="ramp", base=0.01, swinging=True, ramp=(500, 1000, 2500, 5000)),
    Stream(name="labels", base=0.01, swinging=True, ramp=(500, 2500, 5000), delay_s=60.0),
    Stream(name="rare", base=0.001, seconds=14_400),
)
"""In `users` the drawn units are users with 8 requests each, and each counts once, with its first failure."""


def steps(draws: Draws, lanes: Sequence[Lane], window_s: int, *, every: bool = False) -> Steps:
    """What comes, drawn for the seconds that `looks` names."""
    seconds = len(lanes[0].green_events)
    cumulated = [np.cumsum(lane.green_events) for lane in lanes]
    at = [
        np.searchsorted(sums, draws.random(draws.poisson(sums[-1])) * sums[-1], side="right")
        for sums in cumulated
    ]
    event = np.zeros(seconds, np.bool_)
    event[np.concatenate(at)] = True
    ends = looks(event, window_s, every=every)
    starts = np.concatenate(([0], ends[:-1] + 1))
    columns = []
    for lane, events_at in zip(lanes, at, strict=True):
        green_events = np.bincount(np.searchsorted(ends, events_at), minlength=len(ends))
        rates = np.stack((lane.blue_events, lane.green_calm, lane.blue_calm))
        blue_events, green_calm, blue_calm = draws.poisson(np.add.reduceat(rates, starts, axis=1))
        columns.append(_tallies(lane.share, green_calm, green_events, blue_calm, blue_events))
    if len(lanes) == 1:
        return zip(ends.tolist(), zip(*columns, strict=True), strict=True)
    rows = ([tally for tally in row if tally[1] or tally[3]] for row in zip(*columns, strict=True))
    return zip(ends.tolist(), rows, strict=True)


def _tallies(
    share: int, green_calm: Whole, green_events: Whole, blue_calm: Whole, blue_events: Whole
) -> Iterator[Tally]:
    rows = (green_calm + green_events, green_events, blue_calm + blue_events, blue_events)
    return map(Tally, repeat(share), *(row.tolist() for row in rows))


def looks(event: NDArray[np.bool_], window_s: int, *, every: bool = False) -> Whole:
    """The seconds at which a bet on harm can reach a new high: those with an event of green, and ends of windows.

    every: all seconds, for bets that rise with answers that are no events.
    """
    wanted = event | every
    wanted[window_s - 1 :: window_s] = True
    wanted[-1] = True
    return np.flatnonzero(wanted)


def every_second(draws: Draws, lanes: Sequence[Lane]) -> list[Seconds]:
    """For each lane what every single second brings, for judges that look at fixed times, and for tests."""
    found = []
    for lane in lanes:
        green_events, blue_events = draws.poisson(lane.green_events), draws.poisson(lane.blue_events)
        green, blue = (
            draws.poisson(lane.green_calm) + green_events,
            draws.poisson(lane.blue_calm) + blue_events,
        )
        found.append(Seconds(green=green, green_events=green_events, blue=blue, blue_events=blue_events))
    return found


def summed_to(ends: Whole, share: int, seconds: Seconds) -> Steps:
    """The same seconds, looked at only then."""
    starts = np.concatenate(([0], ends[:-1] + 1))
    columns = [
        np.add.reduceat(column, starts).tolist()
        for column in (seconds.green, seconds.green_events, seconds.blue, seconds.blue_events)
    ]
    return zip(ends.tolist(), zip(map(Tally, repeat(share), *columns), strict=True), strict=True)


def counted_by_request(draws: Draws, truth: Truth, stream: Stream) -> Seconds:
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


def lasting(stream: Stream, seconds: int) -> Stream:
    """The same for longer."""
    return replace(stream, seconds=max(stream.seconds, seconds))
