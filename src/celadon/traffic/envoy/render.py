"""A snapshot in Envoy's own words (xDS v3 as JSON). Pure: the same snapshot gives the same bytes."""

import hashlib
import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import TypeVar

from celadon.traffic.envoy.clusters import assignment, cluster, cluster_with
from celadon.traffic.envoy.counting import LATENCY_US
from celadon.traffic.envoy.listeners import listener, listener_with
from celadon.traffic.envoy.routes import route_table
from celadon.traffic.envoy.snapshot import Snapshot
from celadon.traffic.envoy.stats import FORGETS_S
from celadon.traffic.envoy.words import API, Json, Paths, endpoints_file, from_file, routes_file

V = TypeVar("V", bound=Hashable)

LISTENER = f"{API}.config.listener.v3.Listener"
CLUSTER = f"{API}.config.cluster.v3.Cluster"
ROUTES = f"{API}.config.route.v3.RouteConfiguration"
ENDPOINTS = f"{API}.config.endpoint.v3.ClusterLoadAssignment"

CLUSTERS_FILE = "clusters.json"


def version_of(resources: list[Json]) -> str:
    """Names content: the same resources have the same version for ever."""
    return hashlib.sha256(json.dumps(resources, sort_keys=True).encode()).hexdigest()[:16]


def response(resources: list[Json], version: str) -> str:
    """One file of a filesystem subscription."""
    return json.dumps({"version_info": version, "resources": resources}, indent=1) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One xDS file: what it depends on, and how it is made. Equal values make equal files."""

    file: str
    value: Hashable
    make: Callable[[], list[Json]]


def parts(snapshot: Snapshot, paths: Paths) -> list[Part]:
    """All files, in the order in which they have to be written: what others name comes first."""
    clusters = [replace(value, endpoints=()) for value in snapshot.clusters]
    listeners = [replace(table, rules=()) for table in snapshot.tables]
    return [
        *(_part(endpoints_file(c.name), c, ENDPOINTS, assignment) for c in snapshot.clusters),
        Part(
            file=CLUSTERS_FILE,
            value=tuple(clusters),
            make=lambda: [{"@type": CLUSTER, **cluster(value, paths)} for value in clusters],
        ),
        *(_part(routes_file(t.name), t, ROUTES, route_table) for t in snapshot.tables),
        Part(
            file=paths.listeners_file,
            value=tuple(listeners),
            make=lambda: [{"@type": LISTENER, **listener(table, paths)} for table in listeners],
        ),
    ]


def _part(file: str, value: V, kind: str, make: Callable[[V], Json]) -> Part:
    return Part(file=file, value=value, make=lambda: [{"@type": kind, **make(value)}])


def bootstrap(paths: Paths) -> Json:
    """What Envoy is started with; everything else comes from files."""
    return {
        "node": {"id": "celadon", "cluster": "celadon"},
        "admin": {"address": {"pipe": {"path": str(paths.admin_socket), "mode": 0o600}}},
        "dynamic_resources": {
            "cds_config": from_file(paths.xds / CLUSTERS_FILE),
            "lds_config": from_file(paths.xds / paths.listeners_file),
        },
        **_settings(),
    }


def static(snapshot: Snapshot, access_log: str) -> Json:
    """The same as one file without any subscription: what `--mode validate` can prove and a person can run."""
    return {
        "node": {"id": "celadon", "cluster": "celadon"},
        "static_resources": {
            "listeners": [
                listener_with(table, {"route_config": route_table(table)}, access_log)
                for table in snapshot.tables
            ],
            "clusters": [
                cluster_with(value, {"type": "STATIC", "load_assignment": assignment(value)})
                for value in snapshot.clusters
            ],
        },
        **_settings(),
    }


PATTERN_MAX = 100_000
"""How large a compiled pattern may be. Envoy's own 100 would not do for a cookie, nor for a dozen values of a header."""


def _settings() -> Json:
    buckets = {"match": {"prefix": "celadon.latency"}, "buckets": list(LATENCY_US)}
    patterns = {"name": "celadon", "static_layer": {"re2.max_program_size.error_level": PATTERN_MAX}}
    return {
        "stats_flush_interval": "0.5s",
        "stats_eviction_interval": f"{FORGETS_S}s",
        "stats_config": {"histogram_bucket_settings": [buckets]},
        "layered_runtime": {"layers": [patterns]},
    }
