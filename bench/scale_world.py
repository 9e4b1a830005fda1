"""Thousands of services in memory behind the ports of the loop: what they do is simulated, when it happens is real.

Replicas start, routes come into force and requests are answered by arithmetic, on the machine's own clock. What this
costs is counted here, so that it can be taken off what the loop costs.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ParamSpec, TypeVar

from celadon.control.apply import Effects
from celadon.domain.durations import bucket
from celadon.domain.facts import (
    Known,
    ProofFact,
    ProofState,
    ReplicaFact,
    ReplicaState,
    RouteFacts,
    SourceFact,
    SourceState,
    Unknown,
)
from celadon.domain.feedback import Feedback, Heard, Interest, Received
from celadon.domain.goal import Wanted
from celadon.domain.launch import Launch
from celadon.domain.names import Address, Digest, ReplicaId, RevisionId, ServiceKey
from celadon.domain.plan import FULL
from celadon.domain.samples import Answers, Counts, Cursor, Samples
from celadon.domain.spec import SecretEnv, SecretFile

START_S, ROUTE_S, STOP_S = 0.2, 0.1, 0.1
"""How long a replica takes to be ready, a route to be in force, a replica to end."""

LOOK_S = 0.5
"""How old what an adapter shows may be, as with Envoy."""

RATE_PER_S = 5_000.0

ERRORS_PER_THOUSAND = 10
"""Of every revision: where there are no errors at all, there is little to compare."""

TOOK_US = 20_000

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class Spent:
    """Time that the world took for itself, which is not celadon's."""

    ns: int = 0

    def of(self, work: Callable[P, T]) -> Callable[P, T]:
        def timed(*given: P.args, **named: P.kwargs) -> T:
            began = time.perf_counter_ns()
            try:
                return work(*given, **named)
            finally:
                self.ns += time.perf_counter_ns() - began

        return timed


@dataclass(slots=True)
class One:
    """One service as it is out there."""

    key: ServiceKey
    replicas: dict[ReplicaId, ReplicaFact] = field(default_factory=dict)
    served: RouteFacts = field(default_factory=RouteFacts)
    proof: ProofFact | None = None
    seen: tuple[ReplicaFact, ...] = ()
    looked_at: float = 0.0
    answered_at: float = 0.0
    answered: dict[RevisionId, float] = field(default_factory=dict)
    log: list[Answers] = field(default_factory=list)

    def look(self) -> None:
        """What an adapter keeps ready: facts are made anew only when something changed."""
        self.seen = tuple(self.replicas[key] for key in sorted(self.replicas))
        wanted = self.served.confirmed
        routed = {part.revision for route in wanted.routes for part in route.split} if wanted else set()
        idle = {fact.address for fact in self.seen if fact.address and fact.id.revision not in routed}
        unrouted = {address: self.served.unrouted.get(address, time.time()) for address in idle}
        self.served = replace(self.served, drained=frozenset(idle), unrouted=unrouted)
        self.looked_at = time.time()

    @property
    def taken_at(self) -> float:
        """When an adapter looked last: at every change, and now and then; never after the tick began that it tells."""
        return max(self.looked_at, time.time() - LOOK_S)


class World:
    """Platform, router, sources, prober and labels of all services. It belongs to one event loop.

    looked: called when the loop looks at a service; wake: when a fact of it changed.
    """

    def __init__(self, looked: Callable[[ServiceKey], None]) -> None:
        self.wake: Callable[[ServiceKey], None] = lambda _: None
        self.spent = Spent()
        self.services: dict[ServiceKey, One] = {}
        self.ports = 10_000
        self.effects = Effects(
            platform=Replicas(self, looked),
            router=Router(self),
            sources=Trees(),
            prober=Prober(self),
            labels=Labels(),
        )

    def one(self, key: ServiceKey) -> One:
        found = self.services.get(key)
        if found is None:
            found = self.services[key] = One(key=key)
        return found

    def later(self, after_s: float, change: Callable[[], None], key: ServiceKey) -> None:
        """Something happens after a while, and celadon is told."""

        def happen() -> None:
            change()
            self.one(key).look()

        timed = self.spent.of(happen)

        def told() -> None:
            timed()
            self.wake(key)

        asyncio.get_running_loop().call_later(after_s, told)


class Replicas:
    def __init__(self, world: World, looked: Callable[[ServiceKey], None]) -> None:
        self.world, self.looked = world, looked
        self.start = world.spent.of(self.start)  # type: ignore[method-assign]
        self.stop = world.spent.of(self.stop)  # type: ignore[method-assign]

    def observe(self, service: ServiceKey) -> Known[tuple[ReplicaFact, ...]] | Unknown:
        self.looked(service)
        one = self.world.one(service)
        return Known(value=one.seen, taken_at=one.taken_at)

    def start(self, launch: Launch) -> None:
        world, key = self.world, launch.replica
        one = world.one(key.service)
        if key in one.replicas:
            return
        world.ports += 1
        address = Address(host=f"10.0.{world.ports >> 14}.1", port=10_000 + world.ports % 16_384)
        fact = ReplicaFact(id=key, state=ReplicaState.STARTING, since=time.time(), address=address)
        one.replicas[key] = fact
        one.look()

        def ready() -> None:
            one.replicas[key] = replace(fact, state=ReplicaState.READY, since=time.time())

        world.later(START_S, ready, key.service)

    def stop(self, replica: ReplicaId, grace_s: float) -> None:
        one = self.world.one(replica.service)
        fact = one.replicas.get(replica)
        if fact is None or fact.state is ReplicaState.STOPPING:
            return
        one.replicas[replica] = replace(fact, state=ReplicaState.STOPPING)
        one.look()

        def gone() -> None:
            one.replicas.pop(replica, None)

        self.world.later(STOP_S, gone, replica.service)

    def remove(self, service: ServiceKey) -> None:
        raise AssertionError("nothing is removed here")

    def secret_digest(self, source: SecretFile | SecretEnv) -> str:
        raise AssertionError("there are no secrets here")


START: Cursor = (("log", "0"),)
NOTHING = Samples(cursor_from=START, cursor_to=START, counts=())


class Router:
    def __init__(self, world: World) -> None:
        self.world = world
        self.set = world.spent.of(self.set)  # type: ignore[method-assign]
        self._count = world.spent.of(self._count)  # type: ignore[method-assign]

    def observe(self, service: ServiceKey) -> Known[RouteFacts] | Unknown:
        one = self.world.one(service)
        return Known(value=one.served, taken_at=one.taken_at)

    def set(self, wanted: Wanted) -> None:
        one = self.world.one(wanted.service)
        one.served = replace(one.served, pending=wanted)

        def in_force() -> None:
            if one.served.pending == wanted:
                _serve(one)
                one.served = replace(one.served, confirmed=wanted, pending=None)

        self.world.later(ROUTE_S, in_force, wanted.service)

    def drop(self, service: ServiceKey) -> None:
        raise AssertionError("nothing is removed here")

    def samples(self, service: ServiceKey, since: Cursor) -> Known[Samples] | Unknown:
        one = self.world.one(service)
        if not since and not _drawn(one):
            return Known(value=NOTHING, taken_at=time.time())
        return self._count(one, since)

    def _count(self, one: One, since: Cursor) -> Known[Samples]:
        _serve(one)
        before = dict(since)
        answered = {key: int(total) for key, total in sorted(one.answered.items())}
        counts = [
            Counts(
                revision=key, requests=(done := total - int(before.get(key, "0"))), latency=((100.0, done),)
            )
            for key, total in answered.items()
        ]
        to = (*((key, str(total)) for key, total in answered.items()), ("log", str(len(one.log))))
        samples = Samples(
            cursor_from=since or to,
            cursor_to=to,
            counts=tuple(counts) if since else (),
            answers=tuple(one.log[int(before.get("log", len(one.log))) :]),
        )
        return Known(value=samples, taken_at=time.time())


def _counts(revision: RevisionId, before: int, total: int) -> Counts:
    """The answers after the first `before` of them: every hundredth is an error."""
    done = total - before
    errors = total * ERRORS_PER_THOUSAND // 1000 - before * ERRORS_PER_THOUSAND // 1000
    return Counts(revision=revision, requests=done, errors=errors, latency=((100.0, done - errors),))


def _drawn(one: One) -> bool:
    """Whether requests are drawn, and so logged and counted."""
    wanted = one.served.confirmed
    return wanted is not None and any(route.draw for route in wanted.routes)


def _serve(one: One) -> None:
    """The requests since this was last looked at, by the routes in force."""
    now = time.time()
    elapsed_s, one.answered_at = now - (one.answered_at or now), now
    wanted = one.served.confirmed
    if wanted is None or not _drawn(one):
        return
    for route in wanted.routes:
        green = sum(part.share for part in route.split if route.draw and part.revision == route.draw.green)
        for part in route.split:
            before = one.answered.get(part.revision, 0.0)
            one.answered[part.revision] = before + RATE_PER_S * elapsed_s * part.share / FULL
            found = _counts(part.revision, int(before), int(one.answered[part.revision]))
            if found.requests:
                one.log.append(
                    Answers(
                        at_s=int(now),
                        revision=part.revision,
                        arm=part.arm,
                        share=green,
                        requests=found.requests,
                        errors=found.errors,
                        failed=found.errors,
                        durations=((bucket(TOOK_US), found.requests - found.errors),),
                    )
                )


class Trees:
    """Everything is there."""

    def __init__(self) -> None:
        self._facts: dict[Digest, SourceFact] = {}

    def observe(self, trees: Sequence[Digest]) -> Mapping[Digest, SourceFact]:
        return {tree: self._facts[tree] for tree in trees if tree in self._facts}

    def fetch(self, tree: Digest) -> None:
        self._facts[tree] = SourceFact(state=SourceState.VERIFIED, path="/tree", at=time.time())

    def blob(self, digest: Digest) -> Path:
        return Path("/blobs") / digest


class Prober:
    """Every revision answers its golden requests as it should."""

    def __init__(self, world: World) -> None:
        self.world = world

    def observe(self, service: ServiceKey) -> ProofFact | None:
        return self.world.one(service).proof

    def prove(
        self,
        service: ServiceKey,
        revision: RevisionId,
        golden: Digest | None,
        path: Path | None,
        preview: Address,
        *,
        within_s: float | None,
    ) -> None:
        self.world.one(service).proof = ProofFact(
            revision=revision, golden=golden, state=ProofState.PASSED, asked=3
        )
        self.world.wake(service)

    def forget(self, service: ServiceKey) -> None:
        self.world.one(service).proof = None


class Labels:
    """Nothing comes to be known later."""

    def samples(self, service: ServiceKey, since: Cursor, interest: Interest) -> Known[Samples] | Unknown:
        return Unknown(why="no labels are read")

    def heard(self, service: ServiceKey) -> Heard | None:
        return None

    def follow(self, service: ServiceKey, interests: tuple[Interest, ...]) -> None:
        pass

    def post(self, service: ServiceKey, feedback: Sequence[Feedback]) -> Received:
        raise AssertionError("nobody posts here")
