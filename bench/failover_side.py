"""What can be killed in `bench.failover`, and what one killing leaves behind."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.backends import BackendSettings, server_command
from bench.envoy_view import Host


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Servers of the first priority, and those behind them that get nothing while the first serve."""

    backends: BackendSettings
    main: int
    standby: int

    def command(self, load_s: float) -> list[str]:
        """Without its port. load_s: how long it stays away when it is started, as one that reads its model."""
        return [*server_command(self.backends, "server"), f"-load-ms={load_s * 1000:.0f}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One running server."""

    pid: int
    port: int
    standby: bool
    exits: int = 0
    """How often it was killed before, as far as its keeper still remembers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """One running Envoy. socket: its admin interface."""

    pid: int
    socket: Path


class Fleet(Protocol):
    """Servers behind an Envoy of which something can be killed. All it starts inherits the core of its caller."""

    @property
    def port(self) -> int:
        """Where callers are served."""

    def start(self) -> None:
        """Returns when it is whole."""

    def servers(self) -> list[Server]:
        """Those that run now."""

    def hosts(self) -> Mapping[int, Host]:
        """Envoy's view by port; where two Envoys serve, of both together."""

    def proxies(self) -> list[Proxy]:
        """Every Envoy."""

    def mend(self, killed: Collection[int]) -> None:
        """Begins to start again the processes that were killed, where nobody else does that."""

    def whole(self) -> bool:
        """Whether every server runs and Envoy sends requests to it."""

    def retries(self) -> int:
        """Requests that Envoy has sent again, since it started."""

    def stop(self) -> None:
        """Ends everything that was started; safe to call whatever happened before."""


Make = Callable[[Path, Topology, float], Fleet]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One killing, by the monotonic clock.

    at_ns: just before the first signal. steady_ns: everything was whole again, and had been for a moment.
    in_flight: requests on the victim just before, by Envoy's own count; the least where there are several victims.
    repeated: requests that Envoy sent again meanwhile. back_s: how long a daemon was away, 0 where none was killed.
    """

    kind: str
    at_ns: int
    steady_ns: int
    in_flight: int
    repeated: int
    back_s: float = 0.0
