"""A change counts when the admin interface shows it, and was refused when Envoy says so."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from celadon.domain.problem import TransientFault
from celadon.traffic.envoy.files import XdsFolder
from celadon.traffic.envoy.proof import reason
from celadon.traffic.envoy.render import CLUSTERS_FILE
from celadon.traffic.envoy.seats import Seat, Seats
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


Marks = tuple[tuple[Seat, int], ...]
"""How long the log of each Envoy was."""


@dataclass(slots=True)
class Confirmer:
    """Asks every living Envoy. One that is down sends nothing anywhere, and reads the same files when it is back."""

    seats: Seats
    xds: XdsFolder

    def marks(self) -> Marks:
        """Taken before a change, for reasons are looked for after them."""
        return tuple((seat, seat.proxy.log_size()) for seat in self.seats)

    async def await_force(self, change: Change, marks: Marks) -> None:
        """Returns when all of it is in force. Raises RejectedError with Envoy's reason, TransientFault after 5 s."""
        began = time.monotonic()
        for pause_s in pauses() if not change.structural else itertools.repeat(0.01):
            shown = await asyncio.gather(
                *(self._shown(seat, change) for seat, _ in self.seats.living()), return_exceptions=True
            )
            if all(one is True for one in shown):
                return
            _raise_common(shown)
            waited = time.monotonic() - began
            if waited > SUSPICION_S:
                await self._raise_if_refused(change, marks)
            if waited > CONFIRM_S:
                raise TransientFault(
                    f"Envoy has not confirmed a change within {CONFIRM_S:.0f} s", retry_s=0.5
                )
            await asyncio.sleep(pause_s)

    async def _shown(self, seat: Seat, change: Change) -> bool:
        """The structure first; the routes last, by the one narrow question that a mere switch needs."""
        if change.structural:
            seen = await seat.admin.versions()
            asked = dict(_subscriptions(change, seat))
            if any(seen.get(name) != self.xds.versions.get(file) for name, file in asked.items()):
                return False
        # Who leaves listens no more.
        listeners = set() if seat.leaving else set(change.listeners)
        if listeners and not listeners <= await seat.admin.listeners():
            return False
        for table in change.tables:
            if await seat.admin.routes_version(table) != self.xds.versions.get(routes_file(table)):
                return False
        return True

    async def _raise_if_refused(self, change: Change, marks: Marks) -> None:
        for seat, log_from in marks:
            with contextlib.suppress(TransientFault):
                if await self._refused(seat, change):
                    raise RejectedError(reason(seat.proxy.log_since(log_from)))

    async def _refused(self, seat: Seat, change: Change) -> bool:
        """Whether this Envoy has refused more of ours than was known."""
        counts = await seat.admin.rejections()
        ours = {_counted(name) for name, _ in _subscriptions(change, seat)} | {
            f".rds.{_counted(t)}" for t in change.tables
        }
        moved = [
            name
            for name, count in counts.items()
            if count > seat.refused.get(name, 0) and any(name.rpartition(".")[0].endswith(o) for o in ours)
        ]
        seat.refused.update({name: counts[name] for name in moved})
        return bool(moved)


def _raise_common(shown: Sequence[bool | BaseException]) -> None:
    """One Envoy that is being started, or ends, does not answer, and is waited for; when none does, nothing is known."""
    for one in shown:
        if isinstance(one, BaseException) and not isinstance(one, TransientFault):
            raise one
    faults = [one for one in shown if isinstance(one, TransientFault)]
    if faults and len(faults) == len(shown):
        raise faults[0]


def _subscriptions(change: Change, seat: Seat) -> Iterator[tuple[str, str]]:
    """(name in Envoy's counters, file)"""
    for cluster in change.clusters:
        yield f"cluster.{cluster}", endpoints_file(cluster)
    if change.clusters_file:
        yield "cluster_manager.cds", CLUSTERS_FILE
    if change.listeners_file:
        yield "listener_manager.lds", seat.paths.listeners_file


def _counted(name: str) -> str:
    return name.replace(":", "_")


def pauses() -> Iterable[float]:
    """A millisecond at first, since most changes take a few; then slower."""
    yield from (0.001,) * 12
    yield from (0.002,) * 10
    while True:
        yield 0.02
