"""What a person's command does to the position. One tick answers one command, so each has a record of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from celadon.domain.command import (
    Abort,
    Asked,
    Command,
    Deploy,
    EndDrill,
    MarkDrill,
    Pause,
    Promote,
    Remove,
    Resume,
    Rollback,
    RunDrill,
)
from celadon.domain.memory import Memory
from celadon.domain.names import RevisionId
from celadon.domain.plan import Plan
from celadon.domain.reason import Code, Reason, because, text
from celadon.domain.release import Cause, Outcome, Phase, Release
from celadon.domain.revision import Revision
from celadon.domain.samples import Evidence
from celadon.domain.spec import BlueGreen, Ends, Settings
from celadon.domain.values import replace
from celadon.judge.limits import forgotten
from celadon.release.end import end, roll_back, turn_back
from celadon.release.phases import enter
from celadon.release.plan import plan_of, renewed, way_back
from celadon.release.stage import blue_holds, counts_anew, in_force

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a person's command is answered with. against: what speaks against green right now; then it is not
    promoted. short: why green is not known to have enough ready replicas; then it is given no more requests. suspicion: money on harm, which a person who promotes all the same forgives. wall: Unix seconds.
    """

    against: Reason | None
    short: Reason | None
    suspicion: float
    wall: float


def answer(memory: Memory, known: Standing) -> Answered | None:
    """The oldest command that can be answered now; None when there is none, or the slot must be free first."""
    for asked in memory.commands:
        answered = _one(memory, asked, known)
        if answered is not None:
            return answered
    return None


def _one(memory: Memory, asked: Asked, known: Standing) -> Answered | None:
    command, wall = asked.command, known.wall
    match command:
        case Rollback() if memory.settings is None or command.revision not in memory.revisions:
            why = because(Code.NO_BLUE, why=f"revision {command.revision} was never live here")
            return Answered(memory=memory, because=why, handled=(asked.seq,))
        case Deploy() | Rollback():
            return _take_slot(memory, asked, command, wall)
        case Remove():
            return _remove(memory, asked, wall)
        case RunDrill() | EndDrill() | MarkDrill():
            return None  # Drills are decided in `resilience`.
        case Promote() | Abort() | Pause() | Resume():
            release = memory.release
            if release is None or release.id != command.release or release.phase is Phase.ROLLING_BACK:
                return Answered(
                    memory=memory,
                    because=because(Code.COMMAND_TOO_LATE, release=command.release),
                    handled=(asked.seq,),
                )
            hindrance = known.against or (known.short if _moves_traffic(release) else None)
            if hindrance is not None and isinstance(command, Promote):
                why = because(Code.NOT_PROMOTED, why=text(hindrance))
                return Answered(memory=memory, because=why, handled=(asked.seq,))
            after, why = _steer(memory, release, command, known)
            return Answered(memory=after, because=why, handled=(asked.seq,))
        case _ as unreachable:
            assert_never(unreachable)


def _moves_traffic(release: Release) -> bool:
    """Whether to promote it now gives green requests at once."""
    if release.phase in {Phase.WATCHING, Phase.HOLDING}:
        return release.stage + 1 < len(release.plan.stages) or blue_holds(release)
    return release.phase is Phase.FROZEN


def _steer(
    memory: Memory, release: Release, command: Promote | Abort | Pause | Resume, known: Standing
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
            return roll_back(memory, release, because(Code.ABORTED), Cause.PERSON, known.wall)
        case Promote():
            return _promote(memory, replace(release, paused=False), known)
        case _ as unreachable:
            assert_never(unreachable)


def _promote(memory: Memory, release: Release, known: Standing) -> tuple[Memory, Reason]:
    """A person decides: past the next gate, out of a freeze, or to the end of the watch that is going on."""
    why = because(Code.PROMOTED_BY_PERSON)
    if release.phase is Phase.FROZEN:
        return _move(memory, replace(release, stays_frozen=False, forgiven=known.suspicion), why, known.wall)
    if release.phase not in {Phase.WATCHING, Phase.HOLDING}:
        why = because(Code.GATE_OPENED)
        opened = replace(release, passed_gates=release.passed_gates | {release.stage}, because=why)
        return replace(memory, release=opened), why
    if release.stage + 1 < len(release.plan.stages):
        further = replace(release, stage=release.stage + 1, dwelt_s=0.0)
        further = replace(further, passed_gates=further.passed_gates | {further.stage})
        return _move(memory, further, why, known.wall)
    if blue_holds(release):
        return _move(memory, replace(release, waved=True), why, known.wall)
    if release.plan.ends is Ends.REPORTED:
        return turn_back(memory, release, Outcome.REPORTED, why, wall=known.wall, cause=Cause.PERSON)
    return end(memory, release, Outcome.PROMOTED, why, wall=known.wall, cause=Cause.PERSON)


def _move(memory: Memory, release: Release, why: Reason, wall: float) -> tuple[Memory, Reason]:
    evidence, release = counts_anew(memory, release)
    share = release.plan.stages[release.stage].share
    moving = enter(replace(release, moved=release.moved or share > 0), Phase.MOVING, why, wall)
    return replace(memory, release=moving, evidence=evidence), why


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
        release = replace(moving, settings=command.settings, plan=_replanned(moving, command.settings))
        evidence = _under(memory.evidence, moving.plan, release.plan)
        after = replace(memory, release=release, evidence=evidence)
        return Answered(memory=after, because=why, handled=(asked.seq,))
    if moving is not None:
        if moving.phase is Phase.ROLLING_BACK or (moving.blue is None and moving.phase is Phase.MOVING):
            return None
        after, why = _make_way(memory, moving, command, wall)
        return Answered(memory=after, because=why, handled=())
    after, why = begin(memory, command, wall)
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


def begin(memory: Memory, command: Deploy | Rollback, wall: float) -> tuple[Memory, Reason]:
    """A release into the free slot; or new settings alone, where the revision is live already."""
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
    after = replace(
        memory,
        release=release,
        revisions=revisions,
        goldens={key: golden for key, golden in memory.goldens.items() if key in revisions},
        evidence=None,
        removing=False,
        removed=False,
    )
    return after, why


def _settings(memory: Memory, command: Deploy | Rollback) -> Settings:
    """A way back keeps today's settings but for the golden requests: those belong to what they were written for.

    What never was live was released last with those that were meant for it, if it was what was released last.
    """
    if isinstance(command, Deploy):
        return command.settings
    assert memory.settings is not None, "nothing can be live without settings"
    last = memory.last
    of = last.settings if last is not None and last.green == command.revision else memory.settings
    golden = memory.goldens.get(command.revision, of.golden)
    return replace(memory.settings, golden=golden or None)


def _plan(memory: Memory, command: Deploy | Rollback, settings: Settings, parent: str | None) -> Plan:
    """What was live just before was watched then. Any other revision may be one that was taken back for harm."""
    if isinstance(command, Deploy):
        return plan_of(settings.release, parent=parent, first=memory.live is None)
    if memory.predecessor is not None and command.revision == memory.predecessor.revision:
        return way_back(settings.release, parent=parent)
    at_once = replace(settings.release, gate=False, strategy=BlueGreen(), exposure=None, probation_s=0.0)
    return plan_of(at_once, parent=parent, first=memory.live is None)


def _replanned(moving: Release, settings: Settings) -> Plan:
    """New settings in mid-release: a way back stays as it is, and what has begun is not compared otherwise."""
    if moving.way_back:
        return moving.plan
    plan = plan_of(settings.release, parent=moving.id, first=moving.blue is None)
    begun = in_force(moving) is not None
    return renewed(moving.plan, plan) if begun else plan


def _under(evidence: Evidence | None, old: Plan, new: Plan) -> Evidence | None:
    """The evidence under a plan with other limits: these are judged anew, by what comes from now on."""
    same = [stage.guard for stage in old.stages] == [stage.guard for stage in new.stages]
    if same or evidence is None or evidence.ledger is None:
        return evidence
    ledger = replace(evidence.ledger, bets=forgotten(evidence.ledger.bets))
    return replace(evidence, ledger=ledger)


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
    begun, _ = begin(replace(memory, release=None), command, wall)
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
    return Answered(
        memory=replace(after, predecessor=None, probation=None), because=why, handled=(asked.seq,)
    )
