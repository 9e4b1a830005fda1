"""Effects as data: what `reconcile` asks for and `apply` begins."""

from dataclasses import dataclass

from celadon.domain.drill import Drill, Lease
from celadon.domain.goal import Wanted
from celadon.domain.names import Digest, ReplicaId, RevisionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Bring a tree into the model store's working copies and verify every byte of it."""

    tree: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class StartReplica:
    """Start one replica, or start it again."""

    replica: ReplicaId


@dataclass(frozen=True, slots=True, kw_only=True)
class StopReplica:
    """SIGTERM now, SIGKILL after `grace_s`. Only ever begun on a replica that clients no longer reach."""

    replica: ReplicaId
    grace_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRoutes:
    """Make the router serve this."""

    wanted: Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class DropRoutes:
    """Stop serving this service at all: its listener goes, in-flight requests finish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prove:
    """Send the golden requests to the preview address and compare."""

    revision: RevisionId
    golden: Digest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetProof:
    """Nothing is being proved: what was answered before must not count for the next release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Send the requests of a drill to the service's own route, and measure."""

    drill: Drill


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """Make the failure of a lease."""

    lease: Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """Take the failure of a drill back."""

    drill: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetDrill:
    """No drill is under way: its probe ends and its files go."""


Action = (
    Fetch
    | StartReplica
    | StopReplica
    | SetRoutes
    | DropRoutes
    | Prove
    | ForgetProof
    | Probe
    | Strike
    | Undo
    | ForgetDrill
)
