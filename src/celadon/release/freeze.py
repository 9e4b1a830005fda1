"""What can be undone at once: every request to blue for now, while green goes on being judged, and what ends it."""

from celadon.domain.compare import Compare
from celadon.domain.draw import StickyCookie
from celadon.domain.memory import Memory
from celadon.domain.reason import Code, Reason, because, text
from celadon.domain.release import Cause, Phase, Release
from celadon.domain.spec import OnDeadline
from celadon.domain.values import replace
from celadon.domain.verdict import Harm, Suspected
from celadon.release.phases import enter
from celadon.release.prepare import back, forward
from celadon.release.returning import room_of_blue, takes_all
from celadon.release.split import freeze_mirror
from celadon.release.stage import counts_anew, green_share, in_force
from celadon.release.step import Seen, Step

FREEZES_MAX = 3
"""The freeze that only a person ends."""

STRAGGLERS_S = 3.0
"""Answers that green owed to callers when a freeze began are known after so much of its rest, or after half of it."""

AGAIN = 20.0
"""By how much the money on harm has to grow after a freeze before it is suspected again: what the first one took."""


def turned(memory: Memory, release: Release, seen: Seen) -> Step | None:
    """Away from green, when something speaks against it: for good, or for now; None while nothing does."""
    harm = against(release, seen)
    if harm is not None:
        return back(memory, release, harm, Cause.VERDICT, seen)
    doubt = _doubt(release, seen)
    if doubt is None or release.blue is None or green_share(release) == 0:
        return None
    if not takes_all(memory, release, seen):
        return Step(memory=memory, because=_freeze_waits(memory, release, doubt, seen))
    return _freeze(memory, release, doubt, seen)


def _freeze_waits(memory: Memory, release: Release, doubt: Reason, seen: Seen) -> Reason:
    """A suspicion may be wrong, so it is not worth a blue that breaks under what it can not carry."""
    room = room_of_blue(memory, release, seen)
    if room.ready == 0:
        return because(Code.FROZE_TOO_LATE, why=text(doubt))
    return because(Code.FREEZE_WAITS, ready=room.ready, needed=room.needed, why=text(doubt))


def against(release: Release, seen: Seen) -> Reason | None:
    """What speaks against a green that is judged; then nothing moves forward, whoever asks for it."""
    if in_force(release) is None or release.phase is Phase.ROLLING_BACK:
        return None
    if isinstance(seen.verdict, Harm):
        return seen.verdict.because
    if seen.replicas_fresh and seen.facts.ready(release.green) == 0:
        return because(Code.GREEN_LOST, wanted=release.settings.replicas.wanted)
    return None


def frozen(memory: Memory, release: Release, seen: Seen) -> Step:
    """It ends when what was suspected has been outweighed, or after its rest, and the third only by a person."""
    harm = against(release, seen)
    if harm is not None:
        return back(memory, release, harm, Cause.VERDICT, seen)
    if release.stays_frozen:
        return Step(memory=memory, because=release.because)
    if release.paused:
        return Step(memory=memory, because=because(Code.PAUSED))
    rest_s = (release.plan.compare or Compare()).rest_s
    in_sight = seen.samples_fresh and seen.confirmed(memory)
    why = seen.verdict.because if seen.verdict else because(Code.NO_SAMPLES, why="nothing was counted yet")
    outweighed = seen.judged is not None and seen.suspicion < 1.0
    rested, grew = release.rested_s >= rest_s, seen.suspicion > release.suspected
    if in_sight and (outweighed or (rested and not grew)):
        return _thaw(memory, release, why, seen)
    if seen.now.wall > release.entered_at + rest_s + release.plan.watch_deadline_s:
        return _too_long(memory, release, why, seen)
    still = because(Code.STILL_FROZEN, seconds=release.rested_s, rest_s=rest_s, why=text(why))
    if rested and grew:
        still = because(Code.DOUBT_GREW, seconds=release.rested_s, why=text(why))
    return Step(memory=memory, because=still)


def rested(release: Release, seen: Seen) -> Release:
    """The freeze with the observed time that it rested. What is answered late belongs to the sign that began it."""
    late_s = min(STRAGGLERS_S, (release.plan.compare or Compare()).rest_s / 2)
    known = release.suspected if release.rested_s > late_s else max(release.suspected, seen.suspicion)
    return replace(release, rested_s=release.rested_s + seen.now.elapsed_s, suspected=known)


def resumes_at(release: Release) -> int:
    """The stage that goes on after a freeze.

    What was proved by copies goes on where it was. Without any, evidence goes on at the smallest share. Callers who
    keep a cookie were drawn for their stage, so they can only return to it.
    """
    if freeze_mirror(release.plan.compare) or isinstance(release.plan.sticky, StickyCookie):
        return release.stage
    return next(number for number, stage in enumerate(release.plan.stages) if stage.share)


def _doubt(release: Release, seen: Seen) -> Reason | None:
    """Why harm is suspected. What was forgiven when a freeze ended does not count again."""
    if not isinstance(seen.verdict, Suspected):
        return None
    if release.forgiven >= 1 and seen.suspicion < AGAIN * release.forgiven:
        return None
    return seen.verdict.because


def _freeze(memory: Memory, release: Release, doubt: Reason, seen: Seen) -> Step:
    stage = in_force(release)
    assert stage is not None, f"{release.id}: a green that was given nothing can not be frozen"
    evidence, release = counts_anew(memory, release)
    freezes = release.freezes + 1
    stays = freezes >= FREEZES_MAX
    why = because(Code.FROZEN, why=text(doubt))
    if stays:
        why = because(Code.THIRD_FREEZE, freezes=freezes, why=text(doubt))
    after = enter(release, Phase.FROZEN, why, seen.now.wall)
    after = replace(after, stage=stage, freezes=freezes, rested_s=0.0, stays_frozen=stays, waved=False)
    after = replace(after, suspected=seen.suspicion)
    return Step(memory=replace(memory, release=after, evidence=evidence), because=why)


def _thaw(memory: Memory, release: Release, why: Reason, seen: Seen) -> Step:
    stage = resumes_at(release)
    thawed = replace(release, stage=stage, forgiven=seen.suspicion)
    dwelt_s = release.dwelt_s if stage == release.stage else 0.0
    step = forward(memory, thawed, seen, dwelt_s=dwelt_s)
    return replace(step, before=because(Code.THAWED, seconds=release.rested_s, why=text(why)))


def _too_long(memory: Memory, release: Release, why: Reason, seen: Seen) -> Step:
    ended = because(Code.WATCH_DEADLINE, seconds=seen.now.wall - release.entered_at, why=text(why))
    if release.plan.on_deadline is OnDeadline.ROLLBACK:
        return back(memory, release, ended, Cause.DEADLINE, seen)
    stays = replace(release, stays_frozen=True, because=ended)
    return Step(memory=replace(memory, release=stays), because=ended)
