"""One pass over one service, the whole story on one screen. It reads no clock and touches no disk itself."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import Enum, auto
from operator import attrgetter
from typing import Any

from celadon.control.apply import Effects
from celadon.control.look import look, look_late, observe, only_judged
from celadon.control.others import others, reaches_others
from celadon.control.ports import Journal
from celadon.control.reconcile import reconcile
from celadon.control.rest import Done, Rest, at_rest, done, goes_on, rest, stays_done
from celadon.control.view import View
from celadon.domain.action import Action
from celadon.domain.command import Asked
from celadon.domain.facts import Facts, Now
from celadon.domain.goal import Goal
from celadon.domain.memory import Memory
from celadon.domain.names import ServiceKey
from celadon.domain.reason import Code, Reason, because
from celadon.domain.release import Release, Taken
from celadon.domain.values import replace
from celadon.release.decide import Choice, decide
from celadon.resilience.drill import Rehearsed, rehearse
from celadon.resilience.headroom import headroom
from celadon.resilience.place import place

CHECKPOINT_S = 10.0
CHECKPOINT_SHARE = 0.05
"""Evidence and dwell are journalled this often while they change, or after this share of the time in their phase,
whichever is longer: a crash costs at most this much of a watch, and a long hold does not fill the journal."""

CHECKPOINT_MAX_S = 60.0
"""What is compared is journalled at least this often, since the request log is only kept for so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What the last tick knew beyond the journal: evidence and dwell since the last checkpoint, or that it rests.

    done: that nothing was left to begin.
    """

    memory: Memory
    checkpoint_at: float
    rest: Rest | None = None
    done: Done | None = None


class Brought(Enum):
    """What one pass brought, from the least to the most."""

    RESTS = auto()
    """It was looked at, no more."""
    SEEN = auto()
    """Nothing that the journal has to know yet."""
    KEPT = auto()
    """The journal has anew what had been seen so far."""
    MOVED = auto()
    """The journal has something that was decided; the next tick may go on from there at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What one pass came to. actions: what the facts still lack of the goal, to be begun once the record is durable."""

    draft: Draft
    view: View
    brought: Brought
    actions: tuple[Action, ...] = ()


def tick(
    service: ServiceKey, journal: Journal, effects: Effects, draft: Draft | None, now: Now
) -> tuple[Draft, View]:
    """One pass over one service on its own: decide, then begin. The loop does the first for many before the second."""
    with journal.together():
        decided = decision(service, journal, effects, draft, now)
    begin(service, effects, decided)
    return decided.draft, decided.view


def decision(
    service: ServiceKey, journal: Journal, effects: Effects, draft: Draft | None, now: Now
) -> Decided:
    """Observe, judge, decide, place, record, and compare the goal with what is."""
    journalled = journal.read(service)
    memory = carry(journalled, draft)
    facts = observe(effects, memory, now)
    if reaches_others(memory):
        facts = replace(facts, drill=replace(facts.drill, others=others(journal, service)))
    if draft is not None and draft.rest is not None and goes_on(draft.rest, journalled, facts, now):
        return Decided(draft=draft, view=at_rest(draft.rest, facts, now), brought=Brought.RESTS)
    evidence, judged = look(memory, facts)
    probation, late = look_late(memory, facts)
    if evidence is not memory.evidence or probation is not memory.probation:
        memory = replace(memory, evidence=evidence, probation=probation)
    rehearsed = rehearse(memory, facts, now)
    choice = decide(rehearsed.memory, facts, judged, headroom(facts), now, late=late)
    after = only_judged(choice.memory)
    goal = place(after, choice.routes)
    if after.goal is None or _asked(goal) != _asked(after.goal):
        after = replace(after, goal=goal)
    left = _left(memory, {*rehearsed.handled, *choice.handled})
    if left != after.commands:
        after = replace(after, commands=left)
    steps, why = told(rehearsed, choice)
    at = draft.checkpoint_at if draft else now.wall
    brought = Brought.SEEN
    if settled(after) != settled(journalled) or now.jumped_s != 0:
        brought = Brought.MOVED
        after, at = journal.record(journalled, after, why, now.wall, steps), now.wall
    elif after != journalled and now.wall >= at + pause_s(after, now):
        brought = Brought.KEPT
        after, at = journal.record(journalled, after, checkpoint(after), now.wall), now.wall
    view = View(memory=after, facts=facts, judged=judged, because=why, at=now.wall)
    finished, actions = _reconciled(service, after, facts, draft)
    resting = rest(journalled, view, choice.wake) if finished else None
    if resting is not None:
        journal.tidy(service, now.wall)
    draft = Draft(memory=after, checkpoint_at=at, rest=resting, done=finished)
    return Decided(draft=draft, view=view, brought=brought, actions=actions)


def _reconciled(
    service: ServiceKey, memory: Memory, facts: Facts, draft: Draft | None
) -> tuple[Done | None, tuple[Action, ...]]:
    """What is to be begun; nothing, without another look, where that was so and nothing has changed since."""
    known = draft.done if draft is not None else None
    if known is not None and stays_done(known, memory, facts):
        return known, ()
    actions = reconcile(service, memory, facts)
    return (None, actions) if actions else (done(memory, facts), ())


def begin(service: ServiceKey, effects: Effects, decided: Decided) -> None:
    """Begin what was derived from the recorded goal; none is waited for."""
    memory, facts = decided.view.memory, decided.view.facts
    assert facts is not None, "a decision has looked"
    for action in decided.actions:
        effects.begin(service, action, memory, facts)


def told(rehearsed: Rehearsed, choice: Choice) -> tuple[tuple[Taken, ...], Reason]:
    """What a tick did, in order: the steps before the last one, and the last one's reason."""
    if choice.because.code is Code.STEADY and rehearsed.taken:
        *before, last = rehearsed.taken
        return (*before, *choice.steps), last.because
    return (*rehearsed.taken, *choice.steps), choice.because


def _left(memory: Memory, handled: set[int]) -> tuple[Asked, ...]:
    """Commands that wait for a later tick; also those that a drill has kept back."""
    return tuple(asked for asked in memory.commands if asked.seq not in handled)


def carry(journalled: Memory, draft: Draft | None) -> Memory:
    """The journal's memory with what has built up since its last checkpoint, in the same position."""
    if draft is None:
        return journalled
    late, kept = draft.memory.probation, journalled.probation
    if late is not None and kept is not None and late.release.id == kept.release.id:
        journalled = replace(journalled, probation=replace(kept, evidence=late.evidence))
    then, now = draft.memory.release, journalled.release
    if then is None or now is None or (then.id, then.phase, then.stage) != (now.id, now.phase, now.stage):
        return journalled
    timed = replace(now, dwelt_s=then.dwelt_s, rested_s=then.rested_s)
    return replace(journalled, evidence=draft.memory.evidence, release=timed)


def settled(memory: Memory) -> tuple[object, ...]:
    """What of a memory is journalled when it changes; the rest changes at every tick, and is kept by checkpoints."""
    release, probation = memory.release, memory.probation
    return (
        _lasting(memory),
        _position(release) if release else None,
        (probation.release, probation.until) if probation else None,
    )


def _all_but(of: type, *left_out: str) -> Callable[[Any], tuple[object, ...]]:
    """The fields of a dataclass but these. Nothing is copied, so that this may be asked at every tick."""
    return attrgetter(*(field.name for field in fields(of) if field.name not in left_out))


_lasting = _all_but(Memory, "release", "probation", "evidence", "seq", "epoch")
_position = _all_but(Release, "dwelt_s", "rested_s")
_asked = _all_but(Goal, "stamp")


def pause_s(memory: Memory, now: Now) -> float:
    """How long after the last record evidence is journalled again."""
    release, probation = memory.release, memory.probation
    began = release.entered_at if release else now.wall
    if release is None and probation is not None:
        began = probation.until - probation.release.plan.probation_s
    longest_s = CHECKPOINT_MAX_S if memory.evidence and memory.evidence.ledger else math.inf
    return min(longest_s, max(CHECKPOINT_S, CHECKPOINT_SHARE * (now.wall - began)))


def checkpoint(memory: Memory) -> Reason:
    """The reason of a record that only keeps evidence."""
    release, evidence = memory.release, memory.evidence
    if release is None and memory.probation is not None:
        release, evidence = memory.probation.release, memory.probation.evidence
    green = evidence.of(release.green) if release and evidence else None
    return because(
        Code.CHECKPOINT, requests=green.requests if green else 0, errors=green.errors if green else 0
    )
