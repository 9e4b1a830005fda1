"""Makes before it breaks: the one way in which a service comes from what it serves to what is wanted."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

from celadon.domain.goal import Wanted
from celadon.domain.names import Address, ServiceKey
from celadon.traffic.envoy import track as tracks
from celadon.traffic.envoy.admin import View
from celadon.traffic.envoy.confirm import Change, Confirmer, RejectedError
from celadon.traffic.envoy.plane import Plane
from celadon.traffic.envoy.proof import Prover, needs_proof, port_taken
from celadon.traffic.envoy.snapshot import Cluster, Use, clash, clusters_of, listener_name, preview_name
from celadon.traffic.envoy.track import Kept, Track
from celadon.traffic.envoy.watchers import lacking

ALL_HEALTHY_S = 2.0
"""So long a move waits for the first health check of every replica; after it, one healthy replica is enough."""

GONE_MAX = 256


class SupersededError(Exception):
    """Something else is wanted by now."""


@dataclass(slots=True)
class Mover:
    """look: asks the admin interface for these clusters now. view: what the last look of any kind showed."""

    plane: Plane
    confirmer: Confirmer
    prover: Prover
    look: Callable[[frozenset[str]], Awaitable[View]]
    view: Callable[[], View]
    moved: Callable[[frozenset[str]], None]
    _structure: asyncio.Lock = field(default_factory=asyncio.Lock)
    _tables: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    _claimed: dict[ServiceKey, Wanted] = field(default_factory=dict)

    async def bring(self, track: Track, target: Wanted | None) -> None:
        """Raises RejectedError with everything back as it was, SupersededError between two steps."""
        await self._prove(track, target)
        self._check_current(track, target)
        try:
            await self._prepare(track, target)
            await self._await_health(track, target)
            await self._route(track, target)
        except RejectedError:
            await self._retreat(track)
            raise
        await self._settle(track, target)
        track.confirmed, track.unseen, track.doubted = target, None, False
        track.settled = track.target is target

    async def tidy(self, track: Track, idle: frozenset[tuple[str, Address]]) -> None:
        """Takes out what was proved to have nothing in flight."""
        stay = [
            replace(c, endpoints=tuple(e for e in c.endpoints if (c.name, e.address) not in idle))
            for c in track.kept.leaving
        ]
        gone = {e.address for c in track.kept.leaving for e in c.endpoints if (c.name, e.address) in idle}
        track.kept = replace(
            track.kept,
            leaving=tuple(c for c in stay if c.endpoints),
            gone=(*(a for a in track.kept.gone if a not in gone), *sorted(gone))[-GONE_MAX:],
        )
        self.plane.keep(track)
        await self._clusters(track, tracks.settled(track.kept.published, track.kept.leaving))
        await self.plane.sweep()

    def _check_current(self, track: Track, target: Wanted | None) -> None:
        if track.target is not target:
            raise SupersededError

    async def _prove(self, track: Track, target: Wanted | None) -> None:
        """Everything that can be known before anything is touched."""
        published = track.kept.published
        if target is None or not needs_proof(published, target):
            return
        claimed = {t.service: t.kept.published for t in self.plane.tracks.values()} | self._claimed
        why = clash(
            target, [w for service, w in claimed.items() if w is not None and service != track.service]
        )
        if why is not None:
            raise RejectedError(why)
        for address in sorted(_addresses(target) - self._listening()):
            previews = address.port == target.route.preview_port
            taken = port_taken(address, "spec/route/previewPort" if previews else "spec/route/port")
            if taken is not None:
                raise RejectedError(taken)
        self._claimed[track.service] = target
        try:
            why = await self.prover.objection(target)
        finally:
            self._claimed.pop(track.service)
        if why is not None:
            raise RejectedError(why)

    def _listening(self) -> frozenset[Address]:
        return frozenset(table.address for table in self.plane.snapshot().tables)

    async def _prepare(self, track: Track, target: Wanted | None) -> None:
        wanted = tracks.prepared(track.clusters, target)
        seats, more = self.confirmer.seats, _files_to_follow(track, wanted, target)
        # An Envoy that is down will want everything back.
        why = lacking(more * len(seats.all) + seats.down() * self.plane.followed) if more else None
        if why is not None:
            raise RejectedError(why)
        if wanted != track.clusters or track.unproved:
            await self._clusters(track, wanted)

    async def _clusters(self, track: Track, wanted: tuple[Cluster, ...]) -> None:
        """Publishes clusters and replicas, and sees them in force; on a rejection all is as before."""
        before = track.clusters
        change = _cluster_change(before, wanted, everything=track.unproved)
        async with self._structure if change.clusters_file else contextlib.nullcontext():
            track.clusters = wanted
            async with self._undone(track, track.kept, before, track.unseen):
                await self._publish(change)

    async def _route(self, track: Track, target: Wanted | None) -> None:
        self._check_current(track, target)
        before, unseen = track.kept, track.unseen
        if before.published is None and target is None:
            return
        change = _route_change(before.published, target, everything=track.unproved)
        names = [listener_name(w) for w in (before.published, target) if w is not None]
        async with contextlib.AsyncExitStack() as stack:
            if change.listeners_file:
                await stack.enter_async_context(self._structure)
            for name in sorted(set(names)):
                await stack.enter_async_context(self._tables[name])
            leaving = tracks.leaving(track.clusters, target)
            track.kept = Kept(service=track.service, published=target, leaving=leaving, gone=before.gone)
            if not (target is not None and target.same_traffic(before.published)):
                self.moved(_turned(before.published, target))
            self.plane.keep(track)
            if target is not None and (track.confirmed is None or target.routes != track.confirmed.routes):
                track.unseen = target
            async with self._undone(track, before, track.clusters, unseen):
                await self._publish(self._present(change))
        self.moved(_turned(before.published, target))

    def _present(self, change: Change) -> Change:
        """Other services may still be behind a listener that this one leaves; then its table is still there."""
        there = {table.name for table in self.plane.snapshot().tables}
        return replace(
            change,
            tables=tuple(t for t in change.tables if t in there),
            listeners=tuple(t for t in change.listeners if t in there),
        )

    @contextlib.asynccontextmanager
    async def _undone(
        self, track: Track, kept: Kept, clusters: tuple[Cluster, ...], unseen: Wanted | None
    ) -> AsyncIterator[None]:
        """On a rejection the service keeps its last accepted rendering, also in the files."""
        try:
            yield
        except RejectedError:
            track.kept, track.clusters, track.unseen = kept, clusters, unseen
            self.plane.keep(track)
            await self.plane.publish()
            raise

    async def _publish(self, change: Change) -> None:
        marks = self.confirmer.marks()
        await self.plane.publish()
        await self.confirmer.await_force(change, marks)

    async def _retreat(self, track: Track) -> None:
        """Takes out again what was put there for a wish that came to nothing."""
        left = tracks.leaving(track.clusters, track.kept.published)
        track.kept = replace(track.kept, leaving=left)
        self.plane.keep(track)
        await self._clusters(track, tracks.settled(track.kept.published, left))
        await self.plane.sweep()

    async def _settle(self, track: Track, target: Wanted | None) -> None:
        wanted = tracks.settled(target, track.kept.leaving)
        if wanted != track.clusters:
            await self._clusters(track, wanted)

    async def _await_health(self, track: Track, target: Wanted | None) -> None:
        """Until the replicas that get requests now can take them, so that a switch never meets an unknown host.

        Not for ever where waiting protects nobody: when what serves now has no healthy replica either. A cluster that
        is reached already may have lost every replica; one that is reached first is looked at now and has to have some.
        """
        routed, before = tracks.routed(target), tracks.routed(track.kept.published)
        reached = {c: c.name not in before for c in clusters_of(target) if c.name in routed} if target else {}
        if not any(reached.values()) and all(
            _can_serve(self.view(), c, new=False, patient=True) for c in reached
        ):
            return
        began = time.monotonic()
        while True:
            view = await self.look(routed | before)
            late = time.monotonic() - began > ALL_HEALTHY_S
            if all(_can_serve(view, c, new=new, patient=not late) for c, new in reached.items()):
                return
            if late and not any(_healthy(view, *pair) for pair in tracks.serving(track.kept.published)):
                return
            self._check_current(track, target)
            await asyncio.sleep(0.01 if not late else 0.1)


def _files_to_follow(track: Track, wanted: tuple[Cluster, ...], target: Wanted | None) -> int:
    """How many more than now: one for each cluster, and the tables of routes where clients and golden requests come in."""
    clusters = {cluster.name for cluster in wanted} - {cluster.name for cluster in track.clusters}
    tables = _tables_of(target) - _tables_of(track.kept.published)
    return len(clusters) + len(tables)


def _tables_of(wanted: Wanted | None) -> set[str]:
    return set() if wanted is None else {listener_name(wanted), preview_name(wanted.service)}


def _healthy(view: View, cluster: str, address: Address) -> bool:
    host = view.get(cluster, {}).get(address)
    return host is not None and host.healthy


def _can_serve(view: View, cluster: Cluster, *, new: bool, patient: bool) -> bool:
    """One healthy replica is enough once every other has been checked at least once, or we have lost patience.

    Copies need none: nobody waits for their answers, and they must not hold up what callers need.
    """
    replicas = [e.address for e in cluster.endpoints if not e.draining]
    hosts = view.get(cluster.name, {})
    unchecked = any((host := hosts.get(a)) is None or host.pending for a in replicas)
    needed = (new or bool(replicas)) and cluster.use is not Use.MIRROR
    healthy = not needed or any(_healthy(view, cluster.name, a) for a in replicas)
    return healthy and not (patient and unchecked)


def _addresses(wanted: Wanted) -> frozenset[Address]:
    route = wanted.route
    return frozenset(
        {Address(host=route.host, port=route.port), Address(host="127.0.0.1", port=route.preview_port)}
    )


def _cluster_change(before: tuple[Cluster, ...], after: tuple[Cluster, ...], *, everything: bool) -> Change:
    old = {cluster.name: cluster for cluster in before}
    new = {cluster.name: cluster for cluster in after}
    turned = [name for name, cluster in new.items() if everything or old.get(name) != cluster]
    bare_old = {name: replace(cluster, endpoints=()) for name, cluster in old.items()}
    bare_new = {name: replace(cluster, endpoints=()) for name, cluster in new.items()}
    return Change(clusters=tuple(turned), clusters_file=everything or bare_old != bare_new)


def _route_change(before: Wanted | None, after: Wanted | None, *, everything: bool) -> Change:
    tables = []
    for wanted in (before, after):
        if wanted is not None:
            tables.append(listener_name(wanted))
            if everything or before is None or after is None or before.preview != after.preview:
                tables.append(preview_name(wanted.service))
    moved = before is None or after is None or _addresses(before) != _addresses(after)
    listeners = (
        (listener_name(after), preview_name(after.service))
        if after is not None and (moved or everything)
        else ()
    )
    return Change(
        tables=tuple(dict.fromkeys(tables)), listeners=listeners, listeners_file=moved or everything
    )


def _turned(before: Wanted | None, after: Wanted | None) -> frozenset[str]:
    """Clusters for which some replica starts or stops getting requests."""
    gone = clusters_of(before) if before is not None and after is None else ()
    turned = {name for name, _ in tracks.serving(before) ^ tracks.serving(after)}
    return frozenset(turned | {cluster.name for cluster in gone if not cluster.preview})
