"""Envoy's own view of its hosts, asked over its admin socket: celadon's Envoy and a peer's alike."""

from dataclasses import dataclass
from pathlib import Path

from bench.celadon_home import Json, ask

PREVIEW = "preview/"
"""Clusters of this kind carry no callers and are not asked after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One server behind Envoy. active: requests in flight on it."""

    healthy: bool
    active: int


def hosts(socket: Path) -> dict[int, Host]:
    """By port; a server that is in several clusters is healthy when it is in all, and its requests add up."""
    found: dict[int, Host] = {}
    for cluster in ask(socket, "GET", "/clusters?format=json")["cluster_statuses"]:
        if not cluster["name"].startswith(PREVIEW):
            for status in cluster.get("host_statuses", ()):
                add(found, int(status["address"]["socket_address"]["port_value"]), _host(status))
    return found


def add(to: dict[int, Host], port: int, host: Host) -> None:
    """Two views of one server become one."""
    seen = to.get(port, Host(healthy=True, active=0))
    to[port] = Host(healthy=seen.healthy and host.healthy, active=seen.active + host.active)


def _host(status: Json) -> Host:
    health = status.get("health_status", {})
    ill = [name for name, value in health.items() if name != "eds_health_status" and value is True]
    stats = {stat["name"]: int(stat.get("value", 0)) for stat in status.get("stats", ())}
    return Host(healthy=not ill, active=stats.get("rq_active", 0))


def counter(socket: Path, name: str) -> int:
    """The sum of one counter over all clusters."""
    stats = ask(socket, "GET", f"/stats?format=json&filter={name}%24")["stats"]
    return sum(int(stat["value"]) for stat in stats if stat.get("name", "").startswith("cluster."))
