"""What people ask of a service that is there, as journalled: a door appends it, the tick answers it."""

from dataclasses import dataclass

from celadon.domain.drill import DrillOrder
from celadon.domain.names import RevisionId
from celadon.domain.revision import Revision
from celadon.domain.spec import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy:
    """Make this revision live, under these settings. release: the id the release has or will have."""

    release: str
    revision: Revision
    settings: Settings
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """Release a revision that is remembered; `rollback` without a revision is the predecessor's, unwatched."""

    release: str
    revision: RevisionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote:
    """Go on past a gate, a hold or a watch: a person takes the decision."""

    release: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """Take the release back to blue, now."""

    release: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Go no further forward until resumed; the way back stays open."""

    release: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Take a pause back."""

    release: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Drain the service and take everything of it down; its journal stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDrill:
    """Rehearse a failure. drill: the number it has or will have."""

    drill: int
    order: DrillOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class EndDrill:
    """End a drill before its time; what it did is undone first."""

    drill: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkDrill:
    """Nothing follows from it: a drill sends it to see whether what was confirmed is still there afterwards."""

    drill: int


Command = Deploy | Rollback | Promote | Abort | Pause | Resume | Remove | RunDrill | EndDrill | MarkDrill

OF_DRILLS = RunDrill | EndDrill | MarkDrill
"""Commands that are about a drill and never about a release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A command as it stands in the journal. seq: its place; at: wall time."""

    seq: int
    at: float
    command: Command
