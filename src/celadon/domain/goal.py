"""What should be: routes and replicas of one service, under one stamp."""

from dataclasses import dataclass, fields
from enum import StrEnum
from operator import attrgetter

from celadon.domain.draw import EVERY, Draw, Match
from celadon.domain.drill import Lease
from celadon.domain.names import (
    CONTROL_FROM,
    STANDBY_FROM,
    Address,
    Digest,
    ReplicaId,
    RevisionId,
    ServiceKey,
)
from celadon.domain.plan import FULL
from celadon.domain.spec import NO_REDUNDANCY, Between, Exactly, Redundancy, RouteSpec


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Stamp:
    """Orders goals; a new leader or a restore takes a higher epoch. An older stamp is refused."""

    epoch: int
    seq: int


class Arm(StrEnum):
    """A revision's role in a split."""

    MAIN = "main"
    CONTROL = "control"
    STANDBY = "standby"


def arm_of(index: int) -> Arm:
    """The arm of a replica, which its number tells."""
    if index >= STANDBY_FROM:
        return Arm.STANDBY
    return Arm.CONTROL if index >= CONTROL_FROM else Arm.MAIN


FIRST_INDEX = {Arm.MAIN: 0, Arm.CONTROL: CONTROL_FROM, Arm.STANDBY: STANDBY_FROM}
"""Where the numbers of an arm's replicas begin."""


def zone_of(index: int, zones: tuple[str, ...]) -> str:
    """The zone of a replica. They are dealt in turn, so that any first n of them are spread evenly."""
    return zones[(index - FIRST_INDEX[arm_of(index)]) % len(zones)] if zones else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """What the proxy has to know of how a revision outlives losses: `spare` of its `replicas` may be lost.

    standby: how many replicas stand behind the first set. hang_s: see `Redundancy`.
    """

    replicas: int = 1
    spare: int = 0
    standby: int = 0
    hang_s: float = 5.0

    @property
    def needed(self) -> int:
        """So many replicas of the first set carry every request."""
        return max(1, self.replicas - self.spare)


ALONE = Cover()
"""Of a replica beside which there is nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One arm's share of a split, out of 10,000."""

    revision: RevisionId
    arm: Arm = Arm.MAIN
    share: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """Copies of this share of the requests go to `revision`; their answers are thrown away."""

    revision: RevisionId
    share: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The match selects the group, the draw by split happens inside it. draw None: nothing is drawn or judged."""

    match: Match = EVERY
    split: tuple[Part, ...]
    mirrors: tuple[Mirror, ...] = ()
    draw: Draw | None = None

    def __post_init__(self) -> None:
        assert sum(part.share for part in self.split) == FULL, self.split
        assert all(part.share >= 0 for part in self.split), self.split


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSet:
    """How many replicas of a revision, in which arm, and how they outlive losses.

    Every set has the redundancy of its own revision's settings, so that a promotion moves nothing between zones.
    """

    revision: RevisionId
    arm: Arm = Arm.MAIN
    count: Exactly | Between
    redundancy: Redundancy = NO_REDUNDANCY

    @property
    def wanted(self) -> int:
        """How many should run now."""
        return self.count.wanted

    @property
    def indices(self) -> range:
        """The numbers of its replicas; those of an arm begin where no other arm ever gets."""
        first = FIRST_INDEX[self.arm]
        return range(first, first + self.wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What should be, whole. A goal is recorded before its first effect.

    route None: the service is not reachable (yet, or any more). fetch: trees that must be there, verified.
    preview: the revision that the preview address reaches. prove: the revision whose golden requests are to be
    sent now, with the digest of those requests (None: there are none, readiness is all that is asked). leases:
    failures of a drill that may be there for now.
    """

    stamp: Stamp
    route: RouteSpec | None
    routes: tuple[Route, ...] = ()
    replicas: tuple[ReplicaSet, ...] = ()
    preview: RevisionId | None = None
    prove: RevisionId | None = None
    golden: Digest | None = None
    fetch: tuple[Digest, ...] = ()
    drain_s: float = 30.0
    leases: tuple[Lease, ...] = ()

    def zone_of(self, replica: ReplicaId) -> str:
        """Where a replica belongs by the set that it is one of; "" where nothing says so."""
        for one in self.replicas:
            if one.revision == replica.revision and replica.index in one.indices:
                return zone_of(replica.index, one.redundancy.zones)
        return ""

    @property
    def routed(self) -> frozenset[RevisionId]:
        """Revisions that clients' requests may reach."""
        return frozenset(part.revision for route in self.routes for part in route.split if part.share > 0)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Endpoint:
    """A replica as the router sees it. draining: finish what you have, get nothing new.

    standby: it belongs to the second set. zone: "" where a service has none.
    """

    address: Address
    draining: bool = False
    standby: bool = False
    zone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A goal's routes joined with the replicas that are there: exactly what one router should serve.

    endpoints: per revision, also for revisions without a share, so that moving traffic adds nothing new.
    ready: per revision, the path of its health check. controls: the replicas of control arms, by revision; they
    are in `endpoints` under no revision. covers: per revision, how its main arm outlives losses.
    """

    service: ServiceKey
    stamp: Stamp
    route: RouteSpec
    routes: tuple[Route, ...]
    endpoints: tuple[tuple[RevisionId, tuple[Endpoint, ...]], ...]
    preview: RevisionId | None
    ready: tuple[tuple[RevisionId, str], ...]
    controls: tuple[tuple[RevisionId, tuple[Endpoint, ...]], ...] = ()
    covers: tuple[tuple[RevisionId, Cover], ...] = ()

    def same_traffic(self, other: "Wanted | None") -> bool:
        """Whether two wishes differ in their stamp at most."""
        return other is not None and _traffic(self) == _traffic(other)

    def older_than(self, other: "Wanted | None") -> bool:
        """Whether it is of an older goal than another wish; then it is refused, whoever sends it."""
        return other is not None and self.stamp < other.stamp


_traffic = attrgetter(*(field.name for field in fields(Wanted) if field.name != "stamp"))
"""Compared at every tick, so nothing is copied for it."""
