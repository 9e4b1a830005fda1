"""A change counts when the admin interface shows it, and was refused when Envoy says so."""

import asyncio
import itertools
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from celadon.domain.problem import TransientFault
from celadon.traffic.envoy.admin import Admin
from celadon.traffic.envoy.files import XdsFolder
from celadon.traffic.envoy.proof import reason
from celadon.traffic.envoy.proxy import Proxy
from celadon.traffic.envoy.render import CLUSTERS_FILE, LISTENERS_FILE
from celadon.traffic.envoy.words import endpoints_file, routes_file

CONFIRM_S = 5.0
SUSPICION_S = 0.05
"""Envoy takes a file in 2 to 17 ms; later than this we ask whether it was refused."""


class RejectedError(Exception):
    """Envoy, or a check that speaks for it, does not accept a wish."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What has to be seen: names of tables whose routes, and of clusters whose replicas, are to be in force."""

    tables: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    clusters_file: bool = False
    listeners: tuple[str, ...] = ()
    listeners_file: bool = False

    @property
    def structural(self) -> bool:
        """Takes longer to ask for than a change of routes, and is in less of a hurry."""
        return bool(self.clusters or self.clusters_file or self.listeners_file)


@dataclass(slots=True)
class Confirmer:
    admin: Admin
    proxy: Proxy
    xds: XdsFolder
    _refused: dict[str, int] = field(default_factory=dict)

    def forget(self) -> None:
        """Envoy's counters begin anew when it does."""
        self._refused.clear()

    async def await_force(self, change: Change, log_from: int) -> None:
        """Returns when all of it is in force. Raises RejectedError with Envoy's reason, TransientFault after 5 s."""
        began = time.monotonic()
        for pause_s in pauses() if not change.structural else itertools.repeat(0.01):
            if await self._in_force(change):
                return
            waited = time.monotonic() - began
            if waited > SUSPICION_S:
                await self._raise_if_refused(change, log_from)
            if waited > CONFIRM_S:
                raise TransientFault(
                    f"Envoy has not confirmed a change within {CONFIRM_S:.0f} s", retry_s=0.5
                )
            await asyncio.sleep(pause_s)

    async def _in_force(self, change: Change) -> bool:
        """The structure first; the routes last, by the one narrow question that a mere switch needs."""
        if change.structural:
            seen = await self.admin.versions()
            asked = dict(_subscriptions(change))
            if any(seen.get(name) != self.xds.versions.get(file) for name, file in asked.items()):
                return False
        if change.listeners and not set(change.listeners) <= await self.admin.listeners():
            return False
        for table in change.tables:
            if await self.admin.routes_version(table) != self.xds.versions.get(routes_file(table)):
                return False
        return True

    async def _raise_if_refused(self, change: Change, log_from: int) -> None:
        counts = await self.admin.rejections()
        ours = {_counted(name) for name, _ in _subscriptions(change)} | {
            f".rds.{_counted(t)}" for t in change.tables
        }
        moved = [
            name
            for name, count in counts.items()
            if count > self._refused.get(name, 0) and any(name.rpartition(".")[0].endswith(o) for o in ours)
        ]
        if not moved:
            return
        self._refused.update({name: counts[name] for name in moved})
        raise RejectedError(reason(self.proxy.log_since(log_from)))


def _subscriptions(change: Change) -> Iterator[tuple[str, str]]:
    """(name in Envoy's counters, file)"""
    for cluster in change.clusters:
        yield f"cluster.{cluster}", endpoints_file(cluster)
    if change.clusters_file:
        yield "cluster_manager.cds", CLUSTERS_FILE
    if change.listeners_file:
        yield "listener_manager.lds", LISTENERS_FILE


def _counted(name: str) -> str:
    return name.replace(":", "_")


def pauses() -> Iterable[float]:
    """A millisecond at first, since most changes take a few; then slower."""
    yield from (0.001,) * 12
    yield from (0.002,) * 10
    while True:
        yield 0.02
