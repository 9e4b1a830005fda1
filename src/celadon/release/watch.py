"""The steps once traffic moves: confirmation, the watch, the end, and the way back."""

from dataclasses import replace

from celadon.domain.facts import Unknown
from celadon.domain.memory import Memory
from celadon.domain.reason import Code, Reason, because, text
from celadon.domain.release import Cause, Outcome, Phase, Release
from celadon.domain.spec import OnDeadline
from celadon.domain.verdict import Fine, Harm
from celadon.release.end import end
from celadon.release.phases import enter
from celadon.release.prepare import back, forward
from celadon.release.split import can_return, routes
from celadon.release.step import Seen, Step


def moving(memory: Memory, release: Release, seen: Seen) -> Step:
    """A stage counts from the moment the router itself shows its share."""
    asked = routes(memory, seen.facts)
    if seen.confirmed(asked):
        why = because(Code.ROUTE_CONFIRMED, percent=release.plan.stages[release.stage].share / 100)
        watching = enter(release, Phase.WATCHING, why, seen.now.wall)
        return Step(memory=replace(memory, release=watching), because=why)
    refused = seen.refused(routes=asked, preview=release.green, since=release.began_at)
    if refused is not None:
        return back(memory, release, because(Code.ROUTE_REFUSED, why=refused.why), Cause.WORLD, seen)
    if _green_lost(release, seen) and release.blue is not None:
        return back(memory, release, _lost(release), Cause.VERDICT, seen)
    if seen.now.wall > release.entered_at + release.plan.prove_s:
        why = because(Code.ROUTE_UNCONFIRMED, seconds=release.plan.prove_s)
        return back(memory, release, why, Cause.WORLD, seen)
    return Step(memory=memory, because=because(Code.ROUTE_PENDING))


def watching(memory: Memory, release: Release, seen: Seen) -> Step:
    """Harm first, then whether there is anything to wait for, then the way forward."""
    stage = release.plan.stages[release.stage]
    last = release.stage + 1 == len(release.plan.stages)
    if stage.guard is None or (release.blue is None and last):
        code = Code.NOTHING_TO_WATCH if stage.guard is None else Code.PROMOTED_WITHOUT_BLUE
        return _onward(memory, release, because(code), seen)
    verdict, harm = seen.verdict, against(release, seen)
    if harm is not None:
        return back(memory, release, harm, Cause.VERDICT, seen)
    if release.paused:
        return Step(memory=memory, because=because(Code.PAUSED))
    in_force = seen.confirmed(routes(memory, seen.facts))
    if isinstance(verdict, Fine) and seen.samples_fresh and in_force:
        if release.dwelt_s >= stage.dwell_s:
            return _onward(memory, release, because(Code.WATCH_ENDED, why=text(verdict.because)), seen)
        left = stage.dwell_s - release.dwelt_s
        return Step(memory=memory, because=because(Code.WATCH_GOES_ON, **verdict.because.fields, left_s=left))
    why = because(Code.NO_SAMPLES, why="nothing was counted yet") if verdict is None else verdict.because
    return _undecided(memory, release, why if in_force else because(Code.ROUTE_PENDING), seen)


def against(release: Release, seen: Seen) -> Reason | None:
    """What speaks against a green that is watched; then nothing moves forward, whoever asks for it."""
    if release.phase not in {Phase.WATCHING, Phase.HOLDING}:
        return None
    if isinstance(seen.verdict, Harm):
        return seen.verdict.because
    return _lost(release) if _green_lost(release, seen) else None


def rolling_back(memory: Memory, release: Release, seen: Seen) -> Step:
    """It ends when the router shows every request on blue.

    A green that no client could reach just ends, and so does one without a blue: its route was never confirmed.
    """
    assert release.outcome is not None, "what a rollback ends as is fixed when it begins"
    why = because(Code.BACK_ON_BLUE, why=text(release.because))
    if not release.moved or release.blue is None:
        return _end(memory, release, release.because, seen)
    if not can_return(memory, seen.facts):
        return Step(memory=memory, because=_blue_can_not(seen))
    if seen.confirmed(routes(memory, seen.facts)):
        return _end(memory, release, why, seen)
    return Step(memory=memory, because=because(Code.ROUTE_PENDING))


def _blue_can_not(seen: Seen) -> Reason:
    replicas = seen.facts.replicas
    if isinstance(replicas, Unknown):
        return because(Code.BLUE_UNKNOWN, why=replicas.why)
    return because(Code.BLUE_NOT_READY, ready=seen.headroom.ready, wanted=seen.headroom.needed)


def _end(memory: Memory, release: Release, why: Reason, seen: Seen) -> Step:
    assert release.outcome is not None
    after, why = end(memory, release, release.outcome, why, wall=seen.now.wall, cause=release.cause)
    return Step(memory=after, because=why)


def _onward(memory: Memory, release: Release, why: Reason, seen: Seen) -> Step:
    """To the next stage, or to the end."""
    if release.paused:
        return Step(memory=memory, because=because(Code.PAUSED))
    if release.stage + 1 < len(release.plan.stages):
        return forward(memory, replace(release, stage=release.stage + 1), seen)
    after, why = end(memory, release, Outcome.PROMOTED, why, wall=seen.now.wall, cause=Cause.PLAN)
    return Step(memory=after, because=why)


def _undecided(memory: Memory, release: Release, why: Reason, seen: Seen) -> Step:
    late = seen.now.wall > release.entered_at + release.plan.watch_deadline_s
    if release.phase is Phase.HOLDING or not late:
        return Step(memory=memory, because=why)
    ended = because(Code.WATCH_DEADLINE, seconds=release.plan.watch_deadline_s, why=text(why))
    if release.plan.on_deadline is OnDeadline.ROLLBACK and release.blue is not None:
        return back(memory, release, ended, Cause.DEADLINE, seen)
    holding = enter(release, Phase.HOLDING, ended, seen.now.wall)
    return Step(memory=replace(memory, release=holding), because=ended)


def _green_lost(release: Release, seen: Seen) -> bool:
    return seen.replicas_fresh and seen.facts.ready(release.green) == 0


def _lost(release: Release) -> Reason:
    replicas = release.settings.replicas
    return because(Code.GREEN_LOST, wanted=replicas.wanted)
