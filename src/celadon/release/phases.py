"""Where a release may go from where it stands. The table names no strategy: stages do that."""

from celadon.domain.reason import Reason
from celadon.domain.release import Phase, Release
from celadon.domain.values import replace

NEXT: dict[Phase, frozenset[Phase]] = {
    Phase.PREPARING: frozenset({Phase.PROVING, Phase.ROLLING_BACK, Phase.ENDED}),
    Phase.PROVING: frozenset({Phase.WAITING, Phase.MOVING, Phase.ROLLING_BACK, Phase.ENDED}),
    Phase.WAITING: frozenset({Phase.MOVING, Phase.FROZEN, Phase.ROLLING_BACK, Phase.ENDED}),
    Phase.MOVING: frozenset({Phase.WATCHING, Phase.FROZEN, Phase.ROLLING_BACK, Phase.ENDED}),
    Phase.WATCHING: frozenset(
        {Phase.WAITING, Phase.MOVING, Phase.HOLDING, Phase.FROZEN, Phase.ROLLING_BACK, Phase.ENDED}
    ),
    Phase.HOLDING: frozenset({Phase.WAITING, Phase.MOVING, Phase.FROZEN, Phase.ROLLING_BACK, Phase.ENDED}),
    Phase.FROZEN: frozenset({Phase.MOVING, Phase.ROLLING_BACK, Phase.ENDED}),
    Phase.ROLLING_BACK: frozenset({Phase.ENDED}),
    Phase.ENDED: frozenset(),
}
"""A removal of the service ends its release wherever it stands; promoted is only what was watched or waved through."""

FOR_A_PERSON = frozenset({Phase.WAITING, Phase.HOLDING})
"""Phases that wait for a person."""


def waits_for_a_person(release: Release) -> bool:
    """Whether nothing moves forward here until a person decides. A freeze does once it lasts too long."""
    return release.phase in FOR_A_PERSON or release.stays_frozen


def enter(release: Release, phase: Phase, why: Reason, wall: float) -> Release:
    """The release in its next phase. A move that the table does not know is our bug."""
    assert phase in NEXT[release.phase], f"{release.id}: {release.phase} does not lead to {phase}"
    return replace(release, phase=phase, because=why, entered_at=wall, kept=None)
