"""Clusters in Envoy's words: which replicas there are, how they are asked after, and who is taken out."""

from celadon.domain.goal import Endpoint
from celadon.traffic.envoy.snapshot import Cluster, Use
from celadon.traffic.envoy.words import API, Json, Paths, address_of, endpoints_file, from_file, seconds

UPSTREAM_IDLE_S = 1.0
"""Shorter than the keep-alive of any server we know, so that no request meets a connection that is just closing."""

UNLIMITED = 1_000_000
"""Envoy's circuit breakers default to 1,024 requests and 3 retries at once, which would shed load unasked."""

COPIES_MAX = 256
"""So many copies may be at one revision at once. A replica that hangs keeps those and no more."""

COPIES_WAITING_MAX = 64
"""So many may wait for a connection, with up to a mebibyte of their bodies each."""


def cluster(value: Cluster, paths: Paths) -> Json:
    """A cluster that learns of its replicas by itself."""
    source = {
        "type": "EDS",
        "eds_cluster_config": {
            "service_name": value.name,
            "eds_config": from_file(paths.xds / endpoints_file(value.name)),
        },
    }
    return cluster_with(value, source)


def cluster_with(value: Cluster, source: Json) -> Json:
    base: Json = {
        "name": value.name,
        **source,
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        # By default the threads that route learn up to a second later than the admin interface that a replica is
        # healthy, and a switch in that second would meet nobody.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}, "update_merge_window": "0s"},
        "ignore_health_on_host_removal": True,
        "circuit_breakers": {"thresholds": [_COPIES if value.use is Use.MIRROR else _CALLERS]},
        "close_connections_on_host_health_failure": value.use is Use.MIRROR,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{API}.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": seconds(UPSTREAM_IDLE_S)},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }
    if value.ready is None:
        return base
    return {**base, "health_checks": [_health_check(value.ready)], "outlier_detection": _EJECTION}


_CALLERS: Json = {
    "max_connections": UNLIMITED,
    "max_pending_requests": UNLIMITED,
    "max_requests": UNLIMITED,
    "max_retries": UNLIMITED,
}

_COPIES: Json = {
    "max_connections": COPIES_MAX,
    "max_pending_requests": COPIES_WAITING_MAX,
    "max_requests": COPIES_MAX,
    "max_retries": 0,
}


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
        "endpoint": {"address": address_of(point.address)},
        "health_status": "DRAINING" if point.draining else "UNKNOWN",
    }
