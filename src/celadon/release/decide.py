"""The decision of one tick: from what is remembered and seen to the next position, with its reason.

Forward steps need fresh facts; the way back needs only blue. Missing data is never a pass and never a failure.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from celadon.domain.facts import Facts, Known, Now
from celadon.domain.goal import Route
from celadon.domain.headroom import Headroom
from celadon.domain.memory import Memory
from celadon.domain.reason import Code, Reason, because
from celadon.domain.release import Phase, Predecessor, Release, Taken
from celadon.domain.values import replace
from celadon.domain.verdict import Finding, Judged, Worth
from celadon.release import freeze, prepare, watch
from celadon.release.commands import Standing, answer
from celadon.release.end import without_proofs
from celadon.release.probation import judged_late
from celadon.release.returning import turned_now
from celadon.release.split import routes
from celadon.release.stage import in_force
from celadon.release.step import MONEY_MAX, Seen, Step

STEPS_MAX = 12
"""A tick takes every step its facts permit; more than this many would be a circle in the table."""


STEPS: dict[Phase, Callable[[Memory, Release, Seen], Step]] = {
    Phase.PREPARING: prepare.preparing,
    Phase.PROVING: prepare.proving,
    Phase.WAITING: watch.waiting,
    Phase.MOVING: watch.moving,
    Phase.WATCHING: watch.watching,
    Phase.HOLDING: watch.watching,
    Phase.FROZEN: freeze.frozen,
    Phase.ROLLING_BACK: watch.rolling_back,
}
"""What is decided in each phase; `phases.py` says where it may lead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was decided. memory: as it shall be remembered, without the goal that follows from it.

    because: of the last step, or what is waited for. steps: those before the last, when one tick took several.
    handled: seqs of the commands this tick answered. routes: the split that the position asks for.
    wake: wall time from which time alone may lead to another decision on the same facts.
    """

    memory: Memory
    because: Reason
    handled: tuple[int, ...]
    routes: tuple[Route, ...]
    steps: tuple[Taken, ...] = ()
    wake: float = -math.inf


def decide(
    memory: Memory,
    facts: Facts,
    judged: Judged | None,
    headroom: Headroom,
    now: Now,
    *,
    late: Judged | None = None,
) -> Choice:
    """One decision.

    judged: what the judge says about the stage in `memory`, None when nothing is judged. late: what labels say by
    now about a promoted revision on probation.
    """
    before = _not_from_the_future(memory, now)
    seen = Seen(facts=facts, judged=judged, headroom=headroom, now=now)
    after, handled, taken = _asked(before, seen)
    if now.jumped_s and after.release is not None:
        taken.append(_taken(after, because(Code.CLOCK_JUMPED, seconds=now.jumped_s)))
    turned = judged_late(after, late, now.wall)
    if turned is not None:
        after, why = turned
        taken.append(_taken(after, why))
    after, steps, waits = _steps(_timed(after, seen), seen)
    after, exposed = _reported(before, after, judged)
    told = [*taken, *steps] or [Taken(phase=None, because=waits)]
    *before_last, last = [*told[:-1], *exposed, told[-1]]
    return Choice(
        memory=after,
        because=last.because,
        handled=handled,
        routes=routes(after, facts),
        steps=tuple(before_last),
        wake=_wake(after, handled),
    )


def _wake(memory: Memory, handled: tuple[int, ...]) -> float:
    """At once while a release moves or is on probation, and while somebody waits for an answer."""
    if memory.release is not None or memory.probation is not None or len(memory.commands) > len(handled):
        return -math.inf
    held = memory.predecessor
    return held.since + held.hold_s if held is not None else math.inf


def _asked(memory: Memory, seen: Seen) -> tuple[Memory, tuple[int, ...], list[Taken]]:
    """One command of a person, if there is one that can be answered now."""
    release = memory.release
    against = freeze.against(release, seen) if release is not None and release.blue is not None else None
    known = Standing(
        against=against,
        short=prepare.short(release, seen) if release else None,
        suspicion=seen.suspicion,
        wall=seen.now.wall,
    )
    answered = answer(memory, known)
    if answered is None:
        return memory, (), []
    return answered.memory, answered.handled, [_taken(answered.memory, answered.because)]


def _steps(memory: Memory, seen: Seen) -> tuple[Memory, list[Taken], Reason]:
    """Every step that the facts permit, and what is waited for after the last one."""
    taken: list[Taken] = []
    for _ in range(STEPS_MAX):
        memory = turned_now(memory, seen)
        step = _advance(memory, seen)
        if step is None or step.memory == memory:
            return memory, taken, step.because if step else because(Code.STEADY)
        if step.before is not None:
            taken.append(_taken(memory, step.before))
        memory = step.memory
        taken.append(_taken(memory, step.because))
    raise AssertionError(f"{memory.service}: a tick that never comes to rest")


def _reported(before: Memory, after: Memory, judged: Judged | None) -> tuple[Memory, list[Taken]]:
    """What a release keeps of its judge once it is judged no more, and how many callers it hurt in the end."""
    was = before.release
    judged_until_now = was is not None and in_force(was) is not None and was.phase is not Phase.ROLLING_BACK
    findings = tuple(map(_storable, judged.findings)) if judged and judged_until_now else ()
    now, ended = after.release, after.last if after.last != before.last else None
    if findings and was and now is not None and (now.id, now.phase) == (was.id, Phase.ROLLING_BACK):
        after = replace(after, release=replace(now, findings=findings))
    if findings and was and ended is not None and ended.id == was.id:
        after = _with_findings(after, replace(ended, findings=findings))
    if ended is None or not ended.moved or ended.plan.bad_answers_max is None:
        return after, []
    told = because(Code.EXPOSURE, bad=ended.bad_answers, allowed=ended.plan.bad_answers_max)
    return after, [Taken(phase=Phase.ENDED, because=told)]


def _storable(finding: Finding) -> Finding:
    return replace(finding, worth=Worth(*(min(money, MONEY_MAX) for money in finding.worth)))


def _with_findings(memory: Memory, ended: Release) -> Memory:
    probation = memory.probation
    if probation is not None and probation.release.id == ended.id:
        probation = replace(probation, release=ended)
    return replace(memory, last=ended, probation=probation)


def _not_from_the_future(memory: Memory, now: Now) -> Memory:
    """A clock that was set back makes deadlines late; nothing may lie further ahead than they are long."""
    release, held = memory.release, memory.predecessor
    if release is not None and max(release.began_at, release.entered_at) > now.wall:
        began, entered = min(release.began_at, now.wall), min(release.entered_at, now.wall)
        memory = replace(memory, release=replace(release, began_at=began, entered_at=entered))
    if held is not None and held.since > now.wall:
        memory = replace(memory, predecessor=replace(held, since=now.wall))
    late = memory.probation
    if late is not None and late.until > now.wall + late.release.plan.probation_s:
        until = now.wall + late.release.plan.probation_s
        memory = replace(memory, probation=replace(late, until=until))
    return memory


def _taken(memory: Memory, why: Reason) -> Taken:
    phase = memory.release.phase if memory.release else Phase.ENDED if memory.last else None
    return Taken(phase=phase, because=why)


def _timed(memory: Memory, seen: Seen) -> Memory:
    """Add the observed time to the stage's dwell, or to a freeze's rest: always with the route in force.

    A stage dwells with fresh samples only, and never while it is paused; a freeze rests meanwhile.
    """
    release = memory.release
    if release is None or not seen.confirmed(memory):
        return memory
    if release.phase is Phase.FROZEN:
        return replace(memory, release=freeze.rested(release, seen))
    dwells = release.phase in {Phase.WATCHING, Phase.HOLDING} and not release.paused
    if not dwells or not seen.samples_fresh:
        return memory
    return replace(memory, release=replace(release, dwelt_s=release.dwelt_s + seen.now.elapsed_s))


def _advance(memory: Memory, seen: Seen) -> Step | None:
    """The next step that the facts permit; the same memory with a reason when there is something to wait for."""
    release = memory.release
    if memory.removing:
        return _removed(memory, seen)
    if release is None:
        return _retire(memory, seen)
    assert release.phase in STEPS, f"{release.id} has ended and still holds the slot"
    return STEPS[release.phase](memory, release, seen)


def _retire(memory: Memory, seen: Seen) -> Step | None:
    held = memory.predecessor
    if held is None or seen.now.wall < held.since + held.hold_s:
        return None
    waits = _retiring_waits(memory, held, seen)
    if waits is not None:
        return Step(memory=memory, because=waits)
    why = because(Code.PREDECESSOR_RETIRED, revision=held.revision, seconds=seen.now.wall - held.since)
    return Step(memory=without_proofs(replace(memory, predecessor=None)), because=why)


def _retiring_waits(memory: Memory, held: Predecessor, seen: Seen) -> Reason | None:
    """What is live must carry everything before what was live before it is taken away."""
    assert memory.live is not None
    assert memory.settings is not None
    if seen.headroom.unknown:
        return because(Code.GREEN_UNKNOWN, why=seen.headroom.unknown)
    room = seen.headroom.room(memory.live, memory.settings)
    if room.whole:
        return None
    return because(Code.RETIRING_WAITS, revision=held.revision, ready=room.ready, needed=room.needed)


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
