"""What a person asks for: one service, as its YAML file says it, with every default filled in by `parse`."""

from dataclasses import dataclass
from enum import StrEnum

from celadon.domain.compare import Compare
from celadon.domain.draw import EVERY, Match, Sticky
from celadon.domain.names import ServiceKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """celadon's own model server runs this model: a path to a file or folder, or a URI with its digest."""

    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSource:
    """Any HTTP server: an argument list in which `{port}` stands for the port it must listen on.

    files: a folder that is hashed, copied and made the working directory; None for an empty one.
    """

    command: tuple[str, ...]
    files: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Settings of the model server. version: the model version in the protocols; threads: intra-op threads."""

    version: int = 1
    threads: int = 1
    max_body_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFile:
    """A secret read from a file on the machine that runs the replicas."""

    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretEnv:
    """A secret read from an environment variable of the daemon."""

    env: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Limits of one replica. cpus: cores, fractions allowed; None means no limit."""

    cpus: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exactly:
    """A fixed number of replicas."""

    replicas: int

    @property
    def wanted(self) -> int:
        """How many should run now."""
        return self.replicas


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """A range inside which the autoscaler alone chooses."""

    replicas_min: int
    replicas_max: int

    @property
    def wanted(self) -> int:
        """How many should run when nobody has chosen yet."""
        return self.replicas_min


class RetryWhen(StrEnum):
    """Which failed requests the proxy may repeat on another replica."""

    NEVER = "never"
    BEFORE_SENT = "beforeSent"
    RESET = "reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """What may be repeated and how often. `beforeSent`: only when no byte reached the replica.

    per_try_s: a try whose answer has not begun for so long is given up and asked again elsewhere; None: none is.
    """

    when: RetryWhen
    attempts: int = 2
    per_try_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSpec:
    """Where clients reach the service. hostnames: `*` for any. timeout_s: None means no limit.

    preview_port: loopback only; always reaches green.
    """

    host: str = "127.0.0.1"
    port: int
    hostnames: tuple[str, ...] = ("*",)
    prefix: str = "/"
    preview_port: int
    timeout_s: float | None = None
    retry: Retry

    @property
    def patience_s(self) -> float | None:
        """How soon an answer has to begin, seconds; None for any time."""
        limits = [limit for limit in (self.timeout_s, self.retry.per_try_s) if limit is not None]
        return min(limits, default=None)


class OnDeadline(StrEnum):
    """What a watch without enough evidence does when its deadline has passed."""

    HOLD = "hold"
    ROLLBACK = "rollback"


class Serves(StrEnum):
    """Who serves while a release that had moved every request waits for a person."""

    BLUE = "blue"
    GREEN = "green"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """The plain guard over green after the switch.

    watch_s: observed seconds with fresh samples before green is promoted. error_share_max: in [0, 1].
    requests_min: fewer answers than this are not evidence. deadline_s: wall seconds from the switch. hold_serves:
    who serves when a release holds that had moved every request.
    """

    watch_s: float = 60.0
    requests_min: int = 50
    error_share_max: float = 0.02
    latency_ms_p95_max: float = 1000.0
    deadline_s: float = 900.0
    on_deadline: OnDeadline = OnDeadline.HOLD
    hold_serves: Serves = Serves.GREEN


class Ends(StrEnum):
    """As what a release ends that nothing spoke against."""

    PROMOTED = "promoted"
    REPORTED = "reported"


class Advance(StrEnum):
    """What lets green's share rise: observed time without suspicion, or evidence that green is fine."""

    TIME = "time"
    EVIDENCE = "evidence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a ramp. share, mirror: out of 10,000; a step without a share but with a mirror is a shadow."""

    share: int
    dwell_s: float
    mirror: int = 0
    gate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BlueGreen:
    """Everything at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """Green's share rises step by step. control: blue gets a second set of replicas beside which latency is judged."""

    steps: tuple[Step, ...]
    advance: Advance = Advance.TIME
    control: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AbTest:
    """Two revisions beside each other for `test_s` observed seconds, among the requests that match alone."""

    match: Match = EVERY
    share: int = 5000
    test_s: float
    then: Ends = Ends.REPORTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """Green answers copies that no caller sees, for `test_s` observed seconds or until `requests_max` of them."""

    mirror: int = 10_000
    test_s: float
    requests_max: int | None = None


Strategy = BlueGreen | Ramp | AbTest | Shadow


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """At most `bad_answers_max` answers may be hurt, with this confidence, at this many requests per second."""

    bad_answers_max: int
    confidence: float
    rate_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePolicy:
    """How a new revision takes over. gate: a person must promote before any traffic moves.

    start_s: how long green may take to start and get ready. hold_s: how long blue is kept ready afterwards.
    compare None: nothing is compared. exposure: what shares and times are derived from, instead of from the strategy.
    probation_s: how long labels may still take a promoted green back.
    """

    gate: bool = False
    start_s: float = 120.0
    prove_s: float = 60.0
    watch: Watch = Watch()
    hold_s: float = 3600.0
    strategy: Strategy = BlueGreen()
    sticky: Sticky | None = None
    compare: Compare | None = None
    exposure: Exposure | None = None
    probation_s: float = 0.0


class Survives(StrEnum):
    """What may be lost at once while the rest still carries every request."""

    NOTHING = "nothing"
    REPLICA = "replica"
    ZONE = "zone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Redundancy:
    """How a service outlives losses.

    zones: names of the failure domains over which replicas are dealt in turn; none: one without a name. standby:
    replicas of a second set, which gets only the requests that the first can not carry. hang_s: a replica that does
    not answer for this long gets no more requests.
    """

    zones: tuple[str, ...] = ()
    survives: Survives = Survives.NOTHING
    standby: int = 0
    hang_s: float = 5.0

    def spare(self, replicas: int) -> int:
        """How many of so many replicas may be lost while the rest still carries every request."""
        match self.survives:
            case Survives.NOTHING:
                return 0
            case Survives.REPLICA:
                return min(1, replicas - 1)
            case Survives.ZONE:
                return -(-replicas // max(1, len(self.zones))) if len(self.zones) > 1 else 0


NO_REDUNDANCY = Redundancy()
"""Nothing may be lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """One service as its owner wrote it, defaults filled in.

    ready: the path that answers 2xx when a replica can serve. golden: path or URI of the golden requests.
    drain_s: how long a replica that gets no new requests may finish the ones it has.
    """

    service: ServiceKey
    source: ModelSource | CommandSource
    serving: Serving = Serving()
    golden: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, SecretFile | SecretEnv], ...] = ()
    ready: str = "/healthz/ready"
    resources: Resources = Resources()
    replicas: Exactly | Between = Exactly(replicas=1)
    redundancy: Redundancy = Redundancy()
    route: RouteSpec
    drain_s: float = 30.0
    release: ReleasePolicy = ReleasePolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What of a spec is not part of a revision's identity, as accepted: changing it needs no release.

    golden: digest of the golden requests, None when there are none.
    """

    replicas: Exactly | Between
    route: RouteSpec
    drain_s: float
    release: ReleasePolicy
    golden: str | None
    redundancy: Redundancy = Redundancy()

    @property
    def needed(self) -> int:
        """How many ready replicas carry every request: all but those that may be lost, and never none."""
        wanted = self.replicas.wanted
        return max(1, wanted - self.redundancy.spare(wanted))
