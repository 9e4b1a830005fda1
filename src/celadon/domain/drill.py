"""Drills: rehearsed failures on a running service, what they hit, and what callers noticed of them."""

from dataclasses import dataclass
from enum import StrEnum

from celadon.domain.names import ReplicaId
from celadon.domain.reason import Reason


class DrillKind(StrEnum):
    """What fails. docs/drills.md says of each what it reaches."""

    KILL_REPLICA = "kill-replica"
    HANG_REPLICA = "hang-replica"
    KILL_ZONE = "kill-zone"
    KILL_PROXY = "kill-proxy"
    KILL_DAEMON = "kill-daemon"
    KILL_FIRST_PRIORITY = "kill-first-priority"
    FILL_DISK = "fill-disk"
    FREEZE_METRICS = "freeze-metrics"


OF_REPLICAS = frozenset(
    {
        DrillKind.KILL_REPLICA,
        DrillKind.HANG_REPLICA,
        DrillKind.KILL_ZONE,
        DrillKind.KILL_FIRST_PRIORITY,
    }
)
"""Kinds that take replicas away from callers for a while."""

OF_ALL_SERVICES = frozenset({DrillKind.KILL_PROXY, DrillKind.KILL_DAEMON, DrillKind.FILL_DISK})
"""Kinds that reach every service of the daemon, for they share what fails."""

LASTING = frozenset({DrillKind.HANG_REPLICA, DrillKind.FILL_DISK, DrillKind.FREEZE_METRICS})
"""Kinds that last until they are undone; the others are over in an instant."""


class DrillPhase(StrEnum):
    """Where a drill stands: callers are watched, the lease is in the goal, it is seen in force, it is taken back."""

    MEASURING = "measuring"
    STRIKING = "striking"
    STRUCK = "struck"
    UNDOING = "undoing"


class DrillVerdict(StrEnum):
    """What a drill found. Inconclusive: nothing was shown, neither for nor against the service."""

    PASS = "pass"  # noqa: S105 -- a verdict and no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Victim:
    """One process that a lease is about. pid: which run of it, so that what is started in its place is spared.

    replica None: a proxy, or the daemon. zone: where it runs, "" where a service has none.
    """

    replica: ReplicaId | None = None
    pid: int
    zone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A failure that may be there until `until` (wall time) and is undone then, whoever is still alive.

    drill: number of the drill. lasts_s: how long it was meant to be there when it was written.
    """

    drill: int
    kind: DrillKind
    victims: tuple[Victim, ...] = ()
    until: float
    lasts_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillOrder:
    """What a person asked for. rto_s: within how long callers must be served as before.

    before_s: how long callers are watched first. lasts_s: for how long the failure may be there. rate: requests of
    the probe per second. insists: although losing one may mean losing the service.
    """

    kind: DrillKind
    before_s: float
    lasts_s: float
    rto_s: float
    rate: float
    insists: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What callers noticed, by the probe's own requests.

    requests, failed: since the failure. gap_ms: the longest time without an answer that was right. slowest_ms: of an
    answer, from when its request was meant to be sent; slowest_before_ms: the same before the failure. rto_s: from the first failed request to the start of the first
    second with 99 % of the requests and 95 % of the rate of before; 0 when none failed, None while there is none.
    back_s: until the daemon was there again, where it was killed. refused: writes that the full disk refused.
    acknowledged, lost: commands that the daemon confirmed around the failure, and those of them that the journal has
    lost; None where none were sent. lost_age_s: the age of the oldest of these.
    """

    requests: int = 0
    failed: int = 0
    gap_ms: float = 0.0
    slowest_ms: float = 0.0
    slowest_before_ms: float = 0.0
    rto_s: float | None = 0.0
    back_s: float | None = None
    refused: int | None = None
    acknowledged: int | None = None
    lost: int | None = None
    lost_age_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """A drill under way. struck_at: when its lease was recorded. entered_at: when it entered its phase (wall time).

    hit: how many victims were met. ends: what it ends with whatever else is seen, once the failure is undone.
    moved: the release that moved when the failure came, as (id, phase, stage). proxies, ready: how many of them, and
    how many replicas of what is live, served when it began; None in drills that began before this was kept.
    """

    number: int
    order: DrillOrder
    phase: DrillPhase
    began_at: float
    entered_at: float
    because: Reason
    struck_at: float | None = None
    lease: Lease | None = None
    victims: tuple[Victim, ...] = ()
    hit: int = 0
    ends: Reason | None = None
    moved: tuple[str, str, int] | None = None
    proxies: int = 0
    ready: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillReport:
    """How a drill ended. because: why the verdict is what it is. undone: no trace of the failure is left."""

    number: int
    order: DrillOrder
    verdict: DrillVerdict
    because: Reason
    measured: Measured
    victims: tuple[Victim, ...] = ()
    began_at: float
    struck_at: float | None = None
    ended_at: float
    undone: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFact:
    """What the probe of a drill has measured by now.

    before: requests that were answered right before the failure, of so many; the same `ok_before`. clear_to: up to
    when (wall time) every request has its answer or has failed. steady: the last second was as good as before.
    over: the process is gone. why: what kept it from measuring.
    """

    drill: int
    before: int = 0
    ok_before: int = 0
    measured: Measured = Measured()
    clear_to: float = 0.0
    steady: bool = False
    over: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultFact:
    """How the failure of a lease stands. struck_at: when it was made; undone_at: when it was taken back.

    hit: victims that were met. back_s, refused: see `Measured`. why: what kept it from being made.
    """

    drill: int
    struck_at: float | None = None
    undone_at: float | None = None
    hit: int = 0
    back_s: float | None = None
    refused: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillFacts:
    """What is seen of drills of one service. proxies: process ids of the proxies that serve, in a fixed order.

    others: why what all services share may not fail now; said only where a drill is about to make it fail.
    """

    probe: ProbeFact | None = None
    fault: FaultFact | None = None
    proxies: tuple[int, ...] = ()
    others: str = ""


NO_DRILL = DrillFacts()
