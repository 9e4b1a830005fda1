"""Listeners in Envoy's words: where clients come in, and what every connection is held to."""

from celadon.traffic.envoy.counting import sample_logs
from celadon.traffic.envoy.log import request_log
from celadon.traffic.envoy.matches import cookie_reader
from celadon.traffic.envoy.snapshot import Table
from celadon.traffic.envoy.words import API, Json, Paths, address_of, from_file, routes_file


def listener(table: Table, paths: Paths) -> Json:
    """A listener that fetches its routes by itself: routes change without touching connections."""
    rds = {
        "route_config_name": table.name,
        "config_source": from_file(paths.xds / routes_file(table.name)),
    }
    return listener_with(table, {"rds": rds}, str(paths.access_log))


def listener_with(table: Table, routes: Json, access_log: str) -> Json:
    return {
        "name": table.name,
        "address": address_of(table.address),
        "filter_chains": [{"filters": [_connection_manager(table, routes, access_log)]}],
    }


def _connection_manager(table: Table, routes: Json, access_log: str) -> Json:
    logs = [request_log(access_log)] if table.preview else [request_log(access_log), *sample_logs()]
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
                cookie_reader(),
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {
                        "@type": f"{API}.extensions.filters.http.router.v3.Router",
                        "suppress_envoy_headers": True,
                    },
                },
            ],
        },
    }


_NOBODY: Json = {"address_prefix": "255.255.255.255", "prefix_len": 32}
"""Who may steer Envoy by `x-envoy-` headers. An empty list would mean every private address, loopback too."""
