"""Envoy on its own, with its own defaults: the settings that a person gets who says no more than has to be said."""

import contextlib
import json
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

from bench.envoy_view import Host, counter, hosts
from bench.failover_side import Proxy, Server, Topology
from bench.processes import answers, end, free_port, free_ports, spawn, wait_until

from celadon.traffic.envoy.proxy import find_envoy

API = "type.googleapis.com/envoy"

CHECK = {
    "interval": "2s",
    "timeout": "3s",
    "no_traffic_interval": "4s",
    "no_traffic_healthy_interval": "4s",
    "unhealthy_threshold": 1,
    "healthy_threshold": 1,
    "http_health_check": {"path": "/healthz"},
}
"""Envoy has no default for these. They are those of its own example of priorities, `locality-load-balancing`."""

RETRY = {"retry_on": "reset,connect-failure"}
"""Envoy repeats nothing unasked. Asked for these, it repeats once, 25 ms later at the most."""


def version() -> str:
    said = subprocess.run([str(find_envoy()), "--version"], capture_output=True, text=True, check=True).stdout
    return said.strip().split("/")[1]


class EnvoyDefaults:
    """The same servers at the same two priorities; overprovisioning, panic, ejection and retries are Envoy's own."""

    def __init__(self, folder: Path, topology: Topology, load_s: float) -> None:
        self.port = free_port()
        self._folder = folder
        self._command = topology.command(load_s)
        self._main = topology.main
        self._ports = free_ports(topology.main + topology.standby)
        self._servers: dict[int, subprocess.Popen[bytes]] = {}
        self._envoy: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        for port in self._ports:
            self._serve(port)
        file = self._folder / "envoy.json"
        file.write_text(json.dumps(self._bootstrap()))
        command = [str(find_envoy()), "-c", str(file), "--use-dynamic-base-id", "--concurrency", "1"]
        self._envoy = spawn([*command, "--log-level", "error"], self._folder / "envoy.log")
        wait_until(self.whole, "Envoy sends to every server", deadline_s=60.0, every_s=0.05)

    def servers(self) -> list[Server]:
        return [
            Server(pid=process.pid, port=port, standby=port in self._ports[self._main :])
            for port, process in self._servers.items()
            if process.poll() is None
        ]

    def hosts(self) -> Mapping[int, Host]:
        return hosts(self._socket)

    def proxies(self) -> list[Proxy]:
        return [Proxy(pid=self._envoy.pid, socket=self._socket)] if self._envoy is not None else []

    def mend(self, killed: Collection[int]) -> None:
        """What a machine's init system does for a server that has ended."""
        for port, process in list(self._servers.items()):
            if process.pid in killed:
                process.wait()
                self._serve(port)

    def whole(self) -> bool:
        """Envoy may not have noticed that a server is away, so they are asked themselves as well."""
        if not all(answers(f"http://127.0.0.1:{port}/healthz") for port in self._ports):
            return False
        with contextlib.suppress(OSError):
            seen = self.hosts()
            return all(seen[port].healthy for port in self._ports)
        return False

    def retries(self) -> int:
        return counter(self._socket, "upstream_rq_retry")

    def stop(self) -> None:
        for process in (*([self._envoy] if self._envoy is not None else []), *self._servers.values()):
            end(process)

    def _serve(self, port: int) -> None:
        command = [*self._command, f"-port={port}"]
        self._servers[port] = spawn(command, self._folder / f"{port}.log", env={"GOMAXPROCS": "1"})

    @property
    def _socket(self) -> Path:
        return self._folder / "admin.sock"

    def _bootstrap(self) -> dict[str, object]:
        return {
            "admin": {"address": {"pipe": {"path": str(self._socket)}}},
            "static_resources": {"listeners": [self._listener()], "clusters": [self._cluster()]},
        }

    def _listener(self) -> dict[str, object]:
        route = {"match": {"prefix": "/"}, "route": {"cluster": "servers", "retry_policy": RETRY}}
        router = {
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": f"{API}.extensions.filters.http.router.v3.Router"},
        }
        http = {
            "@type": f"{API}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "callers",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
            "http_filters": [router],
        }
        name = "envoy.filters.network.http_connection_manager"
        return {
            "address": _address(self.port),
            "filter_chains": [{"filters": [{"name": name, "typed_config": http}]}],
        }

    def _cluster(self) -> dict[str, object]:
        groups = (self._ports[: self._main], self._ports[self._main :])
        return {
            "name": "servers",
            "type": "STATIC",
            "health_checks": [CHECK],
            "outlier_detection": {},
            "load_assignment": {
                "cluster_name": "servers",
                "endpoints": [
                    {
                        "priority": priority,
                        "lb_endpoints": [{"endpoint": {"address": _address(port)}} for port in group],
                    }
                    for priority, group in enumerate(groups)
                    if group
                ],
            },
        }


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
