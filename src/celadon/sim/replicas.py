"""Replicas as they truly are, and the platform that runs them as far as the loop can see."""

from collections.abc import Callable
from dataclasses import dataclass, field

from celadon.domain.facts import Exit, Known, ReplicaFact, ReplicaState, Unknown
from celadon.domain.launch import Launch
from celadon.domain.names import Address, ReplicaId, RevisionId, ServiceKey
from celadon.domain.spec import SecretEnv, SecretFile
from celadon.sim.kernel import Clock, Kernel

HANG_SEEN_S = 3.0
"""A replica that does not answer its ready path is shown as not ready after this long."""

STEADY_S = 10.0
"""Exits before a replica had been ready for this long are exits in a row."""


@dataclass(slots=True)
class Character:
    """How replicas of a revision behave. wrong_share: of its answers that are labelled. start_s: until it is ready.

    asked: how many golden requests it is asked, where there are any.
    """

    error_share: float = 0.0
    latency_ms: float = 5.0
    golden: bool = True
    asked: int = 3
    starts: bool = True
    wrong_share: float = 0.0
    start_s: float = 1.0


@dataclass(slots=True)
class Replica:
    """One process. busy_until: when the last request that it accepted will be answered. run: counts its starts."""

    id: ReplicaId
    zone: str
    state: ReplicaState
    since: float
    address: Address
    run: int = 1
    exits: int = 0
    last_exit: Exit | None = None
    hung: bool = False
    hung_at: float = 0.0
    busy_until: float = 0.0
    unreached_since: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def serves(self) -> bool:
        """Whether it answers what it gets."""
        return self.state is ReplicaState.READY and not self.hung


@dataclass(slots=True)
class Machine:
    """Where replicas run. They outlive the daemon.

    dying: told just before a stop of ours kills a replica, with whether something was in flight. stopping, starting:
    told of what the loop asked for, before it is done. changed: told when another set of replicas can serve.
    """

    kernel: Kernel
    clock: Clock
    characters: dict[RevisionId, Character]
    changed: Callable[[], None]
    starting: Callable[[Launch, Replica | None], None]
    stopping: Callable[[Replica], None]
    dying: Callable[[Replica], None]
    there: dict[ReplicaId, Replica] = field(default_factory=dict)
    version: int = 0
    ports: int = 20_000

    def start(self, launch: Launch) -> None:
        """Nothing happens to one that runs or is being stopped."""
        old = self.there.get(launch.replica)
        self.starting(launch, old)
        if old is not None and old.state is not ReplicaState.EXITED:
            return
        self.ports += 1
        one = Replica(
            id=launch.replica,
            zone=launch.zone,
            state=ReplicaState.STARTING,
            since=self.clock.wall(),
            address=Address(host="127.0.0.1", port=self.ports),
            run=old.run + 1 if old else 1,
            exits=old.exits if old else 0,
            last_exit=old.last_exit if old else None,
            unreached_since=self.kernel.at,
        )
        self.there[one.id] = one
        self._touch()
        like = self.characters[one.id.revision]
        delay_s = like.start_s * self.kernel.random.uniform(0.5, 1.5)
        self.kernel.after(delay_s, lambda: self._started(one))

    def stop(self, replica: ReplicaId, grace_s: float) -> None:
        """SIGTERM now, SIGKILL after the grace; one that has ended is forgotten."""
        one = self.there.get(replica)
        if one is None:
            return
        self.changed()
        self.stopping(one)
        if one.state is ReplicaState.EXITED:
            del self.there[replica]
        elif one.state is not ReplicaState.STOPPING:
            self._turn(one, ReplicaState.STOPPING)
            left_s = one.busy_until - self.kernel.at if not one.hung else grace_s
            self.kernel.after(min(max(left_s, 0.0) + 0.05, grace_s), lambda: self._ended(one))
        self._touch()

    def kill(self, one: Replica, code: int | None = -9) -> None:
        """The world ends it: nobody here asked for that."""
        if one.state in {ReplicaState.EXITED, ReplicaState.STOPPING}:
            return
        self.changed()
        steady = one.state is ReplicaState.READY and self.clock.wall() - one.since >= STEADY_S
        one.exits = 1 if steady else one.exits + 1
        one.last_exit = Exit(code=code, at=self.clock.wall(), stderr=("killed",))
        one.hung = False
        self._turn(one, ReplicaState.EXITED)

    def hang(self, one: Replica) -> None:
        """It stands still: it accepts, and answers nothing."""
        if one.serves:
            self.changed()
            one.hung, one.hung_at = True, self.kernel.at
            self.kernel.after(HANG_SEEN_S, lambda: self._seen_hung(one))

    def wake(self, one: Replica) -> None:
        """It goes on."""
        if one.hung:
            self.changed()
            one.hung = False
            if one.state is ReplicaState.UNREADY:
                self._turn(one, ReplicaState.READY)

    def ready(self, revision: RevisionId) -> int:
        """How many of a revision truly serve."""
        return sum(one.serves and one.id.revision == revision for one in self.there.values())

    def _seen_hung(self, one: Replica) -> None:
        if one.hung and one.state is ReplicaState.READY:
            self._turn(one, ReplicaState.UNREADY)

    def _started(self, one: Replica) -> None:
        if self.there.get(one.id) is not one or one.state is not ReplicaState.STARTING:
            return
        if self.characters[one.id.revision].starts:
            self.changed()
            self._turn(one, ReplicaState.READY)
        else:
            one.exits += 1
            one.last_exit = Exit(code=1, at=self.clock.wall(), stderr=("no such model",))
            self._turn(one, ReplicaState.EXITED)

    def _ended(self, one: Replica) -> None:
        if self.there.get(one.id) is one and one.state is ReplicaState.STOPPING:
            self.dying(one)
            del self.there[one.id]
            self._touch()

    def _turn(self, one: Replica, state: ReplicaState) -> None:
        one.state, one.since = state, self.clock.wall()
        self._touch()

    def _touch(self) -> None:
        self.version += 1


@dataclass(slots=True)
class Reach:
    """What the daemon can not see now, and why; "" where it sees. The machine stands for the replicas.

    stale: of what it can not see, it still shows what it saw last, with the time at which it did. frozen: the proxies'
    counters stand still. Nothing that is begun gets there either.
    """

    machine: str = ""
    proxies: str = ""
    counters: str = ""
    frozen: bool = False
    stale: bool = False


class SimPlatform:
    """Fits the port of the platform. It lives in the daemon, and is made anew with it."""

    def __init__(self, machine: Machine, clock: Clock, reach: Reach, point: Callable[[], None]) -> None:
        self.machine, self._clock, self._reach, self._point = machine, clock, reach, point
        self._version = -1
        self._seen: tuple[ReplicaFact, ...] = ()
        self._taken_at = 0.0

    def observe(self, service: ServiceKey) -> Known[tuple[ReplicaFact, ...]] | Unknown:
        """All replicas of a service, by revision and index."""
        why = self._reach.machine
        if why and not (self._reach.stale and self._version >= 0):
            return Unknown(why=why)
        if not why:
            self._taken_at = self._clock.wall()
            if self._version != self.machine.version:
                self._version = self.machine.version
                there = self.machine.there
                self._seen = tuple(_fact(there[key]) for key in sorted(there) if key.service == service)
        return Known(value=self._seen, taken_at=self._taken_at)

    def start(self, launch: Launch) -> None:
        """Begin to start a replica."""
        self._point()
        if not self._reach.machine:
            self.machine.start(launch)
        self._point()

    def stop(self, replica: ReplicaId, grace_s: float) -> None:
        """Begin to stop a replica."""
        self._point()
        if not self._reach.machine:
            self.machine.stop(replica, grace_s)
        self._point()

    def remove(self, service: ServiceKey) -> None:
        """Nothing is kept of a service of which no replica is left."""
        assert not any(key.service == service for key in self.machine.there), service

    def secret_digest(self, source: SecretFile | SecretEnv) -> str:
        """No spec of a simulated world has secrets."""
        raise AssertionError(f"nothing here reads {source}")


def _fact(one: Replica) -> ReplicaFact:
    gone = one.state is ReplicaState.EXITED
    return ReplicaFact(
        id=one.id,
        state=one.state,
        since=one.since,
        address=None if gone else one.address,
        exits=one.exits,
        last_exit=one.last_exit,
        notes=one.notes,
        zone=one.zone,
    )
