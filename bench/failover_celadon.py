"""celadon in `bench.failover`: one service of several replicas, kept by a real daemon behind its real Envoy."""

import contextlib
import json
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from bench.celadon_home import LOOK_S, CeladonHome, Json, document
from bench.envoy_view import Host, add, counter, hosts
from bench.failover_side import Proxy, Server, Topology
from bench.processes import free_ports, wait_until

SERVICE = "bench"

HANG_S = 0.8
"""How long a replica may be deaf before it gets no more requests."""

PER_TRY_S = 0.5
"""How long a request may wait for one replica: many times what an answer takes, and less than what callers bear."""


class CeladonFleet:
    """As a person would set it up whose requests may be repeated: replicas, `retry`, and what may be lost.

    options: words for `celadon up`.
    """

    def __init__(
        self, folder: Path, topology: Topology, load_s: float, options: tuple[str, ...] = ()
    ) -> None:
        self.port, self._preview_port = free_ports(2)
        self.home = CeladonHome(folder)
        self._topology = topology
        self._load_s = load_s
        self._options = options

    def start(self) -> None:
        self.home.start(*self._options)
        self.home.until_ended(SERVICE, self.home.deploy(self._document())[0])
        wait_until(self.whole, "every replica gets requests", deadline_s=60.0, every_s=LOOK_S)

    def servers(self) -> list[Server]:
        return [
            Server(
                pid=one["pid"],
                port=int(one["address"].rpartition(":")[2]),
                standby=one["arm"] == "standby",
                exits=one["exits"],
            )
            for one in self._replicas()
            if one["state"] == "ready"
        ]

    def hosts(self) -> Mapping[int, Host]:
        found: dict[int, Host] = {}
        for proxy in self.proxies():
            for port, host in hosts(proxy.socket).items():
                add(found, port, host)
        return found

    def proxies(self) -> list[Proxy]:
        """Each has a folder of its own, in which its launcher says who it is."""
        return [
            Proxy(pid=json.loads((socket.parent / "envoy.lock").read_text())["pid"], socket=socket)
            for socket in sorted((self.home.path / "envoy").rglob("admin.sock"))
        ]

    def mend(self, killed: Collection[int]) -> None:
        """celadon does so by itself."""

    def whole(self) -> bool:
        """An Envoy that is just starting does not answer, and the file that says who it is may be half written."""
        with contextlib.suppress(OSError, ValueError):
            running, seen = self.servers(), self.hosts()
            ports = {server.port for server in running}
            return len(running) == self._wanted() and all(
                port in seen and seen[port].healthy for port in ports
            )
        return False

    def retries(self) -> int:
        return sum(counter(proxy.socket, "upstream_rq_retry") for proxy in self.proxies())

    def lose_daemon(self) -> float:
        """Kills the daemon, starts one at once, and returns the seconds until it had answered and ticked."""
        self.home.kill_daemon()
        began, began_at = time.monotonic(), time.time()
        self.home.revive(*self._options)
        wait_until(lambda: self._ticked_since(began_at), "the daemon ticks again", every_s=LOOK_S)
        return time.monotonic() - began

    def stop(self) -> None:
        self.home.stop()

    def _document(self) -> Json:
        plain = document(
            SERVICE,
            self._topology.backends,
            "server",
            ports=(self.port, self._preview_port),
            gate=False,
            watch_s=0.2,
            hold_s=1.0,
        )
        more = {
            "command": [*self._topology.command(self._load_s), "-port={port}"],
            "replicas": self._topology.main,
            "redundancy": {
                "zones": ["a", "b"],
                "standby": self._topology.standby,
                "hangSeconds": HANG_S,
            },
        }
        plain["spec"] |= more
        plain["spec"]["route"]["retry"] = {"when": "reset", "perTrySeconds": PER_TRY_S}
        return plain

    def _wanted(self) -> int:
        return self._topology.main + self._topology.standby

    def _replicas(self) -> list[Json]:
        return [one for revision in self.home.view(SERVICE)["revisions"] for one in revision["replicas"]]

    def _ticked_since(self, wall_s: float) -> bool:
        with contextlib.suppress(OSError):
            view = self.home.view(SERVICE)
            return bool(view["at"] > wall_s and view["route"]["confirmed"] and view["state"] == "live")
        return False
