"""Who makes the failures of drills: each kind in the room that it is about, and all of them behind one port."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from celadon.domain.drill import (
    NO_DRILL,
    Drill,
    DrillFacts,
    DrillKind,
    DrillPhase,
    FaultFact,
    Lease,
    ProbeFact,
)
from celadon.domain.launch import Asks
from celadon.domain.names import ReplicaId, ServiceKey
from celadon.domain.values import replace

LOOK_S = 0.1
"""How often it is looked while a drill is under way."""


class Leases(Protocol):
    """Holds failures of processes; each outlives the daemon. Runs are process ids with their start times."""

    def services(self) -> tuple[ServiceKey, ...]: ...
    def strike(self, service: ServiceKey, lease: Lease, runs: Sequence[tuple[int, str]]) -> None: ...
    def observe(self, service: ServiceKey, now: float) -> FaultFact | None: ...
    def undo(self, service: ServiceKey, drill: int) -> None: ...
    def forget(self, service: ServiceKey) -> None: ...


class Probes(Protocol):
    """Measures what callers notice, in processes that outlive the daemon."""

    def services(self) -> tuple[ServiceKey, ...]: ...
    def begin(self, service: ServiceKey, drill: Drill, asks: Asks) -> None: ...
    def look(self, service: ServiceKey) -> bool: ...
    def observe(self, service: ServiceKey, struck_at: float | None) -> ProbeFact | None: ...
    def confirmed(self, service: ServiceKey) -> Sequence[tuple[float, int]]: ...
    def forget(self, service: ServiceKey) -> None: ...


class Disk(Protocol):
    """A journal whose disk can be full on demand, and what a full disk has refused since."""

    def fill(self) -> None: ...
    def free(self) -> None: ...
    def refused(self) -> int: ...


class Counters(Protocol):
    """Counters that can stand still."""

    def freeze(self, service: ServiceKey, at: float) -> None: ...
    def thaw(self, service: ServiceKey) -> None: ...
    def read_frozen(self, service: ServiceKey) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What can fail. replica: its living run, or None; proxies, daemon: runs of those.

    marked: which of the commands that a probe was told are there the journal has.
    """

    leases: Leases
    probes: Probes
    disk: Disk
    counters: Counters
    marked: Callable[[ServiceKey, Sequence[int]], frozenset[int]]
    replica: Callable[[ReplicaId], tuple[int, str] | None]
    proxies: Callable[[], tuple[tuple[int, str], ...]]
    daemon: tuple[int, str]


class Rehearsals:
    """Fits `ports.Drills`. Everything belongs to one event loop.

    A full disk and frozen counters are ours alone: they end with this process, and at the lease's end by a timer,
    because a tick that can not be journalled undoes nothing.
    """

    def __init__(self, parts: Parts, wake: Callable[[ServiceKey], None]) -> None:
        self._parts, self._wake = parts, wake
        self._inside: dict[ServiceKey, FaultFact] = {}
        self._kinds: dict[ServiceKey, DrillKind] = {}
        self._looks: dict[ServiceKey, asyncio.Task[None]] = {}
        self._unread: dict[ServiceKey, str] = {}

    def start(self) -> None:
        """Go on with what an earlier daemon left."""
        for service in {*self._parts.leases.services(), *self._parts.probes.services()}:
            self._look(service)

    async def close(self) -> None:
        """Stop looking, and undo what ends with us."""
        looks = list(self._looks.values())
        for look in looks:
            look.cancel()
        await asyncio.gather(*looks, return_exceptions=True)
        for service, fact in list(self._inside.items()):
            self.undo(service, fact.drill)

    def observe(self, service: ServiceKey, drill: Drill | None) -> DrillFacts:
        """What is seen of a drill of this service."""
        proxies = tuple(sorted(pid for pid, _ in self._parts.proxies()))
        if service not in self._looks:
            return replace(NO_DRILL, proxies=proxies)
        return DrillFacts(
            probe=self._probe(service, drill),
            fault=self._inside_now(service) or self._parts.leases.observe(service, time.time()),
            proxies=proxies,
        )

    def _probe(self, service: ServiceKey, drill: Drill | None) -> ProbeFact | None:
        """What callers noticed, and in the end whether what the daemon had confirmed is still there."""
        fact = self._parts.probes.observe(service, drill.struck_at if drill else None)
        if fact is not None and service in self._unread:
            fact = replace(fact, over=True, why=self._unread[service])
        if fact is None or drill is None or drill.phase is not DrillPhase.UNDOING:
            return fact
        confirmed = self._parts.probes.confirmed(service)
        if not confirmed:
            return fact
        there = self._parts.marked(service, [seq for _, seq in confirmed])
        lost = [at for at, seq in confirmed if seq not in there]
        age_s = time.time() - min(lost) if lost else None
        counted = replace(fact.measured, acknowledged=len(confirmed), lost=len(lost), lost_age_s=age_s)
        return replace(fact, measured=counted)

    def probe(self, service: ServiceKey, drill: Drill, asks: Asks) -> None:
        """Begin to measure."""
        self._unread.pop(service, None)
        self._parts.probes.begin(service, drill, asks)
        self._look(service)

    def strike(self, service: ServiceKey, lease: Lease) -> None:
        """Make the failure. One that is there already stays as it is."""
        self._look(service)
        match lease.kind:
            case DrillKind.FILL_DISK | DrillKind.FREEZE_METRICS:
                self._strike_inside(service, lease)
            case DrillKind.KILL_DAEMON:
                self._parts.leases.strike(service, lease, [self._parts.daemon])
            case _:
                self._parts.leases.strike(service, lease, list(self._runs(lease)))

    def undo(self, service: ServiceKey, drill: int) -> None:
        """Take it back."""
        fact = self._inside.get(service)
        if fact is None:
            self._parts.leases.undo(service, drill)
            return
        if fact.undone_at is not None or fact.drill != drill:
            return
        if self._kinds[service] is DrillKind.FILL_DISK:
            self._parts.disk.free()
        else:
            self._parts.counters.thaw(service)
        self._inside[service] = replace(self._counted(service, fact), undone_at=time.time())
        self._wake(service)

    def forget(self, service: ServiceKey) -> None:
        """Nothing is measured any more, and what was held is forgotten."""
        self._parts.probes.forget(service)
        self._parts.leases.forget(service)
        self._inside.pop(service, None)
        self._unread.pop(service, None)
        look = self._looks.pop(service, None)
        if look is not None:
            look.cancel()

    def _strike_inside(self, service: ServiceKey, lease: Lease) -> None:
        if service in self._inside:
            return
        now = time.time()
        self._kinds[service] = lease.kind
        self._inside[service] = FaultFact(drill=lease.drill, struck_at=now)
        if lease.kind is DrillKind.FILL_DISK:
            self._parts.disk.fill()
        else:
            self._parts.counters.freeze(service, now)
        left_s = min(lease.lasts_s, max(0.0, lease.until - now))
        asyncio.get_running_loop().call_later(left_s, self.undo, service, lease.drill)
        self._wake(service)

    def _inside_now(self, service: ServiceKey) -> FaultFact | None:
        fact = self._inside.get(service)
        return fact if fact is None or fact.undone_at is not None else self._counted(service, fact)

    def _counted(self, service: ServiceKey, fact: FaultFact) -> FaultFact:
        if self._kinds[service] is DrillKind.FILL_DISK:
            refused = self._parts.disk.refused()
            return replace(fact, hit=min(1, refused), refused=refused)
        return replace(fact, hit=min(1, self._parts.counters.read_frozen(service)))

    def _runs(self, lease: Lease) -> Sequence[tuple[int, str]]:
        """The victims as runs of processes; those that have ended since are left out."""
        proxies = dict(self._parts.proxies())
        found = []
        for victim in lease.victims:
            run = self._parts.replica(victim.replica) if victim.replica else None
            if victim.replica is None and victim.pid in proxies:
                run = (victim.pid, proxies[victim.pid])
            if run is not None and run[0] == victim.pid:
                found.append(run)
        return found

    def _look(self, service: ServiceKey) -> None:
        if service not in self._looks:
            loop = asyncio.get_running_loop()
            self._looks[service] = loop.create_task(self._look_for_ever(service), name=f"drill {service}")

    async def _look_for_ever(self, service: ServiceKey) -> None:
        while True:
            if self._news(service):
                self._wake(service)
            await asyncio.sleep(LOOK_S)

    def _news(self, service: ServiceKey) -> bool:
        """Whether there is something to decide on. What can not be read is told, and the drill shows nothing."""
        try:
            fault = self._parts.leases.observe(service, time.time())
            return self._parts.probes.look(service) or fault is not None
        except Exception as broken:  # noqa: BLE001 -- whatever it was: nobody would look any more, and say nothing
            self._unread[service] = f"it could not be read: {type(broken).__name__}: {broken}"
            return True
