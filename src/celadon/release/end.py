"""How a release ends, and how it turns back: the only places where `live` changes."""

from celadon.domain.memory import Memory, Probation
from celadon.domain.reason import Reason
from celadon.domain.release import Cause, Outcome, Phase, Predecessor, Release
from celadon.domain.values import replace
from celadon.release.phases import enter
from celadon.release.stage import counts_anew, in_force


def roll_back(
    memory: Memory, release: Release, why: Reason, cause: Cause, wall: float
) -> tuple[Memory, Reason]:
    """Turn back for good. What the release will end as is fixed here."""
    outcome = Outcome.SUPERSEDED if cause is Cause.SUPERSEDED else Outcome.ROLLED_BACK
    return turn_back(memory, release, outcome, why, wall=wall, cause=cause)


def turn_back(
    memory: Memory, release: Release, outcome: Outcome, why: Reason, *, wall: float, cause: Cause
) -> tuple[Memory, Reason]:
    """Turn back for good, to end as `outcome` once blue has every request: also a test whose time is over does.

    What green keeps for now was drawn by the stage in force. The one behind a gate never began and draws nobody.
    """
    stage = in_force(release)
    turned = replace(
        enter(release, Phase.ROLLING_BACK, why, wall),
        stage=release.stage if stage is None else stage,
        outcome=outcome,
        cause=cause,
        paused=False,
        stays_frozen=False,
    )
    return replace(memory, release=turned), why


def end(
    memory: Memory, release: Release, outcome: Outcome, why: Reason, *, wall: float, cause: Cause
) -> tuple[Memory, Reason]:
    """Free the slot. Promotion changes roles only: green is live, and blue is held as its predecessor."""
    assert outcome is not Outcome.PROMOTED or release.moved, f"{release.id}: no traffic moved"
    _, release = counts_anew(memory, release)
    ended = replace(
        enter(release, Phase.ENDED, why, wall),
        ended_at=wall,
        outcome=outcome,
        cause=cause,
        paused=False,
        stays_frozen=False,
    )
    after = replace(memory, release=None, last=ended, evidence=None)
    if outcome is Outcome.PROMOTED:
        after = _promoted(after, ended, _probation(memory, ended, wall), wall)
    return without_proofs(after), why


def without_proofs(memory: Memory) -> Memory:
    """A proof speaks for replicas that stand: what does not run any more is proved again when it comes back."""
    stands = {memory.live} | ({memory.predecessor.revision} if memory.predecessor else set())
    return replace(memory, proved={key: golden for key, golden in memory.proved.items() if key in stands})


def _promoted(memory: Memory, release: Release, probation: Probation | None, wall: float) -> Memory:
    """While labels may still take green back, blue is kept ready."""
    held = None
    if release.blue is not None:
        hold_s = max(release.plan.hold_s, probation.until - wall if probation else 0.0)
        held = Predecessor(revision=release.blue, since=wall, hold_s=hold_s)
    return replace(
        memory,
        live=release.green,
        settings=release.settings,
        goldens={**memory.goldens, release.green: release.settings.golden or ""},
        predecessor=held,
        probation=probation or memory.probation,
    )


def _probation(memory: Memory, release: Release, wall: float) -> Probation | None:
    """Only what labels can speak of, and only where there is evidence that they can be added to."""
    plan, evidence = release.plan, memory.evidence
    late = plan.compare is not None and (plan.compare.labels or plan.compare.score)
    if plan.probation_s <= 0 or not late or evidence is None or release.blue is None:
        return None
    return Probation(release=release, evidence=evidence, until=wall + plan.probation_s)
