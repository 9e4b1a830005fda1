"""How a release ends, and how it turns back: the only places where `live` changes."""

from dataclasses import replace

from celadon.domain.memory import Memory
from celadon.domain.reason import Reason
from celadon.domain.release import Cause, Outcome, Phase, Predecessor, Release
from celadon.release.phases import enter


def roll_back(
    memory: Memory, release: Release, why: Reason, cause: Cause, wall: float
) -> tuple[Memory, Reason]:
    """Turn back for good. What the release will end as is fixed here."""
    outcome = Outcome.SUPERSEDED if cause is Cause.SUPERSEDED else Outcome.ROLLED_BACK
    turned = replace(
        enter(release, Phase.ROLLING_BACK, why, wall), outcome=outcome, cause=cause, paused=False
    )
    return replace(memory, release=turned), why


def end(
    memory: Memory, release: Release, outcome: Outcome, why: Reason, *, wall: float, cause: Cause
) -> tuple[Memory, Reason]:
    """Free the slot. Promotion changes roles only: green is live, and blue is held as its predecessor."""
    assert outcome is not Outcome.PROMOTED or release.moved, f"{release.id}: no traffic moved"
    ended = replace(
        enter(release, Phase.ENDED, why, wall), ended_at=wall, outcome=outcome, cause=cause, paused=False
    )
    after = replace(memory, release=None, last=ended, evidence=None)
    if outcome is Outcome.PROMOTED:
        held = None
        if release.blue is not None:
            held = Predecessor(revision=release.blue, since=wall, hold_s=release.plan.hold_s)
        after = replace(after, live=release.green, settings=release.settings, predecessor=held)
    return without_proofs(after), why


def without_proofs(memory: Memory) -> Memory:
    """A proof speaks for replicas that stand: what does not run any more is proved again when it comes back."""
    stands = {memory.live} | ({memory.predecessor.revision} if memory.predecessor else set())
    return replace(memory, proved={key: golden for key, golden in memory.proved.items() if key in stands})
