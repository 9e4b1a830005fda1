"""What a person's command does to the position. One tick answers one command, so each has a record of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import assert_never

from celadon.domain.command import Abort, Asked, Command, Deploy, Pause, Promote, Remove, Resume, Rollback
from celadon.domain.memory import Memory
from celadon.domain.names import RevisionId
from celadon.domain.plan import Plan
from celadon.domain.reason import Code, Reason, because, text
from celadon.domain.release import Cause, Outcome, Phase, Release
from celadon.domain.revision import Revision
from celadon.domain.spec import Settings
from celadon.release.end import end, roll_back
from celadon.release.phases import enter
from celadon.release.plan import blue_green, way_back

KEPT_REVISIONS = 20
"""How many revisions that were deployed once are remembered, so that `rollback REVISION` can name them."""

TAKES_OVER = Deploy | Rollback | Remove
"""What asks for something else than all that was asked before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What became of one command. handled: seqs of the commands that are done with.

    last: a release that ended without ever starting.
    """

    memory: Memory
    because: Reason
    handled: tuple[int, ...]


def answer(memory: Memory, harm: Reason | None, wall: float) -> Answered | None:
    """The oldest command that can be answered now; None when there is none, or the slot must be free first.

    harm: what speaks against green right now; then it is not promoted.
    """
    for asked in memory.commands:
        answered = _one(memory, asked, harm, wall)
        if answered is not None:
            return answered
    return None


def _one(memory: Memory, asked: Asked, harm: Reason | None, wall: float) -> Answered | None:
    command = asked.command
    match command:
        case Rollback() if memory.settings is None or command.revision not in memory.revisions:
            why = because(Code.NO_BLUE, why=f"revision {command.revision} was never live here")
            return Answered(memory=memory, because=why, handled=(asked.seq,))
        case Deploy() | Rollback():
            return _take_slot(memory, asked, command, wall)
        case Remove():
            return _remove(memory, asked, wall)
        case Promote() | Abort() | Pause() | Resume():
            release = memory.release
            if release is None or release.id != command.release or release.phase is Phase.ROLLING_BACK:
                return Answered(
                    memory=memory,
                    because=because(Code.COMMAND_TOO_LATE, release=command.release),
                    handled=(asked.seq,),
                )
            if harm is not None and isinstance(command, Promote):
                why = because(Code.NOT_PROMOTED, why=text(harm))
                return Answered(memory=memory, because=why, handled=(asked.seq,))
            after, why = _steer(memory, release, command, wall)
            return Answered(memory=after, because=why, handled=(asked.seq,))
        case _ as unreachable:
            assert_never(unreachable)


def _steer(
    memory: Memory, release: Release, command: Promote | Abort | Pause | Resume, wall: float
) -> tuple[Memory, Reason]:
    match command:
        case Pause():
            why = because(Code.PAUSED)
            return replace(memory, release=replace(release, paused=True, because=why)), why
        case Resume():
            why = because(Code.RESUMED)
            return replace(memory, release=replace(release, paused=False, because=why)), why
        case Abort():
            if release.moved and release.blue is None:
                why = because(Code.NO_BLUE, why="remove the service, or deploy another revision")
                return memory, why
            return roll_back(memory, release, because(Code.ABORTED), Cause.PERSON, wall)
        case Promote():
            return _promote(memory, release, wall)
        case _ as unreachable:
            assert_never(unreachable)


def _promote(memory: Memory, release: Release, wall: float) -> tuple[Memory, Reason]:
    """A person decides: past the next gate, or to the end of the watch that is going on."""
    release = replace(release, paused=False)
    if release.phase in {Phase.WATCHING, Phase.HOLDING}:
        if release.stage + 1 == len(release.plan.stages):
            return end(
                memory,
                release,
                Outcome.PROMOTED,
                because(Code.PROMOTED_BY_PERSON),
                wall=wall,
                cause=Cause.PERSON,
            )
        release = replace(release, stage=release.stage + 1, dwelt_s=0.0)
        release = replace(release, passed_gates=release.passed_gates | {release.stage})
        why = because(Code.PROMOTED_BY_PERSON)
        return replace(memory, release=enter(release, Phase.MOVING, why, wall), evidence=None), why
    why = because(Code.GATE_OPENED)
    opened = replace(release, passed_gates=release.passed_gates | {release.stage}, because=why)
    return replace(memory, release=opened), why


def _take_slot(memory: Memory, asked: Asked, command: Deploy | Rollback, wall: float) -> Answered | None:
    newer = next(
        (a.command for a in memory.commands if a.seq > asked.seq and isinstance(a.command, TAKES_OVER)), None
    )
    moving = memory.release
    joins = moving is not None and moving.id == command.release and moving.phase is not Phase.ROLLING_BACK
    if not joins and _has_ended(memory, command):
        why = because(Code.COMMAND_TOO_LATE, release=command.release)
        return Answered(memory=memory, because=why, handled=(asked.seq,))
    if newer is not None and not joins:
        return _never_started(memory, asked, command, newer, wall)
    if moving is not None and joins:
        assert isinstance(command, Deploy)
        why = because(Code.SETTINGS_CHANGED)
        plan = moving.plan if moving.way_back else blue_green(command.settings.release, parent=moving.id)
        release = replace(moving, settings=command.settings, plan=plan)
        goldens = {**memory.goldens, moving.green: command.settings.golden or ""}
        after = replace(memory, release=release, goldens=goldens)
        return Answered(memory=after, because=why, handled=(asked.seq,))
    if moving is not None:
        if moving.phase is Phase.ROLLING_BACK or (moving.blue is None and moving.phase is Phase.MOVING):
            return None
        after, why = _make_way(memory, moving, command, wall)
        return Answered(memory=after, because=why, handled=())
    after, why = _begin(memory, command, wall)
    return Answered(memory=after, because=why, handled=(asked.seq,))


def _has_ended(memory: Memory, command: Deploy | Rollback) -> bool:
    """Whether new settings were meant for a release that is over. What it made live can still take them."""
    if isinstance(command, Rollback) or command.revision.id == memory.live:
        return False
    return command.release in {past.id for past in (memory.release, memory.last) if past is not None}


def _make_way(
    memory: Memory, moving: Release, command: Deploy | Rollback, wall: float
) -> tuple[Memory, Reason]:
    """Back to blue. A first release that serves has none: it is what the next one is released over."""
    if moving.blue is None and moving.moved:
        why = because(Code.PROMOTED_WITHOUT_BLUE)
        return end(memory, moving, Outcome.PROMOTED, why, wall=wall, cause=Cause.PLAN)
    why = because(Code.SUPERSEDED, by=command.release)
    return roll_back(memory, moving, why, Cause.SUPERSEDED, wall)


def _begin(memory: Memory, command: Deploy | Rollback, wall: float) -> tuple[Memory, Reason]:
    back = isinstance(command, Rollback)
    settings = _settings(memory, command)
    green = command.revision if isinstance(command, Rollback) else command.revision.id
    if green == memory.live:
        changed = settings != memory.settings
        why = because(Code.SETTINGS_CHANGED if changed else Code.NOTHING_CHANGED)
        goldens = {**memory.goldens, green: settings.golden or ""}
        return replace(memory, settings=settings, goldens=goldens, removing=False, removed=False), why
    parent = memory.last.id if memory.last else None
    code = Code.WAY_BACK_BEGAN if back else Code.RELEASE_BEGAN
    why = because(code, green=green, blue=memory.live or "nothing")
    release = Release(
        id=command.release,
        number=int(command.release.rpartition("-")[2]),
        blue=memory.live,
        green=green,
        plan=_plan(memory, command, settings, parent),
        settings=settings,
        labels=command.labels if isinstance(command, Deploy) else (),
        way_back=back,
        began_at=wall,
        entered_at=wall,
        because=why,
    )
    revisions = memory.revisions if isinstance(command, Rollback) else _with(memory, command.revision)
    goldens = {**memory.goldens, green: settings.golden or ""}
    after = replace(
        memory,
        release=release,
        revisions=revisions,
        goldens={key: golden for key, golden in goldens.items() if key in revisions},
        evidence=None,
        removing=False,
        removed=False,
    )
    return after, why


def _settings(memory: Memory, command: Deploy | Rollback) -> Settings:
    """A way back keeps today's settings but for the golden requests: those belong to what they were written for."""
    if isinstance(command, Deploy):
        return command.settings
    assert memory.settings is not None, "nothing can be live without settings"
    golden = memory.goldens.get(command.revision, memory.settings.golden)
    return replace(memory.settings, golden=golden or None)


def _plan(memory: Memory, command: Deploy | Rollback, settings: Settings, parent: str | None) -> Plan:
    """What was live just before was watched then. Any other revision may be one that was taken back for harm."""
    if isinstance(command, Deploy):
        return blue_green(settings.release, parent=parent)
    if memory.predecessor is not None and command.revision == memory.predecessor.revision:
        return way_back(settings.release, parent=parent)
    return blue_green(replace(settings.release, gate=False), parent=parent)


def _with(memory: Memory, revision: Revision) -> Mapping[RevisionId, Revision]:
    """The known revisions and this one as the newest; the oldest that nothing needs are forgotten."""
    needed = {memory.live, revision.id} | ({memory.predecessor.revision} if memory.predecessor else set())
    others = {key: value for key, value in memory.revisions.items() if key != revision.id}
    spare = [key for key in others if key not in needed]
    for key in spare[: max(0, len(others) + 1 - KEPT_REVISIONS)]:
        del others[key]
    return {**others, revision.id: revision}


def _never_started(
    memory: Memory, asked: Asked, command: Deploy | Rollback, by: Command, wall: float
) -> Answered:
    """A deploy that waited for the slot until something newer came: it ends superseded without having started."""
    why = because(Code.REMOVE_ASKED)
    if isinstance(by, Deploy | Rollback):
        why = because(Code.SUPERSEDED, by=by.release)
    begun, _ = _begin(replace(memory, release=None), command, wall)
    if begun.release is None:
        return Answered(memory=memory, because=why, handled=(asked.seq,))
    ended = enter(begun.release, Phase.ENDED, why, wall)
    gone = replace(ended, outcome=Outcome.SUPERSEDED, cause=Cause.SUPERSEDED, ended_at=wall)
    return Answered(memory=replace(memory, last=gone), because=why, handled=(asked.seq,))


def _remove(memory: Memory, asked: Asked, wall: float) -> Answered:
    why = because(Code.REMOVE_ASKED)
    after = replace(memory, removing=True)
    if memory.release is not None:
        after, _ = end(after, memory.release, Outcome.SUPERSEDED, why, wall=wall, cause=Cause.PERSON)
    return Answered(memory=replace(after, predecessor=None), because=why, handled=(asked.seq,))
