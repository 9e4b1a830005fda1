"""What the revisions could carry now, and what may be taken away or lost of them. Unknown is never healthy."""

from collections import Counter
from collections.abc import Iterator

from celadon.domain.facts import Facts, ReplicaFact, ReplicaState, Unknown, fresh
from celadon.domain.goal import Arm, arm_of
from celadon.domain.headroom import Headroom
from celadon.domain.memory import Memory
from celadon.domain.names import RevisionId
from celadon.domain.reason import Code, Reason, because
from celadon.domain.spec import Settings, Survives

Named = tuple[RevisionId, int]
"""A replica of a service, by its revision and its number."""


def headroom(facts: Facts) -> Headroom:
    """Ready replicas by revision. A control arm carries its own part of the requests and nothing else."""
    if isinstance(facts.replicas, Unknown):
        return Headroom(unknown=facts.replicas.why)
    if not fresh(facts.replicas, facts.at):
        return Headroom(unknown="nothing was seen of the replicas lately")
    return Headroom(ready=Counter(replica.id.revision for replica in carrying(facts)))


def carrying(facts: Facts) -> Iterator[ReplicaFact]:
    """Replicas that can take any request of their revision now."""
    known = () if isinstance(facts.replicas, Unknown) else facts.replicas.value
    for replica in known:
        if replica.state is ReplicaState.READY and arm_of(replica.id.index) is not Arm.CONTROL:
            yield replica


def not_spared(memory: Memory, facts: Facts, wanted: frozenset[Named]) -> frozenset[Named]:
    """Ready replicas that no goal wants any more and that can not be done without yet.

    wanted: those that the goal does want. Where requests go, enough of them must be ready to carry everything before
    another is taken away; and the last that are healthy at all are never taken away, wherever requests go.
    """
    goal = memory.goal
    if goal is None or not goal.routed:
        return frozenset()
    ready = sorted((replica.id.revision, replica.id.index) for replica in carrying(facts))
    more = [one for one in ready if one not in wanted]
    if not any(revision in goal.routed for revision, _ in ready):
        return frozenset(more)
    kept: set[Named] = set()
    for revision in goal.routed:
        settings = settings_of(memory, revision)
        there = sum(one[0] == revision and one in wanted for one in ready)
        lacking = max(0, settings.needed - there) if settings else 0
        kept.update([one for one in more if one[0] == revision][:lacking])
    return frozenset(kept)


def survives(memory: Memory, facts: Facts) -> Reason | None:
    """Why the live revision would not outlive the loss that its owner wants it to; None where it would.

    Where a zone may be lost, it is the one with the most ready replicas.
    """
    live, settings = memory.live, memory.settings
    if live is None or settings is None or settings.redundancy.survives is Survives.NOTHING:
        return None
    room = headroom(facts)
    if room.unknown:
        return because(Code.LOSS_UNKNOWN, why=room.unknown)
    zones = Counter(replica.zone for replica in carrying(facts) if replica.id.revision == live)
    loss = settings.redundancy.survives
    lost = 1 if loss is Survives.REPLICA else max(zones.values(), default=0)
    ready = zones.total()
    left = max(0, ready - lost)
    if left >= settings.needed:
        return None
    return because(Code.LOSS_NOT_COVERED, loss=loss.value, left=left, needed=settings.needed)


def settings_of(memory: Memory, revision: RevisionId) -> Settings | None:
    """The settings that a revision serves under; those of what is live where it has none of its own."""
    release = memory.release
    if release is not None and (revision == release.green or memory.settings is None):
        return release.settings
    return memory.settings
