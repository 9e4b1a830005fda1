"""What a judge remembers of a comparison: whole numbers of the open window and wealth of the closed ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from celadon.domain.durations import Buckets


class Tally(NamedTuple):
    """Answers of both sides that were routed while green had `share`, and how many of them were events.

    share: parts of 10,000 in force when they were routed. An event is what is not wanted: an error, an answer
    slower than a threshold, a wrong label. green, blue: all answers, events among them. A tuple and no dataclass,
    since one is made for every metric at every tick.
    """

    share: int
    green: int
    green_events: int
    blue: int
    blue_events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stakes:
    """Money on each alternative at the beginning of the open window.

    capped: no window may multiply it by more than the cap. free: without that bound, for what can be undone.
    """

    capped: tuple[float, ...]
    free: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What a coin knows when a window begins.

    since, window: numbers of the first and of the open window. harm bets that green is worse, fine bets that it is
    within its margin. past: tallies of all closed windows, one per share. base: blue's event share as guessed
    before the window began, 0 when not known. copies: how many fresh bets on harm were made, so that harm which
    sets in late is not held against an old, lost bet.
    """

    since: int
    window: int
    harm: Stakes
    fine: Stakes
    past: tuple[Tally, ...] = ()
    base: float = 0.0
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Coin:
    """One event judged so far: the closed windows, and the open window's tallies, one per share."""

    closed: Closed
    heard: tuple[Tally, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bet:
    """A bet on counts that no split was drawn for, such as green's own errors or mirrored pairs.

    counts: of the open window, past: of all closed ones; what they count is said by the judge that made it.
    copies: how many fresh bets were made, as in `Closed`; 0 for a bet that staked everything at once.
    """

    window: int
    stakes: Stakes
    counts: tuple[int, ...]
    past: tuple[int, ...]
    copies: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Scores judged so far. gains: by how much the open window multiplies each alternative of harm, then of fine.

    sums: of the open window and of closed ones, as (answers, sum, sum of squares), both sides together. sides: of
    all, as (green's answers, their sum, blue's answers, their sum).
    """

    window: int
    harm: Stakes
    fine: Stakes
    gains: tuple[float, ...]
    open_sums: tuple[float, float, float] = (0.0, 0.0, 0.0)
    past_sums: tuple[float, float, float] = (0.0, 0.0, 0.0)
    sides: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """How long answers of both sides took that were routed while green had `share`. A failure took for ever.

    Given only where both sides have equal load per replica; else one that is idle looks faster.
    """

    share: int
    green: Buckets = ()
    blue: Buckets = ()
    green_failed: int = 0
    blue_failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Slowness:
    """Latency judged so far, by quantile.

    thresholds: buckets beyond which an answer is slow in the open window, one per quantile, none where nothing was
    known before it. past: blue's answers of closed windows, the old ones fading; heard: those of the open one.
    """

    window: int
    harm: tuple[Coin, ...]
    fine: tuple[Coin, ...]
    thresholds: tuple[int, ...] = ()
    past: Buckets = ()
    heard: Buckets = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """What one second brought, by metric. at_s: whole seconds on the clock of the source, never falling.

    placebo: blue's control in the place of green and the rest of blue in that of blue, by the first metric. drawn:
    what the split is judged by, None for the answers of the first metric. scores: (share, score, whether green's), in
    their order. counts: what each bet on counts goes by.
    """

    at_s: int
    tallies: Mapping[str, tuple[Tally, ...]]
    durations: tuple[Durations, ...] = ()
    placebo: tuple[Tally, ...] = ()
    drawn: tuple[Tally, ...] | None = None
    scores: tuple[tuple[int, float, bool], ...] = ()
    counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Where a comparison stands in time, in whole seconds on the clock of its source.

    begun_s: answers before it belong to no side. last_s: of the last answer. late_s: of the last label, which runs
    ahead where very many labels come for one window; late_heard: labels in the window under way. second, low, high:
    the last second with answers, and the smallest and the largest share they were drawn with; steady, since_s: the one share
    of all answers before it, -1 where they were mixed, and since when.
    """

    begun_s: int = 0
    last_s: int = 0
    late_s: int = 0
    late_heard: int = 0
    second: int = -1
    low: int = -1
    high: int = -1
    steady: int = -1
    since_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """All coins of one comparison. judge: name and version of what built it.

    split: the coin on the routing itself. placebo: blue against its own control. arrivals: by late metric, the coin
    on which side its labels come from. bets: on counts that nothing was drawn for, by name. classes: how often green, and
    how often blue, answered what. strangers: answers of revisions that are neither side. reshaped, example: mirrored
    answers whose shape changed, and one difference for people. frozen_fine: money on fine copies when the freeze under way
    began, 0 where nothing is frozen; outweighed: by how much it grew in all freezes, which is what suspicion lost.
    """

    judge: str
    coins: Mapping[str, Coin]
    split: Coin
    placebo: Coin
    arrivals: Mapping[str, Coin]
    slowness: Slowness | None = None
    scores: Scores | None = None
    bets: Mapping[str, Bet] = field(default_factory=dict)
    classes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    clock: Clock = Clock()
    strangers: int = 0
    reshaped: int = 0
    example: str = ""
    frozen_fine: float = 0.0
    outweighed: float = 1.0
