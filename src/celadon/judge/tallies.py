"""From answers and labels as they came to what the comparison counts, second by second.

However a stream of answers is cut into samples, the same is counted: nothing here depends on where a cut was made.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from celadon.domain.compare import Units
from celadon.domain.durations import Buckets
from celadon.domain.evidence import Clock, Durations, Second, Tally
from celadon.domain.goal import Arm
from celadon.domain.names import RevisionId
from celadon.domain.plan import FULL
from celadon.domain.samples import Answers, Label, Pairs
from celadon.domain.values import replace
from celadon.judge.compare import fine_of
from celadon.judge.limits import ALL, OWN, SLOW
from celadon.judge.metrics import (
    COPIES,
    DIFFER,
    ERRORS,
    FALSE_ALARMS,
    MISSED,
    WRONG,
    WRONG_COPIES,
    Setup,
    of_group,
)

WARM_UP_S = 10
"""After a change of green's share latency is not compared for so long: caches are cold and connections new."""

ALIKE = 0.1
"""Loads per replica that differ by no more than this part are equal."""

WINDOW_S = 10
LABELS_OF_WINDOW = 1000
"""Labels may come all at once. The next window begins after so many, so that not all of them are one bad moment."""

HALF = FULL // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Who is compared, and how many of their replicas are ready."""

    blue: RevisionId
    green: RevisionId
    blue_ready: int
    green_ready: int
    control_ready: int = 0


def equal_load(sides: Sides, share: int, *, control: bool) -> bool:
    """Whether green's replicas and those it is compared with have the same number of requests each."""
    others, rest = (sides.control_ready, share) if control else (sides.blue_ready, FULL - share)
    if not (0 < share < FULL and sides.green_ready and others):
        return False
    return abs(share * others / (sides.green_ready * rest) - 1) <= ALIKE


def share_of_copies(share: int, mirror: int) -> int:
    """Green's part, out of 10,000, of all copies and of those requests that blue answered itself."""
    return round(FULL * mirror / (mirror + FULL - share)) if mirror else 0


class Rows:
    """Tallies under construction, by metric and share."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[int, list[int]]] = defaultdict(dict)

    def add(self, metric: str, share: int, answers: int, events: int, *, green: bool) -> None:
        """So many more answers of one side."""
        if not answers and not events:
            return
        row = self._rows[metric].setdefault(share, [0, 0, 0, 0])
        at = 0 if green else 2
        row[at] += answers
        row[at + 1] += events

    def tallies(self) -> dict[str, tuple[Tally, ...]]:
        """One tally per metric and share."""
        return {
            name: tuple(Tally(share, *rows[share]) for share in sorted(rows))
            for name, rows in self._rows.items()
        }


def seconds(
    answers: Iterable[Answers], of: Setup, sides: Sides, clock: Clock
) -> Iterator[tuple[Clock, Second, int]]:
    """The answers second by second, with the clock after each, and how many were of neither side.

    What is older than the clock's last second counts in that one. Copies are counted when they are looked at, which is
    later, and so they do not move the clock.
    """
    for at_s, group in groupby(sorted(answers, key=_at), key=_at):
        here = list(group)
        seen = [one for one in here if not one.mirrored]
        if seen:
            clock, steady = _paced(clock, seen, max(at_s, clock.last_s))
            second, strangers = _second(clock.last_s, seen, of, sides, steady)
            yield clock, second, strangers
        rows = _copied(here, of, sides)
        if rows:
            yield clock, Second(at_s=at_s, tallies={COPIES: rows}, drawn=()), 0


def _copied(here: list[Answers], of: Setup, sides: Sides) -> tuple[Tally, ...]:
    """Green's answers to copies; blue's to the originals are among those that callers saw."""
    rows = Rows()
    for one in here:
        if one.mirrored and one.revision == sides.green and _copies_comparable(one, of):
            rows.add(COPIES, share_of_copies(one.share, one.mirror), one.requests, one.errors, green=True)
    return rows.tallies().get(COPIES, ())


def _copies_comparable(one: Answers, of: Setup) -> bool:
    """Whether copies of these requests may stand beside their originals.

    What is copied is drawn request by request. Where users were drawn to sides meanwhile, one who fails again and again
    on green's side would be among the copies and not among blue's originals.
    """
    return of.copies and one.mirror > 0 and (of.compare.units is Units.REQUESTS or one.share == 0)


def _at(answers: Answers) -> int:
    return answers.at_s


def _paced(clock: Clock, here: list[Answers], at_s: int) -> tuple[Clock, int]:
    """The clock after answers of one second, and the share of which latency may be compared in it, -1 for none.

    That is the share of all answers for some time up to the second before, whatever this one brings.
    """
    shares = [one.share for one in here]
    if at_s > clock.second:
        if clock.low != clock.high:
            clock = replace(clock, steady=-1, since_s=clock.second + 1)
        elif clock.low != clock.steady:
            clock = replace(clock, steady=clock.low, since_s=clock.second)
        clock = replace(clock, second=at_s, low=shares[0], high=shares[0])
    clock = replace(clock, low=min(clock.low, *shares), high=max(clock.high, *shares))
    warm = clock.steady >= 0 and at_s >= clock.since_s + WARM_UP_S
    return replace(clock, last_s=at_s), clock.steady if warm else -1


def _second(at_s: int, here: list[Answers], of: Setup, sides: Sides, steady: int) -> tuple[Second, int]:
    rows, strangers = Rows(), 0
    limits: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for one in here:
        green = one.revision == sides.green
        if not green and one.revision != sides.blue:
            strangers += one.requests
        else:
            _live(rows, one, of, green=green)
            if of.limits:
                _limited(limits, one, of.limits.slow_bucket, green=green)
    swaps = _swaps(here, of, sides)
    tallies = rows.tallies()
    drawn = tallies.pop(DRAWN, ()) if of.compare.units is not Units.REQUESTS else None
    placebo = tallies.pop(PLACEBO, ())
    durations = _durations(here, of, sides, steady) if of.compare.latency else None
    return (
        Second(
            at_s=at_s,
            tallies=tallies,
            durations=(durations,) if durations else (),
            placebo=placebo,
            drawn=drawn,
            counts={**{name: tuple(pair) for name, pair in limits.items()}, **swaps},
        ),
        strangers,
    )


DRAWN = "drawn"
PLACEBO = "placebo"


def _live(rows: Rows, one: Answers, of: Setup, *, green: bool) -> None:
    """Answers that callers saw."""
    rows.add(ERRORS, one.share, one.requests, one.errors, green=green)
    if one.group in of.groups:
        rows.add(of_group(ERRORS, one.group), one.share, one.requests, one.errors, green=green)
    if of.compare.units is Units.KEYED:
        rows.add(DRAWN, one.share, one.units, 0, green=green)
    if green or one.share >= FULL:
        return
    if _copies_comparable(one, of):
        rows.add(COPIES, share_of_copies(one.share, one.mirror), one.requests, one.errors, green=False)
    if of.control and not one.alone and of.compare.units is not Units.UNSEEN:
        part = round(FULL * one.share / (FULL - one.share))
        if 0 < part < FULL:
            rows.add(PLACEBO, part, one.requests, one.errors, green=one.arm is Arm.CONTROL)


def _limited(limits: dict[str, list[int]], one: Answers, slow_bucket: int, *, green: bool) -> None:
    """What counts for the guard's limits, as (what is not wanted, the others)."""
    calm = max(one.requests - one.errors, 0)
    _plus(limits[ALL], one.errors, calm)
    if green:
        slow = sum(count for number, count in one.durations if number > slow_bucket)
        _plus(limits[OWN], one.errors, calm)
        _plus(limits[SLOW], slow, sum(count for _, count in one.durations) - slow)


def _plus(pair: list[int], first: int, second: int) -> None:
    pair[0] += first
    pair[1] += second


def _swaps(here: list[Answers], of: Setup, sides: Sides) -> dict[str, tuple[int, int]]:
    """Events of green and of its control, where users can not be told apart and their windows are exchanged."""
    if of.compare.units is not Units.UNSEEN or not of.control:
        return {}
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for one in here:
        green, control = one.revision == sides.green, one.arm is Arm.CONTROL
        if one.alone or not (green or (control and one.revision == sides.blue)):
            continue
        for name in (ERRORS, *((of_group(ERRORS, one.group),) if one.group in of.groups else ())):
            found[name][0 if green else 1] += one.errors
    return {name: (pair[0], pair[1]) for name, pair in found.items() if any(pair)}


def _durations(here: list[Answers], of: Setup, sides: Sides, steady: int) -> Durations | None:
    """How long answers took, of green and of whom it may be compared with; nothing while loads differ."""
    if not equal_load(sides, steady, control=of.control):
        return None
    arm = Arm.CONTROL if of.control else Arm.MAIN
    kept = [one for one in here if one.share == steady and not (of.control and one.alone)]
    greens = [one for one in kept if one.revision == sides.green]
    blues = [one for one in kept if one.revision == sides.blue and one.arm is arm]
    if not greens and not blues:
        return None
    once = of.compare.units is Units.KEYED
    return Durations(
        share=HALF if of.control else steady,
        green=summed(greens, once=once),
        blue=summed(blues, once=once),
        green_failed=sum(one.first_failed if once else one.failed for one in greens),
        blue_failed=sum(one.first_failed if once else one.failed for one in blues),
    )


def summed(answers: list[Answers], *, once: bool = False) -> Buckets:
    """How long all of these took. once: only the first request of each unit, as it was units that were drawn."""
    total: dict[int, int] = defaultdict(int)
    for one in answers:
        for number, count in one.first_durations if once else one.durations:
            total[number] += count
    return tuple(sorted(total.items()))


def late(labels: Iterable[Label], of: Setup, sides: Sides, clock: Clock) -> Iterator[tuple[Clock, Second]]:
    """The labels in the order in which they came, by the time of the answers that they speak of.

    Labels of answers from before the comparison began, or of another revision, are left out.
    """
    for at_s, run in groupby(_timed(labels, sides, clock), key=lambda one: one[0].late_s):
        here = list(run)
        rows, scores = Rows(), []
        for _, label in here:
            green = label.revision == sides.green
            for name, event in _said(label, of):
                rows.add(name, label.share, 1, int(event), green=green)
            if label.score is not None and of.compare.score:
                scores.append((label.share, label.score, green))
        yield here[-1][0], Second(at_s=at_s, tallies=rows.tallies(), drawn=(), scores=tuple(scores))


def _timed(labels: Iterable[Label], sides: Sides, clock: Clock) -> Iterator[tuple[Clock, Label]]:
    for label in labels:
        at_s = label.answered_s or label.at_s
        if label.revision in (sides.blue, sides.green) and at_s >= clock.begun_s:
            clock = _ticked(clock, at_s)
            yield clock, label


def _ticked(clock: Clock, at_s: int) -> Clock:
    """The clock after one more label; it begins a new window after so many in one."""
    at_s, window = max(at_s, clock.late_s), clock.late_s // WINDOW_S
    if at_s // WINDOW_S == window and clock.late_heard >= LABELS_OF_WINDOW:
        at_s = (window + 1) * WINDOW_S
    heard = clock.late_heard + 1 if at_s // WINDOW_S == window else 1
    return replace(clock, late_s=at_s, late_heard=heard)


def _said(label: Label, of: Setup) -> Iterator[tuple[str, bool]]:
    """Which metrics a label counts for, and whether as an event."""
    if label.wrong is not None and WRONG in of.late:
        yield WRONG, label.wrong
        if label.group in of.groups:
            yield of_group(WRONG, label.group), label.wrong
    if label.positive is None or MISSED not in of.late:
        return
    # What green says may not choose what is counted: missed ones are among those that truly were positive, and
    # false alarms among all.
    if label.positive:
        yield MISSED, bool(label.wrong) if label.claimed is None else not label.claimed
    yield FALSE_ALARMS, not label.positive and bool(label.claimed)


def paired(pairs: Pairs, sides: Sides) -> Second:
    """What mirrored pairs bring to their bets: those of green, or of blue with itself."""
    differ, others = pairs.differ, max(pairs.pairs - pairs.differ, 0)
    counts: dict[str, tuple[int, ...]] = {}
    if pairs.copy == sides.blue:
        counts[DIFFER] = counts[fine_of(DIFFER)] = (0, 0, differ, others)
    else:
        counts[DIFFER] = counts[fine_of(DIFFER)] = (differ, others, 0, 0)
        worse, better = pairs.only_copy_wrong, pairs.only_first_wrong
        if worse or better or pairs.labelled_alike:
            counts[WRONG_COPIES] = (worse, better)
            counts[fine_of(WRONG_COPIES)] = (pairs.labelled_alike, better, worse)
    return Second(at_s=pairs.at_s, tallies={}, drawn=(), counts=counts)
