"""Clusters in Envoy's words: which replicas there are, how they are asked after, and who is taken out."""

import math
from itertools import groupby

from celadon.domain.goal import Cover, Endpoint
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
        "common_lb_config": {
            "healthy_panic_threshold": {"value": panic_percent(value)},
            "update_merge_window": "0s",
        },
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
    ejection = {**_EJECTION, "max_ejection_percent": ejected_percent_max(value.cover)}
    return {**base, "health_checks": [_health_check(value)], "outlier_detection": ejection}


def panic_percent(value: Cluster) -> int:
    """Below this part of ready replicas Envoy asks all of them, ready or not.

    Somebody must serve: where nobody is ready, a replica that is slow to say so may still answer. With a standby the
    dead would get what the standby answers, and copies are worth no such try.
    """
    return 0 if value.cover.standby or value.use is Use.MIRROR else 1


def ejected_percent_max(cover: Cover) -> int:
    """As many may be out at once as are spare; with a standby, as many as the whole first set has.

    Envoy takes one more out while the part that would be out is not above this, of both sets together.
    """
    out = cover.replicas if cover.standby else cover.spare
    return math.ceil(100 * out / (cover.replicas + cover.standby))


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


CHECK_S = 1.0
"""A replica is asked at least this often, however long a hang may last."""

AGAIN_S = 0.25
"""How soon it is asked again after a failure, at the latest."""

FAILURES = 2
"""One late answer is no hang. A refused connection counts, too; another answer than 2xx takes it out at once."""


def _health_check(value: Cluster) -> Json:
    """A hang is seen within `hang_s`, the worst being that it begins just after an answer.

    That is the interval, then every check but the last with its pause, then the last; the longest timeouts that fit
    into it, since a busy server answers late.
    """
    hang_s = value.cover.hang_s
    interval_s, again_s = min(CHECK_S, 0.2 * hang_s), min(AGAIN_S, 0.1 * hang_s)
    timeout_s = (hang_s - interval_s - (FAILURES - 1) * again_s) / FAILURES
    return {
        "timeout": seconds(timeout_s),
        "interval": seconds(interval_s),
        "no_traffic_interval": seconds(interval_s),
        "no_traffic_healthy_interval": seconds(interval_s),
        "unhealthy_interval": seconds(again_s),
        "unhealthy_edge_interval": seconds(again_s),
        "healthy_threshold": 1,
        "unhealthy_threshold": FAILURES,
        "reuse_connection": False,
        # Without a host Envoy names the cluster, and a server that is strict about host names answers 400.
        "http_health_check": {
            "host": "localhost",
            "path": value.ready,
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
    "always_eject_one_host": False,
    "successful_active_health_check_uneject_host": False,
}
"""Only failures to connect, resets and tries that were given up eject, never answers.

A replica that resets every request may answer every health check, so a check that passes takes nobody back early.

Envoy counts a connection as a success before a reset on it as a failure. So resets never come in a row, and a
replica that resets everything shows half its events as failures: those are judged by their share.
"""


def assignment(value: Cluster) -> Json:
    """Where a cluster's replicas are: by set, and by zone, which Envoy shows and gives no preference."""
    places = groupby(sorted(value.endpoints, key=_place), key=_place)
    found = {place: [_endpoint(point) for point in points] for place, points in places}
    if found and not any(standby == 0 for standby, _ in found):
        found = {(0, ""): [], **found}
    return {
        "cluster_name": value.name,
        "endpoints": [
            {"priority": priority, "locality": {"zone": zone}, "lb_endpoints": points}
            for (priority, zone), points in found.items()
        ],
        "policy": {"overprovisioning_factor": factor(value), **_nothing_new(value)},
    }


def _nothing_new(value: Cluster) -> Json:
    """Where all that there is leaves, nothing new is let in: Envoy would ask them, as nobody else is ready."""
    if not value.endpoints or not all(point.draining for point in value.endpoints):
        return {}
    all_of_it = {"numerator": 100, "denominator": "HUNDRED"}
    return {"drop_overloads": [{"category": "draining", "drop_percentage": all_of_it}]}


def _place(point: Endpoint) -> tuple[int, str]:
    return int(point.standby), point.zone


def factor(value: Cluster) -> int:
    """How much of the load the ready ones of the first set get, percent for a set of which all are ready.

    With `needed` ready ones they get all of it, with fewer their part, and the rest goes to the standby. Envoy
    reckons with the replicas that it knows, and a lost one is soon taken from its list, so they are counted here too.
    """
    known = sum(not point.standby for point in value.endpoints)
    return math.ceil(100 * max(1, known) / value.cover.needed)


def _endpoint(point: Endpoint) -> Json:
    return {
        "endpoint": {"address": address_of(point.address)},
        "health_status": "DRAINING" if point.draining else "UNKNOWN",
    }
