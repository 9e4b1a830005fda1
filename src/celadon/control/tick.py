"""One pass over one service, the whole story on one screen. It reads no clock and touches no disk itself."""

from dataclasses import dataclass, replace

from celadon.control.apply import Effects
from celadon.control.ports import Journal
from celadon.control.reconcile import reconcile
from celadon.control.view import View
from celadon.domain.facts import NO_LABELS, Facts, Known, Now, ReplicaState, Unknown
from celadon.domain.feedback import Interest
from celadon.domain.memory import Memory, Probation
from celadon.domain.names import ServiceKey
from celadon.domain.reason import Code, Reason, because
from celadon.domain.release import Release
from celadon.domain.samples import Evidence, Samples
from celadon.domain.verdict import Judged
from celadon.judge.tallies import Sides
from celadon.judge.watch import begin, judge, judge_late
from celadon.release.decide import decide
from celadon.release.stage import in_force
from celadon.resilience.headroom import headroom
from celadon.resilience.place import place

CHECKPOINT_S = 5.0
CHECKPOINT_SHARE = 0.05
"""Evidence and dwell are journalled this often while they change, or after this share of the time in their phase,
whichever is longer: a crash costs at most this much of a watch, and a long hold does not fill the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What the last tick knew beyond the journal: evidence and dwell since the last checkpoint."""

    memory: Memory
    checkpoint_at: float


def tick(
    service: ServiceKey, journal: Journal, effects: Effects, draft: Draft | None, now: Now
) -> tuple[Draft, View]:
    """Observe, judge, decide, place, record, apply."""
    journalled = journal.read(service)
    memory = carry(journalled, draft)
    facts = observe(effects, memory, now)
    evidence, judged = look(memory, facts)
    probation, late = look_late(memory, facts)
    memory = replace(memory, evidence=evidence, probation=probation)
    choice = decide(memory, facts, judged, headroom(memory, facts), now, late=late)
    after = only_judged(choice.memory)
    goal = place(after, choice.routes)
    if after.goal is None or replace(goal, stamp=after.goal.stamp) != after.goal:
        after = replace(after, goal=goal)
    after = replace(after, commands=tuple(c for c in after.commands if c.seq not in choice.handled))
    why, at = choice.because, draft.checkpoint_at if draft else now.wall
    if settled(after) != settled(journalled) or now.jumped_s:
        after, at = journal.record(journalled, after, why, now.wall, choice.steps), now.wall
    elif after != journalled and now.wall >= at + pause_s(after, now):
        after, at = journal.record(journalled, after, checkpoint(after), now.wall), now.wall
    for action in reconcile(service, after, facts):
        effects.begin(service, action, after, facts)
    view = View(memory=after, facts=facts, judged=judged, because=why, at=now.wall)
    return Draft(memory=after, checkpoint_at=at), view


def observe(effects: Effects, memory: Memory, now: Now) -> Facts:
    """What the adapters saw last. Those that keep labels are told first for whom."""
    service, evidence, probation = memory.service, memory.evidence, memory.probation
    trees = memory.goal.fetch if memory.goal else ()
    moving, promoted = interest(memory.release), interest(probation.release if probation else None)
    effects.labels.follow(service, tuple(one for one in (moving, promoted) if one))
    return Facts(
        at=now.wall,
        replicas=effects.platform.observe(service),
        routes=effects.router.observe(service),
        samples=effects.router.samples(service, evidence.cursor if evidence else ()),
        sources=effects.sources.observe(trees),
        proof=effects.prober.observe(service),
        labels=_labels(effects, service, evidence, moving),
        probation_labels=_labels(effects, service, probation.evidence if probation else None, promoted),
        heard=effects.labels.heard(service),
    )


def interest(release: Release | None) -> Interest | None:
    """What a release wants to know later of its answers; None where it compares nothing."""
    if release is None or release.blue is None or release.plan.compare is None:
        return None
    return Interest(
        compare=release.plan.compare,
        blue=release.blue,
        began_at=release.began_at,
        ended_at=release.ended_at,
    )


def _labels(
    effects: Effects, service: ServiceKey, evidence: Evidence | None, of: Interest | None
) -> Known[Samples] | Unknown:
    return effects.labels.samples(service, evidence.label_cursor if evidence else (), of) if of else NO_LABELS


def look(memory: Memory, facts: Facts) -> tuple[Evidence | None, Judged | None]:
    """The judge's word on the stage that is in force. Before the first one, where its counts will begin."""
    release = memory.release
    if release is None:
        return None, None
    stage, who = in_force(release), sides(release, facts)
    if stage is None:
        return begin(release, who, facts.samples), None
    there = release.plan.stages[stage]
    return judge(release, there, who, memory.evidence, samples=facts.samples, labels=facts.labels)


def only_judged(memory: Memory) -> Memory:
    """No stage in force, no evidence: until then it begins anew at every tick."""
    release = memory.release
    return memory if release is not None and in_force(release) is not None else replace(memory, evidence=None)


def sides(release: Release, facts: Facts) -> Sides | None:
    """Who is compared; None where nothing was live before."""
    if release.blue is None:
        return None
    control = facts.control_of(release.blue)
    return Sides(
        blue=release.blue,
        green=release.green,
        blue_ready=facts.ready(release.blue),
        green_ready=facts.ready(release.green),
        control_ready=sum(one.state is ReplicaState.READY for one in control),
    )


def look_late(memory: Memory, facts: Facts) -> tuple[Probation | None, Judged | None]:
    """What labels say by now about a promoted revision on probation."""
    probation = memory.probation
    if probation is None:
        return None, None
    evidence, judged = judge_late(probation.release, probation.evidence, facts.probation_labels)
    return replace(probation, evidence=evidence), judged


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


def settled(memory: Memory) -> Memory:
    """A memory without what changes at every tick and is only journalled at checkpoints."""
    release = replace(memory.release, dwelt_s=0.0, rested_s=0.0) if memory.release else None
    probation = replace(memory.probation, evidence=NO_EVIDENCE) if memory.probation else None
    return replace(memory, release=release, probation=probation, evidence=None, seq=0, epoch=0)


NO_EVIDENCE = Evidence(judge="", cursor=())


def pause_s(memory: Memory, now: Now) -> float:
    """How long after the last record evidence is journalled again."""
    release, probation = memory.release, memory.probation
    began = release.entered_at if release else now.wall
    if release is None and probation is not None:
        began = probation.until - probation.release.plan.probation_s
    return max(CHECKPOINT_S, CHECKPOINT_SHARE * (now.wall - began))


def checkpoint(memory: Memory) -> Reason:
    """The reason of a record that only keeps evidence."""
    release, evidence = memory.release, memory.evidence
    if release is None and memory.probation is not None:
        release, evidence = memory.probation.release, memory.probation.evidence
    green = evidence.of(release.green) if release and evidence else None
    return because(
        Code.CHECKPOINT, requests=green.requests if green else 0, errors=green.errors if green else 0
    )
