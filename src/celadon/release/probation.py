"""A promoted revision that late labels still judge, outside the slot of whatever moves now."""

from celadon.domain.command import Rollback
from celadon.domain.memory import Memory
from celadon.domain.reason import Code, Reason, because, text
from celadon.domain.release import Cause, Phase
from celadon.domain.values import replace
from celadon.domain.verdict import Harm, Judged
from celadon.release.commands import begin
from celadon.release.end import roll_back


def judged_late(memory: Memory, late: Judged | None, wall: float) -> tuple[Memory, Reason] | None:
    """What the labels do to a promoted revision; None while they do nothing, or while the slot must be free first.

    late: what they say by now. Harm releases the predecessor if green is still live, else it is only told.
    """
    probation = memory.probation
    if probation is None or memory.removing:
        return None
    if late is None or not isinstance(late.verdict, Harm):
        return _over(memory, late) if wall >= probation.until else None
    why = because(Code.PROBATION_HARM, why=text(late.verdict.because))
    back_to = probation.release.blue
    if memory.live != probation.release.green or back_to not in memory.revisions:
        return replace(memory, probation=None), why
    assert back_to is not None
    command = Rollback(release=f"{memory.service.name}-{memory.releases_asked + 1}", revision=back_to)
    moving = memory.release
    if moving is None:
        return _take_back(memory, command, why, wall)
    if moving.phase is Phase.ROLLING_BACK or (moving.way_back and moving.green == back_to):
        return None
    after, _ = roll_back(memory, moving, because(Code.SUPERSEDED, by=command.release), Cause.SUPERSEDED, wall)
    return after, why


def _over(memory: Memory, late: Judged | None) -> tuple[Memory, Reason]:
    why = late.verdict.because if late else because(Code.NO_SAMPLES, why="no label came")
    return replace(memory, probation=None), because(Code.PROBATION_ENDED, why=text(why))


def _take_back(memory: Memory, command: Rollback, why: Reason, wall: float) -> tuple[Memory, Reason]:
    """A release of its own, as if a person had asked for the predecessor, but nobody did: the labels ask for it."""
    after, _ = begin(replace(memory, releases_asked=memory.releases_asked + 1, probation=None), command, wall)
    assert after.release is not None, "the predecessor is not live, so there is something to release"
    return replace(after, release=replace(after.release, because=why, cause=Cause.VERDICT)), why
