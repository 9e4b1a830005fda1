"""The decision of one tick: from what is remembered and seen to the next position, with its reason.

Forward steps need fresh facts; the way back needs only blue. Missing data is never a pass and never a failure.
"""

from dataclasses import dataclass, replace

from celadon.domain.facts import Facts, Known, Now
from celadon.domain.goal import Route
from celadon.domain.headroom import Headroom
from celadon.domain.memory import Memory
from celadon.domain.reason import Code, Reason, because
from celadon.domain.release import Phase, Taken
from celadon.domain.verdict import Judged
from celadon.release import prepare, watch
from celadon.release.commands import answer
from celadon.release.end import without_proofs
from celadon.release.split import routes
from celadon.release.step import Seen, Step

STEPS_MAX = 12
"""A tick takes every step its facts permit; more than this many would be a circle in the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was decided. memory: as it shall be remembered, without the goal that follows from it.

    because: of the last step, or what is waited for. steps: those before the last, when one tick took several.
    handled: seqs of the commands this tick answered. routes: the split that the position asks for.
    """

    memory: Memory
    because: Reason
    handled: tuple[int, ...]
    routes: tuple[Route, ...]
    steps: tuple[Taken, ...] = ()


def decide(memory: Memory, facts: Facts, judged: Judged | None, headroom: Headroom, now: Now) -> Choice:
    """One decision. judged: what the judge says about the stage in `memory`, None when nothing is judged."""
    after = _not_from_the_future(memory, now)
    handled: tuple[int, ...] = ()
    taken: list[Taken] = []
    seen = Seen(facts=facts, judged=judged, headroom=headroom, now=now)
    moving = after.release
    harm = watch.against(moving, seen) if moving is not None and moving.blue is not None else None
    answered = answer(after, harm, now.wall)
    if answered is not None:
        after, handled = answered.memory, answered.handled
        taken.append(_taken(after, answered.because))
    if now.jumped_s and after.release is not None:
        taken.append(_taken(after, because(Code.CLOCK_JUMPED, seconds=now.jumped_s)))
    after, waits = _dwell(after, seen), because(Code.STEADY)
    for _ in range(STEPS_MAX):
        step = _advance(after, seen)
        if step is None or step.memory == after:
            waits = step.because if step else waits
            break
        after = step.memory
        taken.append(_taken(after, step.because))
    else:
        raise AssertionError(f"{after.service}: a tick that never comes to rest")
    *steps, last = taken or [Taken(phase=None, because=waits)]
    return Choice(
        memory=after, because=last.because, handled=handled, routes=routes(after, facts), steps=tuple(steps)
    )


def _not_from_the_future(memory: Memory, now: Now) -> Memory:
    """A clock that was set back makes deadlines late; nothing may lie further ahead than they are long."""
    release, held = memory.release, memory.predecessor
    if release is not None and max(release.began_at, release.entered_at) > now.wall:
        began, entered = min(release.began_at, now.wall), min(release.entered_at, now.wall)
        memory = replace(memory, release=replace(release, began_at=began, entered_at=entered))
    if held is not None and held.since > now.wall:
        memory = replace(memory, predecessor=replace(held, since=now.wall))
    return memory


def _taken(memory: Memory, why: Reason) -> Taken:
    phase = memory.release.phase if memory.release else Phase.ENDED if memory.last else None
    return Taken(phase=phase, because=why)


def _dwell(memory: Memory, seen: Seen) -> Memory:
    """Add the observed time to the stage's dwell: with fresh samples of a route in force, never while paused."""
    release = memory.release
    counts = release is not None and release.phase in {Phase.WATCHING, Phase.HOLDING} and not release.paused
    if release is None or not counts or not seen.samples_fresh:
        return memory
    if not seen.confirmed(routes(memory, seen.facts)):
        return memory
    return replace(memory, release=replace(release, dwelt_s=release.dwelt_s + seen.now.elapsed_s))


def _advance(memory: Memory, seen: Seen) -> Step | None:
    """The next step that the facts permit; the same memory with a reason when there is something to wait for."""
    release = memory.release
    if memory.removing:
        return _removed(memory, seen)
    if release is None:
        return _retire(memory, seen)
    match release.phase:
        case Phase.PREPARING:
            return prepare.preparing(memory, release, seen)
        case Phase.PROVING:
            return prepare.proving(memory, release, seen)
        case Phase.WAITING:
            return prepare.waiting(memory, release, seen)
        case Phase.MOVING:
            return watch.moving(memory, release, seen)
        case Phase.WATCHING | Phase.HOLDING | Phase.FROZEN:
            return watch.watching(memory, release, seen)
        case Phase.ROLLING_BACK:
            return watch.rolling_back(memory, release, seen)
        case Phase.ENDED:
            raise AssertionError(f"{release.id} has ended and still holds the slot")


def _retire(memory: Memory, seen: Seen) -> Step | None:
    held = memory.predecessor
    if held is None or seen.now.wall < held.since + held.hold_s:
        return None
    why = because(Code.PREDECESSOR_RETIRED, revision=held.revision, seconds=seen.now.wall - held.since)
    return Step(memory=without_proofs(replace(memory, predecessor=None)), because=why)


def _removed(memory: Memory, seen: Seen) -> Step | None:
    """A removed service is gone when the router serves nothing of it and no replica is left."""
    replicas, served = seen.facts.replicas, seen.facts.routes
    gone = (
        isinstance(replicas, Known)
        and not replicas.value
        and isinstance(served, Known)
        and served.value.confirmed is None
        and served.value.pending is None
    )
    if memory.removed or not gone:
        return None
    after = replace(memory, removed=True, live=None, settings=None, revisions={}, proved={}, goldens={})
    return Step(memory=after, because=because(Code.REMOVED))
