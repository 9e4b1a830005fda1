"""Envoy's admin interface: the only witness of what is in force."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from celadon.domain.names import Address
from celadon.domain.problem import TransientFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One replica as a cluster sees it. requests: ever sent; active: in flight or waiting for a connection.

    pending: its first health check has not ended yet, so that nothing is known of it.
    """

    healthy: bool
    pending: bool = False
    draining: bool
    active: int
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOnes:
    """What clients have open: connections, and requests that are in flight on them."""

    connections: int
    requests: int


View = Mapping[str, Mapping[Address, Host]]
"""Hosts by cluster name. A cluster that is still warming is not there at all."""


class Admin:
    """Requests over the socket in the home folder, on connections that are kept."""

    def __init__(self, socket: Path) -> None:
        self._client = httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(uds=str(socket)), base_url="http://envoy", timeout=5.0
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def routes_version(self, table: str) -> str | None:
        """Which version of a listener's routes is in force."""
        query = (
            f"/config_dump?resource=dynamic_route_configs&mask=version_info&name_regex={_exactly([table])}"
        )
        configs = (await self._json(query)).get("configs", [])
        return str(configs[0].get("version_info")) if configs else None

    async def versions(self) -> Mapping[str, str]:
        """Versions in force by the name of their subscription, such as `cluster_manager.cds`."""
        found = await self._json("/stats?format=json&type=TextReadouts&filter=version_text%24")
        stats = (s for s in found.get("stats", ()) if "name" in s)
        return {s["name"].removesuffix(".version_text"): str(s["value"]) for s in stats}

    async def listeners(self) -> frozenset[str]:
        """The names of the listeners that accept connections."""
        found = await self._json(
            "/config_dump?resource=dynamic_listeners&mask=name,active_state.version_info"
        )
        return frozenset(str(c["name"]) for c in found.get("configs", ()) if "active_state" in c)

    async def rejections(self) -> Mapping[str, int]:
        """How often each subscription was rejected or could not be read, since Envoy started."""
        found = await self._json("/stats?format=json&usedonly&filter=update_(rejected%7Cfailure)%24")
        return {s["name"]: int(s["value"]) for s in found.get("stats", ()) if "name" in s}

    async def view(self, clusters: Iterable[str] | None = None) -> View:
        """The hosts of all clusters, or of those named."""
        only = f"&filter={_exactly(clusters)}" if clusters is not None else ""
        found = await self._json(f"/clusters?format=json{only}")
        return {
            status["name"]: dict(map(_host, status.get("host_statuses", ())))
            for status in found.get("cluster_statuses", ())
        }

    async def samples(self, *, whole: bool = False) -> Mapping[str, Any]:
        """Our own counters and histograms, how often a body was too large to be repeated, and what became of copies.

        whole: also those that are not in use, which takes Envoy far longer.
        """
        copies = "-mirror%5C.(internal%5C.upstream_rq_(completed%7C5xx)%7Cupstream_rq_pending_overflow)%24"
        names = f"%5Eceladon%5C.%7Cretry_or_shadow_abandoned%24%7C{copies}"
        which = "" if whole else "&usedonly"
        return await self._json(f"/stats?format=json{which}&histogram_buckets=cumulative&filter={names}")

    async def reopen_logs(self) -> None:
        await self._ask("POST", "/reopen_logs")

    async def stop_listening(self) -> None:
        """For good. Clients whose connections stay are told with their next answer to make new ones."""
        await self._ask("POST", "/drain_listeners?graceful")
        await self._ask("POST", "/drain_listeners")

    async def open_ones(self) -> OpenOnes:
        filter_ = "%5Ehttp%5C.(live%7Cpreview)%5C.downstream_(cx%7Crq)_active%24"
        found = await self._json(f"/stats?format=json&filter={filter_}")
        counts = {s["name"]: int(s["value"]) for s in found.get("stats", ()) if "name" in s}
        return OpenOnes(
            connections=sum(count for name, count in counts.items() if name.endswith("cx_active")),
            requests=sum(count for name, count in counts.items() if name.endswith("rq_active")),
        )

    async def _json(self, path: str) -> dict[str, Any]:
        found = json.loads(await self._ask("GET", path) or "{}")
        assert isinstance(found, dict), path
        return found

    async def _ask(self, method: str, path: str) -> bytes:
        try:
            answer = await self._client.request(method, path)
        except httpx2.HTTPError as error:
            why = f"Envoy does not answer on its admin interface: {type(error).__name__}"
            raise TransientFault(why, retry_s=0.05) from error
        if answer.status_code != 200:
            raise TransientFault(f"Envoy answered {answer.status_code} to {path}", retry_s=0.5)
        return answer.content


def _exactly(names: Iterable[str]) -> str:
    alternatives = "|".join(re.escape(name).replace("\\/", "/") for name in sorted(names))
    return (
        f"%5E({alternatives})%24".replace("|", "%7C")
        .replace("\\", "%5C")
        .replace("[", "%5B")
        .replace("]", "%5D")
    )


def _host(status: Mapping[str, Any]) -> tuple[Address, Host]:
    where = status["address"]["socket_address"]
    stats = {s["name"]: int(s.get("value", 0)) for s in status.get("stats", ())}
    health = status.get("health_status", {})
    draining = health.get("eds_health_status") == "DRAINING"
    ill = {name for name, value in health.items() if name != "eds_health_status" and value is True}
    return Address(host=where["address"], port=where["port_value"]), Host(
        healthy=not draining and not ill,
        pending="pending_active_hc" in ill,
        draining=draining,
        active=stats.get("rq_active", 0) + stats.get("rq_pending_active", 0),
        requests=stats.get("rq_total", 0),
    )
