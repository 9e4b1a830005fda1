"""What was seen, each with the instant it was taken. Unknown is never healthy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from celadon.domain.drill import NO_DRILL, DrillFacts
from celadon.domain.feedback import Heard
from celadon.domain.goal import Arm, Wanted, arm_of
from celadon.domain.golden import Mismatch
from celadon.domain.names import Address, Digest, ReplicaId, RevisionId
from celadon.domain.samples import Samples

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known(Generic[T_co]):
    """A value and the wall time (Unix seconds) at which it was true.

    An adapter tells what it saw before the tick that asks: a time after the tick's own is that of a clock set back.
    """

    value: T_co
    taken_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Nothing is known, and why."""

    why: str


FRESH_S = 5.0
"""Facts older than this move nothing forward and take nothing away."""


def fresh(fact: Known[object] | Unknown, wall: float) -> bool:
    """Whether something is known and recent at this wall time."""
    return isinstance(fact, Known) and wall - fact.taken_at <= FRESH_S


class ReplicaState(StrEnum):
    """Where a replica stands. Exited replicas are reported until they are started again or no longer wanted."""

    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    STOPPING = "stopping"
    EXITED = "exited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a replica ended. code: exit status, negative for a signal, None when it was lost. stderr: last lines.

    fault: why the platform could not start it at all (code None then); empty when it ran.
    """

    code: int | None
    at: float
    stderr: tuple[str, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaFact:
    """One replica as its platform sees it.

    since: wall time of entering `state`. exits: exits in a row without having been ready for a while.
    notes: what a person should know, such as a limit that could not be applied. zone: where it was started.
    """

    id: ReplicaId
    state: ReplicaState
    since: float
    address: Address | None = None
    pid: int | None = None
    exits: int = 0
    last_exit: Exit | None = None
    notes: tuple[str, ...] = ()
    zone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The router rejected this wish; what it confirmed before still serves. at: wall time."""

    wanted: Wanted
    why: str
    at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteFacts:
    """What the router serves for one service.

    confirmed: the last wish that the data plane itself showed as in force; None when it serves nothing.
    pending: what was asked for last, while it is under way. unseen: a wish that is written and was not seen in force
    since: it may be, whatever was asked for meanwhile. drained: addresses that get no new requests and have none in flight,
    seen twice 250 ms apart after confirmation. unrouted: since when (wall time) an address that is still known
    gets no new requests, by a confirmed route; infinity where it gets none but no route is confirmed. notes: what a person should know (a restart of the proxy).
    """

    confirmed: Wanted | None = None
    pending: Wanted | None = None
    unseen: Wanted | None = None
    refused: Refused | None = None
    drained: frozenset[Address] = frozenset()
    unrouted: Mapping[Address, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class SourceState(StrEnum):
    """Where a fetch stands."""

    FETCHING = "fetching"
    VERIFIED = "verified"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFact:
    """One tree in the model store. why: set when it failed. path: where replicas find it once verified.

    lasting: the content itself is wrong, so that trying again can not help. at: wall time of the last verification.
    """

    state: SourceState
    path: str | None = None
    why: str = ""
    lasting: bool = True
    at: float = 0.0


class ProofState(StrEnum):
    """Where proving a revision stands."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofFact:
    """Golden requests sent to a revision through its preview address. golden: digest of what was asked."""

    revision: RevisionId
    golden: Digest | None
    state: ProofState
    asked: int = 0
    mismatches: tuple[Mismatch, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """The time of a tick. wall: Unix seconds. elapsed_s: monotonic seconds since the service's last tick.

    jumped_s: by how much the wall clock moved otherwise than the monotonic one since then; 0 for less than 2 s.
    """

    wall: float
    elapsed_s: float = 0.0
    jumped_s: float = 0.0


NO_LABELS = Unknown(why="no labels are read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything one tick decides on.

    samples: what the router counted. labels: what came to be known of the moving release's answers; probation_labels:
    of those of the release on probation. heard: what became of feedback. drill: what is seen of a drill.
    """

    at: float
    replicas: Known[tuple[ReplicaFact, ...]] | Unknown
    routes: Known[RouteFacts] | Unknown
    samples: Known[Samples] | Unknown
    sources: Mapping[Digest, SourceFact] = field(default_factory=dict)
    proof: ProofFact | None = None
    labels: Known[Samples] | Unknown = NO_LABELS
    probation_labels: Known[Samples] | Unknown = NO_LABELS
    heard: Heard | None = None
    drill: DrillFacts = NO_DRILL

    def of(self, revision: RevisionId, arm: Arm = Arm.MAIN) -> tuple[ReplicaFact, ...]:
        """The known replicas of one revision's arm, by index."""
        if isinstance(self.replicas, Unknown):
            return ()
        return tuple(
            r for r in self.replicas.value if r.id.revision == revision and arm_of(r.id.index) is arm
        )

    def control_of(self, revision: RevisionId) -> tuple[ReplicaFact, ...]:
        """The known replicas of one revision's control arm, by index."""
        return self.of(revision, Arm.CONTROL)

    def ready(self, revision: RevisionId, arm: Arm = Arm.MAIN) -> int:
        """How many replicas of a revision's arm can serve."""
        return sum(r.state is ReplicaState.READY for r in self.of(revision, arm))
