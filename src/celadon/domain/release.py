"""Where a release stands and how it ended: the position that every tick decides again."""

from dataclasses import dataclass
from enum import StrEnum

from celadon.domain.names import RevisionId
from celadon.domain.plan import Plan
from celadon.domain.reason import Reason
from celadon.domain.spec import Settings
from celadon.domain.verdict import Finding


class Phase(StrEnum):
    """Where a release stands. The table of moves is `release/phases.py`."""

    PREPARING = "preparing"
    PROVING = "proving"
    WAITING = "waiting"
    MOVING = "moving"
    WATCHING = "watching"
    HOLDING = "holding"
    FROZEN = "frozen"
    ROLLING_BACK = "rolling_back"
    ENDED = "ended"


class Outcome(StrEnum):
    """How a release ended."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    REPORTED = "reported"
    SUPERSEDED = "superseded"


class Cause(StrEnum):
    """Who or what brought a release to where it is; doors turn it into an exit code."""

    PLAN = "plan"
    VERDICT = "verdict"
    PERSON = "person"
    WORLD = "world"
    DEADLINE = "deadline"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A planned move from blue to green.

    number: counts the service's releases from 1; id: `NAME-NUMBER`. blue None: the service had nothing live.
    settings: those the service has once green is live.
    way_back: a rollback to a remembered revision; unwatched where that was live just before. stage: index into plan.stages.
    dwelt_s: observed seconds with fresh samples in this stage. moved: whether clients may have reached green.
    entered_at, began_at, ended_at: wall time. because: the reason of the last change of phase.
    freezes: how often every request went back to blue for a while because harm was suspected; rested_s: observed
    seconds of the freeze under way. waved: a person promoted it, so that it ends promoted once the route is in force.
    stays_frozen: the freeze waits for a person. suspected: money on harm when the last freeze began, with what green
    still owed callers then, and forgiven: when it ended; suspicion counts anew from there. bad_answers: green's errors
    to callers in the stages before this one; in all when it ended. kept: green's share, out of 10,000, until blue can
    take it back; None before the release turned to blue.
    findings: what each metric said when it ended.
    passed_gates: stages whose gate a person has opened. Outcome and cause are set when rolling back begins
    (what it will end as) or when it ends.
    """

    id: str
    number: int
    blue: RevisionId | None
    green: RevisionId
    plan: Plan
    settings: Settings
    labels: tuple[tuple[str, str], ...] = ()
    way_back: bool = False
    phase: Phase = Phase.PREPARING
    stage: int = 0
    paused: bool = False
    passed_gates: frozenset[int] = frozenset()
    dwelt_s: float = 0.0
    moved: bool = False
    began_at: float
    entered_at: float
    ended_at: float | None = None
    because: Reason
    outcome: Outcome | None = None
    cause: Cause = Cause.PLAN
    freezes: int = 0
    rested_s: float = 0.0
    waved: bool = False
    findings: tuple[Finding, ...] = ()
    stays_frozen: bool = False
    suspected: float = 0.0
    forgiven: float = 0.0
    bad_answers: int = 0
    kept: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One step that a tick took on its way to where it came to rest. phase None: no release moved."""

    phase: Phase | None
    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Predecessor:
    """The revision that was live before, kept ready for an instant way back. since: wall time of promotion."""

    revision: RevisionId
    since: float
    hold_s: float
