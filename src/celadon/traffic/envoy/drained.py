"""Which replicas get nothing new, and which of them have nothing in flight: by what was seen, and what is wanted of them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from celadon.domain.names import Address, ServiceKey
from celadon.traffic.envoy.drain import DrainWatch
from celadon.traffic.envoy.track import Track, serving


@dataclass(slots=True)
class Drained:
    """tracks: of all services. clock: wall time in Unix seconds."""

    tracks: Mapping[ServiceKey, Track]
    clock: Callable[[], float]
    watch: DrainWatch = field(default_factory=DrainWatch)
    _unrouted: dict[ServiceKey, Mapping[Address, float]] = field(default_factory=dict)

    def unrouted(self, service: ServiceKey) -> Mapping[Address, float]:
        """Since when each replica gets no new requests, as of the last look."""
        return self._unrouted.get(service, {})

    def look(self, track: Track) -> None:
        """Takes in that something of this service may have moved."""
        self._unrouted[track.service] = self._since_unrouted(track)

    def of(self, track: Track) -> frozenset[Address]:
        """Nothing is drained before the routes that leave it out are known to be in force."""
        if not _seen_in_force(track):
            return frozenset()
        busy = _reached(track)
        pairs = _callers_replicas(track)
        busy |= {address for name, address in pairs if not self.watch.quiet(name, address)}
        return frozenset({address for _, address in pairs} | set(track.kept.gone)) - busy

    def _since_unrouted(self, track: Track) -> Mapping[Address, float]:
        """Since when each known replica gets no new requests; while the route is in doubt, since none."""
        before = self.unrouted(track.service)
        idle = {address for _, address in _callers_replicas(track)} - _reached(track)
        if not _seen_in_force(track):
            return {**dict.fromkeys(idle, math.inf), **before}
        return {address: min(before.get(address, math.inf), self.clock()) for address in idle}

    def open_ones(self) -> frozenset[str]:
        """Clusters of which somebody may be waiting for a replica to become idle."""
        return frozenset(
            cluster.name
            for track in self.tracks.values()
            for cluster in track.clusters
            for endpoint in cluster.endpoints
            if (cluster.name, endpoint.address) not in serving(track.confirmed)
            and not self.watch.quiet(cluster.name, endpoint.address)
            and not cluster.preview
        )

    def idle(self, track: Track) -> frozenset[tuple[str, Address]]:
        """Replicas taken out that have nothing in flight, and so can go for good."""
        leaving = [(c.name, e.address) for c in track.kept.leaving for e in c.endpoints]
        return frozenset(pair for pair in leaving if self.watch.quiet(*pair))

    def untidy(self, track: Track) -> bool:
        return bool(self.idle(track)) or any(not cluster.endpoints for cluster in track.kept.leaving)


def _seen_in_force(track: Track) -> bool:
    return track.confirmed is not None or (track.settled and track.target is None)


def _reached(track: Track) -> set[Address]:
    """Replicas that some wish gives requests to: what is in force, what is written, what is wanted."""
    wishes = (track.confirmed, track.kept.published, track.target)
    return {address for wanted in wishes for _, address in serving(wanted)}


def _callers_replicas(track: Track) -> list[tuple[str, Address]]:
    """(cluster, replica) of everything that callers might reach; the preview's own clusters left out."""
    return [(c.name, e.address) for c in track.clusters if not c.preview for e in c.endpoints]
