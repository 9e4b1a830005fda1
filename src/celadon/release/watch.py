"""The steps once traffic moves: gates, confirmation, the watch, the end, and the way back."""

from celadon.domain.facts import FRESH_S
from celadon.domain.memory import Memory
from celadon.domain.plan import Stage
from celadon.domain.reason import Code, Reason, because, text
from celadon.domain.release import Cause, Outcome, Phase, Release
from celadon.domain.spec import Ends, OnDeadline
from celadon.domain.values import replace
from celadon.domain.verdict import Fine
from celadon.judge.metrics import DIFFER
from celadon.release.end import end, turn_back
from celadon.release.freeze import turned
from celadon.release.phases import enter
from celadon.release.prepare import back, forward, short, wait_for_green
from celadon.release.returning import green_lost, next_step, room_of_blue, waits_for_blue
from celadon.release.split import routes
from celadon.release.stage import blue_holds, counts_anew
from celadon.release.step import Seen, Step


def waiting(memory: Memory, release: Release, seen: Seen) -> Step:
    """Only a person opens a gate. What green was given before it stays under judgement."""
    step = turned(memory, release, seen)
    if step is not None:
        return step
    if release.stage in release.passed_gates and not release.paused:
        return forward(memory, release, seen)
    return Step(memory=memory, because=because(Code.PAUSED if release.paused else Code.GATE_WAITS))


def moving(memory: Memory, release: Release, seen: Seen) -> Step:
    """A stage counts from the moment the router itself shows its share."""
    step = turned(memory, release, seen) if release.blue is not None else None
    if step is not None:
        return step
    if seen.arrived(memory):
        return _arrived(memory, release, seen)
    asked = routes(memory, seen.facts)
    refused = seen.refused(asked=asked, preview=release.green, since=release.began_at)
    if refused is not None:
        return back(memory, release, because(Code.ROUTE_REFUSED, why=refused.why), Cause.WORLD, seen)
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
    step = turned(memory, release, seen)
    if step is not None:
        return step
    if release.paused:
        return Step(memory=memory, because=because(Code.PAUSED))
    if blue_holds(release):
        return _held(memory, release, seen)
    verdict = seen.verdict
    in_force = seen.confirmed(memory)
    if isinstance(verdict, Fine) and seen.samples_fresh and in_force:
        if release.dwelt_s >= stage.dwell_s or _copies_done(memory, stage):
            return _onward(memory, release, _ended(memory, release, verdict.because, seen), seen)
        return Step(memory=memory, because=_goes_on(verdict.because, stage.dwell_s - release.dwelt_s))
    why = because(Code.NO_SAMPLES, why="nothing was counted yet") if verdict is None else verdict.because
    if isinstance(verdict, Fine) and not seen.samples_fresh:
        why = because(Code.SAMPLES_UNREAD, why=f"for more than {FRESH_S:g} s")
    return _undecided(memory, release, why if in_force else because(Code.ROUTE_PENDING), seen)


def rolling_back(memory: Memory, release: Release, seen: Seen) -> Step:
    """It ends when the router shows every request on blue.

    A green that no client could reach just ends, and so does one without a blue: its route was never confirmed.
    """
    assert release.outcome is not None, "what a rollback ends as is fixed when it begins"
    why = because(Code.BACK_ON_BLUE, why=text(release.because))
    if not release.moved or release.blue is None:
        return _end(memory, release, release.because, seen)
    step = next_step(memory, release, seen)
    if step is not None:
        return step
    if release.kept or not _blue_serves(memory, release, seen):
        return Step(memory=memory, because=waits_for_blue(memory, release, seen))
    if seen.arrived(memory):
        return _end(memory, release, why, seen)
    return Step(memory=memory, because=because(Code.ROUTE_PENDING))


def _held(memory: Memory, release: Release, seen: Seen) -> Step:
    """Blue serves while a person is waited for, from when it can take everything: nothing hurries here."""
    step = next_step(memory, release, seen)
    if step is not None or not release.kept:
        return step or Step(memory=memory, because=release.because)
    room = room_of_blue(memory, release, seen)
    why = because(Code.HOLD_WAITS, ready=room.ready, needed=room.needed, why=text(release.because))
    return Step(memory=memory, because=why)


def _arrived(memory: Memory, release: Release, seen: Seen) -> Step:
    """The share is in force: answers count for it from here. What a person waved through ends with it."""
    if release.waved:
        if not seen.replicas_fresh:
            return Step(memory=memory, because=release.because)
        why = because(Code.PROMOTED_BY_PERSON)
        after, why = end(memory, release, Outcome.PROMOTED, why, wall=seen.now.wall, cause=Cause.PERSON)
        return Step(memory=after, because=why)
    why = because(Code.ROUTE_CONFIRMED, percent=release.plan.stages[release.stage].share / 100)
    evidence, release = counts_anew(memory, release)
    there = enter(release, Phase.WATCHING, why, seen.now.wall)
    return Step(memory=replace(memory, release=there, evidence=evidence), because=why)


def _copies_done(memory: Memory, stage: Stage) -> bool:
    most = stage.mirrored_max
    return most is not None and memory.evidence is not None and memory.evidence.copies >= most


def _goes_on(why: Reason, left_s: float) -> Reason:
    if why.code is Code.WITHIN_LIMITS:
        return because(Code.WATCH_GOES_ON, **why.fields, left_s=left_s)
    return because(Code.STAGE_GOES_ON, why=text(why), left_s=left_s)


def _ended(memory: Memory, release: Release, why: Reason, seen: Seen) -> Reason:
    """What the end of a stage is called: by where it stands and as what the plan ends."""
    stage = release.plan.stages[release.stage]
    if release.stage + 1 < len(release.plan.stages):
        return because(Code.STAGE_ENDED, percent=stage.share / 100, why=text(why))
    if release.plan.ends is Ends.PROMOTED:
        return because(Code.WATCH_ENDED, why=text(why))
    if stage.share == 0:
        copies = memory.evidence.copies if memory.evidence else 0
        return because(Code.SHADOW_ENDED, copies=copies, why=f"{text(why)}{_compared(seen)}")
    return because(Code.TEST_ENDED, seconds=release.dwelt_s, why=text(why))


def _compared(seen: Seen) -> str:
    """What became of comparing answers pair by pair, which is what a shadow is for."""
    findings = seen.judged.findings if seen.judged else ()
    pairs = next((one for one in findings if one.metric == DIFFER), None)
    if pairs is None:
        return ""
    if not pairs.counts.green:
        return f"; no answers could be compared with blue's{f' ({pairs.note})' if pairs.note else ''}"
    return f"; {pairs.counts.green_events} of {pairs.counts.green} answers differed from blue's"


def _onward(memory: Memory, release: Release, why: Reason, seen: Seen) -> Step:
    """To the next stage, or to the end."""
    if release.paused:
        return Step(memory=memory, because=because(Code.PAUSED))
    if release.stage + 1 < len(release.plan.stages):
        return replace(
            forward(memory, replace(release, stage=release.stage + 1), seen),
            before=why,
        )
    if release.plan.ends is Ends.REPORTED:
        after, why = turn_back(
            memory, release, Outcome.REPORTED, why, wall=seen.now.wall, cause=release.cause
        )
        return Step(memory=after, because=why)
    if release.blue is not None and not release.way_back and short(release, seen) is not None:
        return wait_for_green(memory, release, seen)
    after, why = end(memory, release, Outcome.PROMOTED, why, wall=seen.now.wall, cause=release.cause)
    return Step(memory=after, because=why)


def _undecided(memory: Memory, release: Release, why: Reason, seen: Seen) -> Step:
    stage = release.plan.stages[release.stage]
    limit_s = release.plan.watch_deadline_s if stage.deadline_s is None else stage.deadline_s
    late = seen.now.wall > release.entered_at + limit_s
    if release.phase is Phase.HOLDING or not late:
        return Step(memory=memory, because=why)
    ended = because(Code.WATCH_DEADLINE, seconds=limit_s, why=text(why))
    if release.plan.on_deadline is OnDeadline.ROLLBACK and release.blue is not None:
        return back(memory, release, ended, Cause.DEADLINE, seen)
    holding = enter(release, Phase.HOLDING, ended, seen.now.wall)
    return Step(memory=replace(memory, release=holding), because=ended)


def _end(memory: Memory, release: Release, why: Reason, seen: Seen) -> Step:
    assert release.outcome is not None
    after, why = end(memory, release, release.outcome, why, wall=seen.now.wall, cause=release.cause)
    return Step(memory=after, because=why)


def _blue_serves(memory: Memory, release: Release, seen: Seen) -> bool:
    """Whether green may go: blue has all requests and somebody to answer them, or green has nobody either."""
    return room_of_blue(memory, release, seen).ready > 0 or green_lost(release, seen)
