"""From the choice to a goal: which replicas carry the revisions, and what is fetched and proved for them."""

from celadon.domain.goal import Arm, Goal, ReplicaSet, Route, Stamp
from celadon.domain.memory import Memory
from celadon.domain.names import Digest, RevisionId
from celadon.domain.plan import FULL
from celadon.domain.release import Phase, Release
from celadon.domain.spec import Exactly, Settings

UNSTAMPED = Stamp(epoch=0, seq=0)
"""The journal stamps a goal when it records it."""


def place(memory: Memory, routes: tuple[Route, ...]) -> Goal:
    """The goal that follows from a position: as long as nothing changes it is the same goal.

    Blue, green and a held predecessor keep their full replica sets, standbys and all, so that every way back is open
    at once and is as safe as where it leads from.
    """
    settings = _settings(memory)
    if settings is None or memory.removing:
        return Goal(stamp=UNSTAMPED, route=None, drain_s=settings.drain_s if settings else 30.0)
    sets = tuple(_sets(memory, settings))
    return Goal(
        stamp=UNSTAMPED,
        route=settings.route,
        routes=routes,
        replicas=sets,
        preview=_preview(memory),
        prove=_prove(memory),
        golden=_golden(memory),
        fetch=tuple(dict.fromkeys(tree for one in sets for tree in memory.revisions[one.revision].trees)),
        drain_s=settings.drain_s,
        leases=(memory.drill.lease,) if memory.drill and memory.drill.lease else (),
    )


def _settings(memory: Memory) -> Settings | None:
    """The live settings; a first release brings its own."""
    if memory.settings is not None:
        return memory.settings
    return memory.release.settings if memory.release else None


def _sets(memory: Memory, settings: Settings) -> list[ReplicaSet]:
    by: dict[RevisionId, Settings] = {}
    if memory.live is not None:
        by[memory.live] = settings
    if memory.release is not None:
        by[memory.release.green] = memory.release.settings
    if memory.predecessor is not None:
        by.setdefault(memory.predecessor.revision, settings)
    main = [_set(revision, Arm.MAIN, under) for revision, under in by.items()]
    standby = [
        _set(revision, Arm.STANDBY, under) for revision, under in by.items() if under.redundancy.standby
    ]
    return [*main, *standby, *_control(memory.release)]


def _set(revision: RevisionId, arm: Arm, under: Settings) -> ReplicaSet:
    """One arm of a revision, dealt over the zones of the settings that it runs under."""
    count = Exactly(replicas=under.redundancy.standby) if arm is Arm.STANDBY else under.replicas
    return ReplicaSet(revision=revision, arm=arm, count=count, redundancy=under.redundancy)


def _control(release: Release | None) -> tuple[ReplicaSet, ...]:
    """A second set of blue of green's size, from the start until nothing is left to compare green with."""
    if release is None or release.blue is None or not release.plan.control:
        return ()
    stage = release.plan.stages[release.stage]
    gone_back = release.phase is Phase.ROLLING_BACK and not release.kept
    if gone_back or (stage.share == FULL and release.phase is not Phase.WAITING):
        return ()
    return (_set(release.blue, Arm.CONTROL, release.settings),)


def _preview(memory: Memory) -> RevisionId | None:
    """Green; without a release, what is live is as green as it gets.

    While traffic moves the preview stays where it is, so that the move is one change of one file.
    """
    release = memory.release
    if release is None or release.phase is Phase.PREPARING:
        return memory.live
    if release.phase in {Phase.MOVING, Phase.ROLLING_BACK}:
        return memory.goal.preview if memory.goal else memory.live
    return release.green


def _prove(memory: Memory) -> RevisionId | None:
    release = memory.release
    return release.green if release is not None and release.phase is Phase.PROVING else None


def _golden(memory: Memory) -> Digest | None:
    settings = memory.release.settings if memory.release else memory.settings
    return Digest(settings.golden) if settings and settings.golden else None
