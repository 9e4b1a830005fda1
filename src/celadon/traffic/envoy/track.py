"""One service's way from what it serves to what is wanted, and which clusters have to be there meanwhile. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from celadon.domain.facts import Refused
from celadon.domain.goal import Endpoint, Wanted
from celadon.domain.names import Address, ServiceKey
from celadon.traffic.envoy.snapshot import Claim, Cluster, clusters_of, mirrors, split


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a service has in Envoy's files, as remembered on disk.

    published: the wish whose routes the files say. leaving: replicas that were taken out and may still be
    answering. gone: addresses that had nothing in flight when they were taken out for good.
    """

    service: ServiceKey
    published: Wanted | None = None
    leaving: tuple[Cluster, ...] = ()
    gone: tuple[Address, ...] = ()


@dataclass(slots=True)
class Track:
    """target: what is asked for now; None: nothing any more. clusters: what has to be in the files now.

    unseen: a wish whose routes were written last when they were others than those confirmed, until something is seen in
    force. doubted: something could not be seen in time, so that nothing of what came before is taken for granted.
    """

    kept: Kept
    target: Wanted | None = None
    clusters: tuple[Cluster, ...] = ()
    confirmed: Wanted | None = None
    unseen: Wanted | None = None
    settled: bool = False
    doubted: bool = False
    refused: Refused | None = None
    refused_at: float = 0.0
    drained: frozenset[Address] = frozenset()
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def service(self) -> ServiceKey:
        return self.kept.service

    @property
    def unproved(self) -> bool:
        """Everything has to be seen in force, and not only what changes."""
        return self.doubted or self.confirmed is None

    @property
    def stuck(self) -> bool:
        """What is asked for was refused; nothing more happens until something else is asked for."""
        return self.refused is not None and self.refused.wanted == self.target

    @property
    def pending(self) -> Wanted | None:
        """The wish that is under way."""
        return None if self.settled or self.stuck else self.target

    @property
    def claim(self) -> Claim:
        return Claim(wanted=self.kept.published, clusters=self.clusters)


def prepared(before: tuple[Cluster, ...], target: Wanted | None) -> tuple[Cluster, ...]:
    """Everything that serves now and everything that will: a replica drains only when both sides say so."""
    merged = {cluster.name: cluster for cluster in before}
    for cluster in clusters_of(target) if target is not None else ():
        old = merged.get(cluster.name)
        merged[cluster.name] = cluster if old is None else replace(cluster, endpoints=_union(old, cluster))
    return tuple(merged[name] for name in sorted(merged))


def _union(old: Cluster, new: Cluster) -> tuple[Endpoint, ...]:
    serving = {e.address for e in (*old.endpoints, *new.endpoints) if not e.draining}
    latest = {e.address: e for e in (*old.endpoints, *new.endpoints)}
    return tuple(replace(latest[a], draining=a not in serving) for a in sorted(latest))


def leaving(before: Iterable[Cluster], target: Wanted | None) -> tuple[Cluster, ...]:
    """The replicas that `target` does not name any more, all draining."""
    wanted = {c.name: {e.address for e in c.endpoints} for c in (clusters_of(target) if target else ())}
    found = []
    for cluster in before:
        known = wanted.get(cluster.name, set())
        points = tuple(replace(e, draining=True) for e in cluster.endpoints if e.address not in known)
        if points or cluster.name not in wanted:
            found.append(replace(cluster, endpoints=points))
    return tuple(found)


def settled(target: Wanted | None, leaving: Iterable[Cluster]) -> tuple[Cluster, ...]:
    """What stays once the routes are in force: what is wanted, and what may still be answering."""
    merged = {cluster.name: cluster for cluster in (clusters_of(target) if target is not None else ())}
    for cluster in leaving:
        old = merged.get(cluster.name)
        points = (*(old.endpoints if old else ()), *cluster.endpoints)
        merged[cluster.name] = replace(old or cluster, endpoints=tuple(sorted(points)))
    return tuple(merged[name] for name in sorted(merged))


def undrained(clusters: Iterable[Cluster], leaving: Iterable[Cluster]) -> tuple[Cluster, ...]:
    """The same clusters, but what leaves still serves."""
    pairs = {(c.name, e.address) for c in leaving for e in c.endpoints}
    return tuple(
        replace(
            c,
            endpoints=tuple(
                replace(e, draining=False) if (c.name, e.address) in pairs else e for e in c.endpoints
            ),
        )
        for c in clusters
    )


def routed(wanted: Wanted | None) -> frozenset[str]:
    """Clusters that clients' requests or copies of them may reach."""
    if wanted is None:
        return frozenset()
    targets = [t for route in wanted.routes for t in (*split(wanted, route), *mirrors(wanted, route))]
    return frozenset(target.cluster for target in targets)


def serving(wanted: Wanted | None) -> frozenset[tuple[str, Address]]:
    """(cluster, replica) pairs that may get new requests."""
    if wanted is None:
        return frozenset()
    reached = routed(wanted)
    return frozenset(
        (cluster.name, e.address)
        for cluster in clusters_of(wanted)
        if cluster.name in reached
        for e in cluster.endpoints
        if not e.draining
    )
