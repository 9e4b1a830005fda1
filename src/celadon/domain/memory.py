"""What celadon remembers of one service: the fold of its journal."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from celadon.domain.command import Asked
from celadon.domain.drill import Drill, DrillReport
from celadon.domain.goal import Goal
from celadon.domain.names import RevisionId, ServiceKey
from celadon.domain.release import Predecessor, Release
from celadon.domain.revision import Revision
from celadon.domain.samples import Evidence
from celadon.domain.spec import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Probation:
    """A promoted release that late labels still judge, outside the slot of the moving one. until: wall time."""

    release: Release
    evidence: Evidence
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Everything a tick needs to know of the past.

    seq, epoch: of the last journal record folded in. commands: asked and not yet answered, oldest first.
    proved: revisions whose golden requests passed, with the digest of those requests ("" for none).
    goldens: per known revision that was live, the golden requests it was live with last ("" for none).
    releases_asked: how many releases were ever asked for; the next one is number releases_asked + 1.
    goal_at, routed_at: when the goal, and its routes, were recorded as they are (wall time).
    removing: the service is being taken down; removed: nothing of it is left but its journal.
    drill: the rehearsed failure under way; drills: how the last ones ended, oldest first.
    """

    service: ServiceKey
    epoch: int = 0
    seq: int = 0
    settings: Settings | None = None
    revisions: Mapping[RevisionId, Revision] = field(default_factory=dict)
    live: RevisionId | None = None
    predecessor: Predecessor | None = None
    release: Release | None = None
    last: Release | None = None
    proved: Mapping[RevisionId, str] = field(default_factory=dict)
    goldens: Mapping[RevisionId, str] = field(default_factory=dict)
    releases_asked: int = 0
    goal: Goal | None = None
    goal_at: float = 0.0
    routed_at: float = 0.0
    evidence: Evidence | None = None
    commands: tuple[Asked, ...] = ()
    probation: Probation | None = None
    removing: bool = False
    removed: bool = False
    drill: Drill | None = None
    drills: tuple[DrillReport, ...] = ()


def not_before(asked_at: float, seen_at: float, wall: float) -> bool:
    """Whether what was seen at `seen_at` can tell of what was asked: older news do not know where that led.

    What lies in the future of `wall` came before what does not: the clock was set back. Where it was set back by less
    than the time since the last look, that look is taken for a later one until the next.
    """
    return (asked_at <= wall, asked_at) <= (seen_at <= wall, seen_at)
