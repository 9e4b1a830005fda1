"""Proxies as they truly are: what each of them serves, and what they share on their machine."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from celadon.domain.facts import Refused
from celadon.domain.goal import Arm, Wanted
from celadon.domain.names import Address, RevisionId
from celadon.domain.samples import Answers, Counts
from celadon.domain.values import replace
from celadon.sim.kernel import Clock, Kernel, Link

RESTART_S = 3.0
"""A proxy that ended is started again by its launcher after so long."""


@dataclass(slots=True)
class Proxy:
    """One proxy. in_force: what it routes by. starves: a revision that gets a fifth of the share that is shown."""

    number: int
    in_force: Wanted | None = None
    alive: bool = True
    starves: RevisionId | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters of all proxies together at one moment. log: how much of the request log there was."""

    counts: dict[RevisionId, tuple[int, int, int, int]]
    log: int
    run: int


@dataclass(slots=True)
class Proxies:
    """All proxies of one machine, which read the same files. published: what these files say;
    newest: the last wish that was taken, which is remembered when nothing is served any more.

    reload_s: how long a proxy takes to take a file in. refuses: why every new route is refused, "" while none is.
    readings, log: what they counted and logged, which outlives the daemon. moved: told before routes in force change;
    took: told of a wish that the machine took.
    """

    kernel: Kernel
    clock: Clock
    link: Link
    all: tuple[Proxy, ...]
    moved: Callable[[], None]
    took: Callable[[Wanted], None]
    published: Wanted | None = None
    newest: Wanted | None = None
    refused: Refused | None = None
    reload_s: tuple[float, float] = (0.005, 0.3)
    refuses: str = ""
    version: int = 0
    runs: int = 1
    readings: list[Reading] = field(default_factory=list)
    log: list[Answers] = field(default_factory=list)
    counts: dict[RevisionId, tuple[int, int, int, int]] = field(default_factory=dict)

    def publish(self, wanted: Wanted) -> None:
        """A wish has arrived. One older than what is there is refused, whoever sends it."""
        if wanted.older_than(self.newest):
            return
        if self.refuses and not wanted.same_traffic(self.published):
            self.refused = Refused(wanted=wanted, why=self.refuses, at=self.clock.wall())
            self.version += 1
            return
        self.took(wanted)
        self.published, self.newest, self.refused = wanted, wanted, None
        self.version += 1
        self._reload()

    def withdraw(self) -> None:
        """Nothing of the service is to be served any more."""
        self.published, self.refused = None, None
        self.version += 1
        self._reload()

    def kill(self, proxy: Proxy) -> None:
        """It is gone with everything that it was forwarding; its launcher starts it again."""
        if not proxy.alive:
            return
        self.moved()
        proxy.alive = False
        self.runs += 1
        self.version += 1
        self.kernel.after(RESTART_S, lambda: self._restart(proxy))

    def living(self) -> list[Proxy]:
        """Those that serve."""
        return [proxy for proxy in self.all if proxy.alive]

    def shown(self) -> tuple[Wanted | None, bool]:
        """What all living proxies show in force, and whether they agree on it."""
        living = self.living()
        first = living[0].in_force if living else None
        return first, bool(living) and all(one.in_force is first for one in living)

    def read(self) -> int:
        """The number of the newest reading, made if something was counted since the last one."""
        last = self.readings[-1] if self.readings else None
        if last is None or last.counts != self.counts or last.log != len(self.log) or last.run != self.runs:
            self.readings.append(Reading(dict(self.counts), len(self.log), self.runs))
        return len(self.readings) - 1

    def _reload(self) -> None:
        for proxy in self.all:
            delay_s = self.kernel.random.uniform(*self.reload_s)
            self.kernel.after(delay_s, lambda one=proxy: self._load(one))  # type: ignore[misc]

    def _load(self, proxy: Proxy) -> None:
        if not proxy.alive or proxy.in_force is self.published:
            return
        wanted, now = self.published, proxy.in_force
        if wanted is not None and now is not None and _into_nothing(now, wanted):
            wanted = replace(wanted, routes=now.routes)
        self.moved()
        proxy.in_force = wanted
        self.version += 1

    def _restart(self, proxy: Proxy) -> None:
        self.moved()
        proxy.alive, proxy.in_force = True, self.published
        self.version += 1


def counted(now: Reading, then: Reading) -> tuple[Counts, ...]:
    """Answers between two readings, of whoever gave some; cumulative buckets of up to 10 ms, 100 ms and 10 s."""
    found = []
    for revision in sorted(now.counts):
        new, old = now.counts[revision], then.counts.get(revision, NOTHING)
        if new == old:
            continue
        requests, errors = new[0] - old[0], new[1] - old[1]
        latency = ((10.0, new[2] - old[2]), (100.0, new[3] - old[3]), (10_000.0, requests - errors))
        found.append(Counts(revision=revision, requests=requests, errors=errors, latency=latency))
    return tuple(found)


NOTHING = (0, 0, 0, 0)

_REACHED: dict[int, tuple[Wanted, frozenset[Address]]] = {}


def _given(wanted: Wanted) -> set[tuple[RevisionId, Arm]]:
    """Who gets requests of callers by these routes."""
    return {(part.revision, part.arm) for route in wanted.routes for part in route.split if part.share}


def _takers(wanted: Wanted) -> Iterator[tuple[RevisionId, Arm, Address]]:
    """Replicas that take new requests, should any be given to them."""
    for arm, there in ((Arm.MAIN, wanted.endpoints), (Arm.CONTROL, wanted.controls)):
        for revision, endpoints in there:
            for endpoint in endpoints:
                if not endpoint.draining:
                    yield revision, arm, endpoint.address


def _into_nothing(now: Wanted, wanted: Wanted) -> bool:
    """Whether requests would go where nobody is, while somebody is where they go now."""
    there = {(revision, arm) for revision, arm, _ in _takers(wanted)}
    return bool(_given(wanted) - _given(now) - there) and bool(_given(now) & there)


def reached(wanted: Wanted | None) -> frozenset[Address]:
    """Addresses that get new requests of callers by these routes."""
    if wanted is None:
        return frozenset()
    known = _REACHED.get(id(wanted))
    if known is not None and known[0] is wanted:
        return known[1]
    given = _given(wanted)
    found = frozenset(address for revision, arm, address in _takers(wanted) if (revision, arm) in given)
    if len(_REACHED) > 4096:
        _REACHED.clear()
    _REACHED[id(wanted)] = (wanted, found)
    return found
