"""What a tick sees before it decides: facts from every adapter, and the judge's word on them."""

from celadon.control.apply import Effects
from celadon.domain.facts import NO_LABELS, Facts, Known, Now, ReplicaState, Unknown
from celadon.domain.feedback import Interest
from celadon.domain.memory import Memory, Probation
from celadon.domain.names import ServiceKey
from celadon.domain.release import Release
from celadon.domain.samples import Evidence, Samples
from celadon.domain.values import replace
from celadon.domain.verdict import Judged
from celadon.judge.tallies import Sides
from celadon.judge.watch import begin, judge, judge_late
from celadon.release.stage import in_force


def observe(effects: Effects, memory: Memory, now: Now) -> Facts:
    """What the adapters saw last. Those that keep labels are told first for whom."""
    service, evidence, probation = memory.service, memory.evidence, memory.probation
    trees = memory.goal.fetch if memory.goal else ()
    moving: Interest | None = None
    promoted: Interest | None = None
    interests: tuple[Interest, ...] = ()
    if memory.release is not None or probation is not None:
        moving, promoted = interest(memory.release), interest(probation.release if probation else None)
        interests = tuple(one for one in (moving, promoted) if one)
    effects.labels.follow(service, interests)
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
        drill=effects.drills.observe(service, memory.drill),
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
