"""Drills, decided: whether one may begin, whom it hits, when it is undone, and what it has shown. Pure.

Every drill ends, what it did is undone before it ends or, where that can not be done in time, it says so and goes on
being undone; and two are never under way at once. A release that is asked for meanwhile comes first.
"""

from collections.abc import Callable
from dataclasses import dataclass

from celadon.domain.command import Asked, Deploy, EndDrill, MarkDrill, Remove, Rollback, RunDrill
from celadon.domain.drill import (
    LASTING,
    Drill,
    DrillKind,
    DrillOrder,
    DrillPhase,
    DrillReport,
    FaultFact,
    Lease,
    ProbeFact,
)
from celadon.domain.facts import FRESH_S, Facts, Now
from celadon.domain.memory import Memory
from celadon.domain.reason import Code, Reason, because, text
from celadon.domain.release import Cause, Phase, Taken
from celadon.domain.spec import Settings
from celadon.domain.values import replace
from celadon.resilience.shown import REQUESTS_MIN, VERDICTS, measured, verdict
from celadon.resilience.spared import hindrance, in_words, victims

REPORTS_KEPT = 20
PATIENCE_S = 15.0
"""How much longer than it was asked for the probe may need until it has watched the callers."""

GIVES_WAY_S = 10.0
"""How long what is asked of the service waits at most until a drill is undone."""

BACK_S = 30.0
"""How long a service may take to be as before, where its replicas may not take longer to start; and how long it may
take to undo a failure."""

SETTLE_S = 1.5
"""How long callers are watched at least once a failure was made or undone."""

TAKES_OVER = Deploy | Rollback | Remove


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What a tick did about drills. memory: as the rest of the tick shall see it. handled: seqs of commands.

    kept_back: commands that wait until the drill is undone; the rest of the tick does not see them.
    """

    memory: Memory
    taken: tuple[Taken, ...] = ()
    handled: tuple[int, ...] = ()
    kept_back: tuple[Asked, ...] = ()


def order_of(
    kind: DrillKind,
    settings: Settings,
    *,
    before_s: float = 5.0,
    lasts_s: float | None = None,
    rto_s: float | None = None,
    rate: float = 25.0,
    insists: bool = False,
) -> DrillOrder:
    """A drill as it is asked for, with what follows from its kind and from how the service is to notice a hang."""
    hang_s = settings.redundancy.hang_s
    held_s = max(hang_s, settings.route.retry.per_try_s or 0.0)
    noticed_s = {DrillKind.HANG_REPLICA: held_s, DrillKind.KILL_FIRST_PRIORITY: hang_s}
    lasts = {
        DrillKind.HANG_REPLICA: 2 * held_s + 4,
        DrillKind.KILL_DAEMON: 30.0,
        DrillKind.FILL_DISK: 3.0,
    }
    return DrillOrder(
        kind=kind,
        before_s=before_s,
        lasts_s=lasts.get(kind, 10.0) if lasts_s is None else lasts_s,
        rto_s=1.0 + noticed_s.get(kind, 0.0) if rto_s is None else rto_s,
        rate=rate,
        insists=insists,
    )


def rehearse(memory: Memory, facts: Facts, now: Now) -> Rehearsed:
    """Answer what is asked of drills, and take one step with the one under way."""
    after, handled, taken = memory, [], []
    for asked in memory.commands:
        answered = _answered(after, asked, facts, now)
        if answered is not None:
            after, why = answered
            handled.append(asked.seq)
            taken.append(why)
    if after.drill is not None:
        after, steps = _step(after, after.drill, facts, now)
        taken += steps
    waits = after.drill is not None and now.wall < after.drill.entered_at + GIVES_WAY_S
    kept_back = tuple(a for a in after.commands if waits and isinstance(a.command, TAKES_OVER))
    left = tuple(a for a in after.commands if a.seq not in handled and a not in kept_back)
    return Rehearsed(
        memory=replace(after, commands=left),
        taken=tuple(Taken(phase=None, because=why) for why in taken),
        handled=tuple(handled),
        kept_back=kept_back,
    )


def refusal(memory: Memory, facts: Facts, order: DrillOrder) -> Reason | None:
    """Why a drill may not begin now, if it may not."""
    number = next_drill(memory)
    if memory.drill is not None:
        return because(Code.DRILL_REFUSED, drill=number, why=f"drill {memory.drill.number} has not ended")
    why = hindrance(memory, facts, order, number)
    return None if why is None else because(Code.DRILL_REFUSED, drill=number, why=why)


def next_drill(memory: Memory) -> int:
    """The number of the drill that is asked for next."""
    under_way = memory.drill.number if memory.drill else 0
    return max(under_way, memory.drills[-1].number if memory.drills else 0) + 1


def _answered(memory: Memory, asked: Asked, facts: Facts, now: Now) -> tuple[Memory, Reason] | None:
    match asked.command:
        case RunDrill(drill=number, order=order):
            refused = refusal(memory, facts, order)
            if refused is not None:
                return memory, refused
            why = because(
                Code.DRILL_BEGAN, drill=number, kind=order.kind, seconds=order.before_s, rate=order.rate
            )
            drill = Drill(
                number=number,
                order=order,
                phase=DrillPhase.MEASURING,
                began_at=now.wall,
                entered_at=now.wall,
                because=why,
                proxies=len(facts.drill.proxies),
                ready=facts.ready(memory.live) if memory.live is not None else None,
            )
            return replace(memory, drill=drill), why
        case EndDrill(drill=number):
            there = memory.drill
            if there is None or there.number != number or there.phase is DrillPhase.UNDOING:
                # Who ends one that is being undone takes nothing from what it has shown.
                return memory, because(Code.DRILL_ENDS_ITSELF, drill=number)
            why = because(Code.DRILL_ENDS_EARLY)
            if there.ends is None:
                memory = replace(memory, drill=replace(there, ends=why))
            return memory, why
        case MarkDrill(drill=number):
            return memory, because(Code.DRILL_MARKED, drill=number)
        case _:
            return None


def _step(memory: Memory, drill: Drill, facts: Facts, now: Now) -> tuple[Memory, list[Reason]]:
    drill = _not_from_the_future(drill, now)
    over = next((a.command for a in memory.commands if isinstance(a.command, TAKES_OVER)), None)
    if over is not None and drill.ends is None:
        asked = type(over).__name__.lower()
        drill = replace(drill, ends=because(Code.DRILL_GAVE_WAY, asked=asked))
    return STEPS[drill.phase](replace(memory, drill=drill), drill, facts, now)


def _not_from_the_future(drill: Drill, now: Now) -> Drill:
    """A clock that was set back must not make a lease longer than it was meant to be."""
    entered_at = min(drill.entered_at, now.wall)
    lease = drill.lease
    if lease is not None and lease.until > now.wall + lease.lasts_s:
        lease = replace(lease, until=now.wall + lease.lasts_s)
    return replace(drill, entered_at=entered_at, lease=lease)


_Stepped = tuple[Memory, list[Reason]]


def _measuring(memory: Memory, drill: Drill, facts: Facts, now: Now) -> _Stepped:
    """Callers are watched as they are, so that it can be said what has become of them."""
    probe, order = _probe(drill, facts), drill.order
    if drill.ends is not None:
        return _ended(memory, drill, drill.ends, facts, now)
    enough = probe is not None and probe.before >= 0.9 * order.rate * order.before_s
    if probe is not None and enough and not probe.over:
        if probe.ok_before < 0.99 * probe.before:
            failed = probe.before - probe.ok_before
            why = because(Code.DRILL_NOT_STEADY, failed=failed, requests=probe.before)
            return _ended(memory, drill, why, facts, now)
        return _strike(memory, drill, facts, now)
    late = now.wall >= drill.entered_at + order.before_s + PATIENCE_S
    if late or (probe is not None and probe.over):
        what = (probe.why if probe else "") or "too few of its requests were answered in time"
        return _ended(memory, drill, because(Code.DRILL_NOT_MEASURED, why=what), facts, now)
    return memory, []


def _strike(memory: Memory, drill: Drill, facts: Facts, now: Now) -> _Stepped:
    """The lease is recorded here; only then may anything be done."""
    hinders = hindrance(memory, facts, drill.order, drill.number)
    if hinders is not None:
        return _ended(memory, drill, because(Code.DRILL_NOT_HIT, why=hinders), facts, now)
    order, chosen = drill.order, victims(memory, facts, drill.order.kind, drill.number)
    lease = Lease(
        drill=drill.number,
        kind=order.kind,
        victims=chosen,
        until=now.wall + order.lasts_s,
        lasts_s=order.lasts_s,
    )
    release = memory.release
    moved = (release.id, release.phase.value, release.stage) if release else None
    why = because(
        Code.DRILL_STRIKES, drill=drill.number, what=in_words(order.kind, chosen), seconds=order.lasts_s
    )
    drill = replace(drill, lease=lease, victims=chosen, struck_at=now.wall, moved=moved)
    return _entered(memory, drill, DrillPhase.STRIKING, why, now)


def _striking(memory: Memory, drill: Drill, facts: Facts, now: Now) -> _Stepped:
    """Until it is seen that the failure is there."""
    assert drill.lease is not None
    fault = _fault(drill, facts)
    if drill.ends is not None:
        return _over(memory, drill, drill.ends, now)
    if fault is not None and fault.struck_at is not None:
        what = in_words(drill.order.kind, drill.victims)
        why = because(Code.DRILL_STRUCK, drill=drill.number, what=what)
        return _entered(memory, replace(drill, hit=fault.hit), DrillPhase.STRUCK, why, now)
    if (fault is not None and fault.why) or now.wall >= drill.lease.until:
        why = because(
            Code.DRILL_NOT_HIT,
            why=(fault.why if fault else "") or "it was not seen in time that it was there",
        )
        return _over(memory, replace(drill, ends=why), why, now)
    return memory, []


def _struck(memory: Memory, drill: Drill, facts: Facts, now: Now) -> _Stepped:
    """Until callers are served as before, or the lease is over."""
    lease, struck_at = drill.lease, drill.struck_at
    assert lease is not None
    assert struck_at is not None
    blind = _moved_blind(memory, drill)
    if blind is not None and drill.ends is None:
        drill = replace(drill, ends=blind)
    if drill.ends is not None:
        return _over(memory, drill, drill.ends, now)
    if now.wall >= lease.until:
        return _over(memory, drill, None, now, "its time is over")
    probe, kind = _probe(drill, facts), drill.order.kind
    settles_s = SETTLE_S + (_hang_s(memory) if kind is DrillKind.HANG_REPLICA else 0.0)
    waits = kind in LASTING and kind is not DrillKind.HANG_REPLICA
    fault = _fault(drill, facts)
    waits |= kind is DrillKind.KILL_DAEMON and (fault is None or fault.back_s is None)
    if waits or not _served(probe, struck_at + settles_s):
        return memory, []
    return _over(memory, drill, None, now, "callers are served as before")


def _moved_blind(memory: Memory, drill: Drill) -> Reason | None:
    """Whether a release was promoted or taken back while what it is judged by stood still."""
    if drill.order.kind is not DrillKind.FREEZE_METRICS or drill.moved is None:
        return None
    release = next((r for r in (memory.release, memory.last) if r and r.id == drill.moved[0]), None)
    if release is None or release.cause in {Cause.PERSON, Cause.SUPERSEDED}:
        return None
    if release.phase not in {Phase.ROLLING_BACK, Phase.ENDED} or drill.moved[1] == Phase.ROLLING_BACK:
        return None
    # So long it may still be decided on what was counted before.
    if drill.struck_at is None or release.entered_at < drill.struck_at + FRESH_S:
        return None
    return because(Code.DRILL_MOVED_BLIND, release=release.id, why=text(release.because))


def _over(
    memory: Memory, drill: Drill, ends: Reason | None, now: Now, why: str = "it ends before its time"
) -> _Stepped:
    if ends is not None:
        why = text(ends)
    lifted = because(Code.DRILL_OVER, drill=drill.number, why=why)
    return _entered(memory, replace(drill, lease=None), DrillPhase.UNDOING, lifted, now)


def _undoing(memory: Memory, drill: Drill, facts: Facts, now: Now) -> _Stepped:
    """Until no trace is left, and then until the service is as it was."""
    fault, probe = _fault(drill, facts), _probe(drill, facts)
    if fault is not None and fault.undone_at is None:
        if now.wall < drill.entered_at + BACK_S:
            return memory, []
        why = because(Code.DRILL_NOT_UNDONE, seconds=now.wall - drill.entered_at)
        return _ended(memory, drill, why, facts, now)
    if fault is not None and fault.hit > drill.hit:
        drill = replace(drill, hit=fault.hit)
    if drill.ends is not None:
        return _ended(memory, drill, drill.ends, facts, now)
    settled_at = drill.entered_at + SETTLE_S
    enough = probe is not None and probe.measured.requests >= REQUESTS_MIN
    back = enough and _served(probe, settled_at) and not _lacks(memory, drill, facts)
    late = now.wall >= drill.entered_at + max(
        BACK_S, memory.settings.release.start_s if memory.settings else 0
    )
    gone = probe is None or probe.over
    if back or late or (gone and now.wall >= settled_at):
        return _ended(
            memory, drill, verdict(memory, drill, probe, fault, _lacks(memory, drill, facts)), facts, now
        )
    return memory, []


def _served(probe: ProbeFact | None, since: float) -> bool:
    return probe is not None and probe.steady and probe.measured.rto_s is not None and probe.clear_to >= since


def _lacks(memory: Memory, drill: Drill, facts: Facts) -> str:
    """What of the service is not as it should be and was when the drill began; empty when nothing is."""
    if memory.live is None or memory.settings is None:
        return ""
    ready, wanted = facts.ready(memory.live), memory.settings.replicas.wanted
    if ready < min(wanted, wanted if drill.ready is None else drill.ready):
        return f"{ready} of {wanted} replicas are ready"
    run = len(facts.drill.proxies)
    return "" if run >= drill.proxies else f"{run} of {drill.proxies} proxies run"


def _entered(memory: Memory, drill: Drill, phase: DrillPhase, why: Reason, now: Now) -> _Stepped:
    entered = replace(drill, phase=phase, entered_at=now.wall, because=why)
    return replace(memory, drill=entered), [why]


def _ended(memory: Memory, drill: Drill, why: Reason, facts: Facts, now: Now) -> _Stepped:
    fault, probe = _fault(drill, facts), _probe(drill, facts)
    report = DrillReport(
        number=drill.number,
        order=drill.order,
        verdict=VERDICTS[why.code],
        because=why,
        measured=measured(probe, fault),
        victims=drill.victims,
        began_at=drill.began_at,
        struck_at=drill.struck_at,
        ended_at=now.wall,
        undone=fault is None or fault.undone_at is not None,
    )
    kept = (*memory.drills, report)[-REPORTS_KEPT:]
    return replace(memory, drill=None, drills=kept), [why]


def _hang_s(memory: Memory) -> float:
    return memory.settings.redundancy.hang_s if memory.settings else 0.0


def _probe(drill: Drill, facts: Facts) -> ProbeFact | None:
    probe = facts.drill.probe
    return probe if probe is not None and probe.drill == drill.number else None


def _fault(drill: Drill, facts: Facts) -> FaultFact | None:
    fault = facts.drill.fault
    return fault if fault is not None and fault.drill == drill.number else None


STEPS: dict[DrillPhase, Callable[[Memory, Drill, Facts, Now], _Stepped]] = {
    DrillPhase.MEASURING: _measuring,
    DrillPhase.STRIKING: _striking,
    DrillPhase.STRUCK: _struck,
    DrillPhase.UNDOING: _undoing,
}
"""What is decided in each phase."""
