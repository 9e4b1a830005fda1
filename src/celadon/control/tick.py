"""One pass over one service, the whole story on one screen. It reads no clock and touches no disk itself."""

from dataclasses import dataclass, replace

from celadon.control.apply import Effects
from celadon.control.ports import Journal
from celadon.control.reconcile import reconcile
from celadon.control.view import View
from celadon.domain.facts import Facts, Now
from celadon.domain.memory import Memory
from celadon.domain.names import ServiceKey
from celadon.domain.reason import Code, Reason, because
from celadon.domain.release import Phase
from celadon.domain.samples import Evidence
from celadon.domain.verdict import Judged
from celadon.judge.guard import judge
from celadon.release.decide import decide
from celadon.resilience.headroom import headroom
from celadon.resilience.place import place

JUDGED = frozenset({Phase.MOVING, Phase.WATCHING, Phase.HOLDING})
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
    memory = replace(memory, evidence=evidence)
    choice = decide(memory, facts, judged, headroom(memory, facts), now)
    after = choice.memory
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
    """What the adapters saw last."""
    service = memory.service
    trees = memory.goal.fetch if memory.goal else ()
    return Facts(
        at=now.wall,
        replicas=effects.platform.observe(service),
        routes=effects.router.observe(service),
        samples=effects.router.samples(service, memory.evidence.cursor if memory.evidence else ()),
        sources=effects.sources.observe(trees),
        proof=effects.prober.observe(service),
    )


def look(memory: Memory, facts: Facts) -> tuple[Evidence | None, Judged | None]:
    """The judge's word on the stage that is under way; no stage, no evidence."""
    release = memory.release
    if release is None or release.phase not in JUDGED:
        return None, None
    stage = release.plan.stages[release.stage]
    if stage.guard is None:
        return None, None
    evidence, verdict = judge(stage.guard, release.green, stage.share, memory.evidence, facts.samples)
    return evidence, Judged(verdict=verdict)


def carry(journalled: Memory, draft: Draft | None) -> Memory:
    """The journal's memory with what has built up in the same stage since its last checkpoint."""
    then, now = draft.memory.release if draft else None, journalled.release
    if draft is None or then is None or now is None:
        return journalled
    if (then.id, then.phase, then.stage) != (now.id, now.phase, now.stage):
        return journalled
    return replace(journalled, evidence=draft.memory.evidence, release=replace(now, dwelt_s=then.dwelt_s))


def settled(memory: Memory) -> Memory:
    """A memory without what changes at every tick and is only journalled at checkpoints."""
    release = replace(memory.release, dwelt_s=0.0) if memory.release else None
    return replace(memory, release=release, evidence=None, seq=0, epoch=0)


def pause_s(memory: Memory, now: Now) -> float:
    """How long after the last record evidence is journalled again."""
    release = memory.release
    return max(CHECKPOINT_S, CHECKPOINT_SHARE * (now.wall - release.entered_at) if release else 0.0)


def checkpoint(memory: Memory) -> Reason:
    """The reason of a record that only keeps evidence."""
    release, evidence = memory.release, memory.evidence
    green = evidence.of(release.green) if release and evidence else None
    return because(
        Code.CHECKPOINT, requests=green.requests if green else 0, errors=green.errors if green else 0
    )
