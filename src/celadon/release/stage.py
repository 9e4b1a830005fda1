"""Which stage of the plan is in force, and what of the evidence belongs to it alone."""

from celadon.domain.memory import Memory
from celadon.domain.plan import FULL
from celadon.domain.release import Phase, Release
from celadon.domain.samples import Evidence
from celadon.domain.spec import Serves
from celadon.domain.values import replace

ON_STAGE = frozenset({Phase.MOVING, Phase.WATCHING, Phase.HOLDING, Phase.FROZEN})


def in_force(release: Release) -> int | None:
    """Index of the stage that green is judged in; None while green has answered nobody.

    A gate keeps the stage before it. On the way back answers of the last stage still count.
    """
    if release.phase in ON_STAGE:
        return release.stage
    if release.phase is Phase.WAITING and release.stage > 0:
        return release.stage - 1
    return release.stage if release.phase is Phase.ROLLING_BACK and release.moved else None


def green_share(release: Release) -> int:
    """Green's share out of 10,000: by the plan, and on the way back what blue can not take yet.

    Frozen and before the first stage it is 0.
    """
    stage = in_force(release)
    if stage is None or release.phase is Phase.FROZEN:
        return 0
    if release.phase is Phase.ROLLING_BACK or blue_holds(release):
        return release.kept or 0
    return release.plan.stages[stage].share


def blue_holds(release: Release) -> bool:
    """Whether blue serves, once it can, while a release waits for a person that had moved every request."""
    return (
        release.phase is Phase.HOLDING
        and release.blue is not None
        and release.plan.hold_serves is Serves.BLUE
        and release.plan.stages[release.stage].share == FULL
    )


def counts_anew(memory: Memory, release: Release) -> tuple[Evidence | None, Release]:
    """Evidence for another share: what was counted at the old one is dropped, what was compared stays.

    Green's errors to callers are added up in the release, so that the whole exposure is known at its end.
    """
    evidence = memory.evidence
    if evidence is None:
        return None, release
    bad = evidence.of(release.green).errors
    return replace(evidence, counts=(), unread=(), copies=0), replace(
        release, bad_answers=release.bad_answers + bad
    )
