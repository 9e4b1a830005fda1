"""A snapshot in Envoy's own words (xDS v3 as JSON). Pure: the same snapshot gives the same bytes."""

import hashlib
import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, TypeVar

from celadon.domain.goal import Endpoint
from celadon.domain.names import Address
from celadon.domain.spec import RetryWhen
from celadon.traffic.envoy.snapshot import Cluster, Rule, Snapshot, Table, Target

Json = dict[str, Any]
V = TypeVar("V", bound=Hashable)

API = "type.googleapis.com/envoy"
LISTENER = f"{API}.config.listener.v3.Listener"
CLUSTER = f"{API}.config.cluster.v3.Cluster"
ROUTES = f"{API}.config.route.v3.RouteConfiguration"
ENDPOINTS = f"{API}.config.endpoint.v3.ClusterLoadAssignment"

CLUSTERS_FILE = "clusters.json"
LISTENERS_FILE = "listeners.json"
REVISION_HEADER = "x-celadon-revision"

UPSTREAM_IDLE_S = 1.0
"""Shorter than the keep-alive of any server we know, so that no request meets a connection that is just closing."""

BUFFER_BYTES = 20 * 1024 * 1024
"""Bodies up to this can be repeated; the model server takes 16 MiB by default."""

UNLIMITED = 1_000_000
"""Envoy's circuit breakers default to 1,024 requests and 3 retries at once, which would shed load unasked."""

LATENCY_US = (
    *(100, 250, 500),
    *(
        round(base * 10**power)
        for power in (3, 4, 5, 6)
        for base in (1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.3, 8)
    ),
    *(10_000_000, 16_000_000, 25_000_000, 40_000_000, 60_000_000, 120_000_000, 600_000_000),
)
"""Upper bounds of the latency histogram: ten a decade from 1 ms to 10 s, so that a quantile is right within 28 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where Envoy finds its files."""

    xds: PurePath
    access_log: PurePath
    admin_socket: PurePath


def version_of(resources: list[Json]) -> str:
    """Names content: the same resources have the same version for ever."""
    return hashlib.sha256(json.dumps(resources, sort_keys=True).encode()).hexdigest()[:16]


def response(resources: list[Json], version: str) -> str:
    """One file of a filesystem subscription."""
    return json.dumps({"version_info": version, "resources": resources}, indent=1) + "\n"


def routes_file(table: str) -> str:
    return f"routes.{_plain(table)}.json"


def endpoints_file(cluster: str) -> str:
    return f"endpoints.{_plain(cluster)}.json"


def _plain(name: str) -> str:
    return name.replace("/", ".").replace(":", "_").replace("[", "").replace("]", "")


# Listeners


def listener(table: Table, paths: Paths) -> Json:
    """A listener that fetches its routes by itself: routes change without touching connections."""
    rds = {
        "route_config_name": table.name,
        "config_source": _from_file(paths.xds / routes_file(table.name)),
    }
    return _listener(table, {"rds": rds}, str(paths.access_log))


def _listener(table: Table, routes: Json, access_log: str) -> Json:
    return {
        "name": table.name,
        "address": _address(table.address),
        "filter_chains": [{"filters": [_connection_manager(table, routes, access_log)]}],
    }


def _connection_manager(table: Table, routes: Json, access_log: str) -> Json:
    logs = [_access_log(access_log)] if table.preview else [_access_log(access_log), *sample_logs()]
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{API}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "preview" if table.preview else "live",
            **routes,
            "use_remote_address": True,
            "internal_address_config": {"cidr_ranges": [_NOBODY]},
            "normalize_path": True,
            "server_header_transformation": "PASS_THROUGH",
            "generate_request_id": True,
            "preserve_external_request_id": True,
            "always_set_request_id_in_response": True,
            "request_id_extension": {
                "typed_config": {
                    "@type": f"{API}.extensions.request_id.uuid.v3.UuidRequestIdConfig",
                    "pack_trace_reason": False,
                }
            },
            "stream_idle_timeout": "0s",
            "request_headers_timeout": "60s",
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            "access_log": logs,
            "http_filters": [
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {
                        "@type": f"{API}.extensions.filters.http.router.v3.Router",
                        "suppress_envoy_headers": True,
                    },
                }
            ],
        },
    }


_NOBODY: Json = {"address_prefix": "255.255.255.255", "prefix_len": 32}
"""Who may steer Envoy by `x-envoy-` headers. An empty list would mean every private address, loopback too."""


def _access_log(path: str) -> Json:
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": f"{API}.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": {
                "json_format": {
                    "at": "%START_TIME(%s.%3f)%",
                    "id": "%REQ(X-REQUEST-ID)%",
                    "cluster": "%UPSTREAM_CLUSTER_RAW%",
                    "status": "%RESPONSE_CODE%",
                    "ms": "%DURATION%",
                    "flags": "%RESPONSE_FLAGS%",
                    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
                }
            },
        },
    }


def sample_logs() -> list[Json]:
    """Counters with one tick per client's request, whatever was repeated in between.

    Envoy's cluster counters tick per attempt and leave out answers that broke off; these tick when a request
    ends, under the revision that answered it last.
    """
    tags = [{"name": "cluster", "value_format": "%UPSTREAM_CLUSTER_RAW%"}]
    counter = {"value_fixed": 1}
    latency = {
        "stat": {"name": "latency", "tags": tags},
        "unit": "Microseconds",
        "value_format": "%COMMON_DURATION(DS_RX_END:US_RX_END:us)%",
    }
    return [
        _stats(
            {"counters": [{"stat": {"name": "requests", "tags": tags}, **counter}]}, _or(_ANSWERED, _GAVE_UP)
        ),
        _stats(
            {"counters": [{"stat": {"name": "errors", "tags": tags}, **counter}]},
            _or(_BAD, _BROKEN, _GAVE_UP),
        ),
        _stats({"histograms": [latency]}, _ANSWERED),
    ]


def _stats(what: Json, when: Json) -> Json:
    kind = f"{API}.extensions.access_loggers.stats.v3.Config"
    return {
        "name": "envoy.access_loggers.stats",
        "filter": when,
        "typed_config": {"@type": kind, "stats_scope": {"prefix": "celadon"}, **what},
    }


def _or(*filters: Json) -> Json:
    return {"or_filter": {"filters": list(filters)}}


def _status(op: str, status: int) -> Json:
    value = {"default_value": status, "runtime_key": f"celadon.status_{status}"}
    return {"status_code_filter": {"comparison": {"op": op, "value": value}}}


def _flags(*flags: str) -> Json:
    return {"response_flag_filter": {"flags": list(flags)}}


GIVEN_UP_MS = 1000
"""A client that leaves sooner than this without an answer has changed its mind; later, it got none."""

_ANSWERED = _status("GE", 100)
_BAD = _status("GE", 500)
_BROKEN = _flags("UF", "UC", "LR", "UR", "UPE", "UT", "SI", "UMSDR")
_GAVE_UP = {
    "and_filter": {
        "filters": [
            _flags("DC"),
            _status("LE", 99),
            {
                "duration_filter": {
                    "comparison": {
                        "op": "GE",
                        "value": {"default_value": GIVEN_UP_MS, "runtime_key": "celadon.given_up_ms"},
                    }
                }
            },
        ]
    }
}


# Routes


def route_table(table: Table) -> Json:
    """Virtual hosts of one listener. A request that matches no service gets 404, a preview of nothing 503."""
    hostnames = sorted({h.lower() for rule in table.rules for h in rule.hostnames}) or ["*"]
    return {
        "name": table.name,
        "validate_clusters": True,
        "ignore_port_in_host_matching": True,
        "virtual_hosts": [
            {"name": hostname, "domains": [hostname], "routes": _routes(table, hostname)}
            for hostname in hostnames
        ],
    }


def _routes(table: Table, hostname: str) -> list[Json]:
    """The more specific hostname first, then the longer prefix, then the order that the service gave."""
    if table.preview and not table.rules:
        nothing = {"status": 503, "body": {"inline_string": "no revision is being previewed\n"}}
        return [{"match": {"prefix": "/"}, "direct_response": nothing}]
    ranked = [
        (rank, -len(rule.prefix), order, rule)
        for order, rule in enumerate(table.rules)
        if (rank := _closeness(rule, hostname)) is not None
    ]
    return [_route(rule) for *_, rule in sorted(ranked, key=lambda r: r[:3])]


def _closeness(rule: Rule, hostname: str) -> int | None:
    """0 for the very hostname, more for wider patterns, None when the rule is not for it at all."""
    covering = [h for h in map(str.lower, rule.hostnames) if _covers(h, hostname)]
    return min((0 if h == hostname else 1000 - len(h) for h in covering), default=None)


def _covers(pattern: str, hostname: str) -> bool:
    return pattern in {hostname, "*"} or (pattern.startswith("*") and hostname.endswith(pattern[1:]))


def _route(rule: Rule) -> Json:
    action: Json = {
        "weighted_clusters": {"clusters": [_weighted(target) for target in rule.split]},
        "timeout": _seconds(rule.timeout_s or 0),
        "idle_timeout": "0s",
    }
    if rule.mirrors:
        action["request_mirror_policies"] = [_mirror(target) for target in rule.mirrors]
    if rule.retry.when is not RetryWhen.NEVER and rule.retry.attempts > 0:
        action["retry_policy"] = _retry(rule)
    route: Json = {"match": _match(rule), "route": action}
    if rule.retry.when is RetryWhen.RESET:
        route["request_body_buffer_limit"] = BUFFER_BYTES
    return route


def _match(rule: Rule) -> Json:
    prefix = rule.prefix.rstrip("/")
    match: Json = {"path_separated_prefix": prefix} if prefix else {"prefix": "/"}
    headers = [{"name": name, "string_match": {"exact": value}} for name, value in rule.match.headers]
    return {**match, "headers": headers} if headers else match


def _weighted(target: Target) -> Json:
    return {
        "name": target.cluster,
        "weight": target.share,
        "response_headers_to_add": [
            {
                "header": {"key": REVISION_HEADER, "value": target.revision},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ],
    }


def _mirror(target: Target) -> Json:
    share = {"numerator": target.share, "denominator": "TEN_THOUSAND"}
    return {
        "cluster": target.cluster,
        "runtime_fraction": {"default_value": share},
        "disable_shadow_host_suffix_append": True,
    }


def _retry(rule: Rule) -> Json:
    nothing_sent = "connect-failure,refused-stream,reset-before-request"
    return {
        "retry_on": f"{nothing_sent},reset" if rule.retry.when is RetryWhen.RESET else nothing_sent,
        "num_retries": rule.retry.attempts,
        "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.1s"},
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": f"{API}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        "host_selection_retry_max_attempts": 5,
    }


# Clusters


def cluster(value: Cluster, paths: Paths) -> Json:
    """A cluster that learns of its replicas by itself."""
    source = {
        "type": "EDS",
        "eds_cluster_config": {
            "service_name": value.name,
            "eds_config": _from_file(paths.xds / endpoints_file(value.name)),
        },
    }
    return _cluster(value, source)


def _cluster(value: Cluster, source: Json) -> Json:
    base: Json = {
        "name": value.name,
        **source,
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "ignore_health_on_host_removal": True,
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": UNLIMITED,
                    "max_pending_requests": UNLIMITED,
                    "max_requests": UNLIMITED,
                    "max_retries": UNLIMITED,
                }
            ]
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{API}.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": _seconds(UPSTREAM_IDLE_S)},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }
    if value.ready is None:
        return base
    return {**base, "health_checks": [_health_check(value.ready)], "outlier_detection": _EJECTION}


def _health_check(path: str) -> Json:
    return {
        "timeout": "2s",
        "interval": "1s",
        "no_traffic_interval": "1s",
        "no_traffic_healthy_interval": "1s",
        "unhealthy_interval": "0.25s",
        "unhealthy_edge_interval": "0.25s",
        "healthy_threshold": 1,
        "unhealthy_threshold": 3,
        "reuse_connection": False,
        # Without a host Envoy names the cluster, and a server that is strict about host names answers 400.
        "http_health_check": {
            "host": "localhost",
            "path": path,
            "expected_statuses": [{"start": 200, "end": 300}],
        },
    }


_EJECTION: Json = {
    "split_external_local_origin_errors": True,
    "consecutive_local_origin_failure": 3,
    "enforcing_consecutive_local_origin_failure": 100,
    "enforcing_local_origin_success_rate": 0,
    "enforcing_consecutive_5xx": 0,
    "enforcing_consecutive_gateway_failure": 0,
    "enforcing_success_rate": 0,
    "enforcing_failure_percentage": 0,
    "enforcing_failure_percentage_local_origin": 100,
    "failure_percentage_threshold": 40,
    "failure_percentage_minimum_hosts": 2,
    "failure_percentage_request_volume": 5,
    "interval": "0.5s",
    "base_ejection_time": "1s",
    "max_ejection_time": "5s",
    "max_ejection_percent": 50,
    "always_eject_one_host": False,
}
"""Only failures to connect and resets eject, never answers; half of one host is none, so a lone one stays.

Envoy counts a connection as a success before a reset on it as a failure. So resets never come in a row, and a
replica that resets everything shows half its events as failures: those are judged by their share.
"""


def assignment(value: Cluster) -> Json:
    """Where a cluster's replicas are."""
    points = [_endpoint(point) for point in value.endpoints]
    return {"cluster_name": value.name, "endpoints": [{"lb_endpoints": points}] if points else []}


def _endpoint(point: Endpoint) -> Json:
    return {
        "endpoint": {"address": _address(point.address)},
        "health_status": "DRAINING" if point.draining else "UNKNOWN",
    }


# Whole files


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
            file=LISTENERS_FILE,
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
            "cds_config": _from_file(paths.xds / CLUSTERS_FILE),
            "lds_config": _from_file(paths.xds / LISTENERS_FILE),
        },
        **_statistics(),
    }


def static(snapshot: Snapshot, access_log: str) -> Json:
    """The same as one file without any subscription: what `--mode validate` can prove and a person can run."""
    return {
        "node": {"id": "celadon", "cluster": "celadon"},
        "static_resources": {
            "listeners": [
                _listener(table, {"route_config": route_table(table)}, access_log)
                for table in snapshot.tables
            ],
            "clusters": [
                _cluster(value, {"type": "STATIC", "load_assignment": assignment(value)})
                for value in snapshot.clusters
            ],
        },
        **_statistics(),
    }


def _statistics() -> Json:
    settings = {"match": {"prefix": "celadon.latency"}, "buckets": list(LATENCY_US)}
    return {"stats_flush_interval": "0.5s", "stats_config": {"histogram_bucket_settings": [settings]}}


def _from_file(path: PurePath) -> Json:
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def _address(address: Address) -> Json:
    return {"socket_address": {"address": address.host, "port_value": address.port}}


def _seconds(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".") + "s"
