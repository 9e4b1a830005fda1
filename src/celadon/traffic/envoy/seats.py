"""The places for Envoys that share all ports, so that one of them may die: what holds is what holds in every living one."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from celadon.domain.problem import TransientFault
from celadon.traffic.envoy import stats
from celadon.traffic.envoy.admin import Admin, Host, View
from celadon.traffic.envoy.counters import Counters
from celadon.traffic.envoy.files import write_durably
from celadon.traffic.envoy.proxy import Identity, Proxy
from celadon.traffic.envoy.watchers import lacking
from celadon.traffic.envoy.words import Paths

NOT_RUNNING_S = 0.03


COUNT = "proxies"
"""The file that remembers how many Envoys are wanted, for a daemon that is started without being told."""


def remembered(home: Path) -> int:
    """One, unless something else was asked for."""
    try:
        return max(1, int((home / COUNT).read_text(encoding="ascii")))
    except (OSError, ValueError):
        return 1


def remember(home: Path, proxies: int) -> None:
    if remembered(home) != proxies:
        write_durably(home / COUNT, f"{proxies}\n")


def seats_there(home: Path, proxies: int) -> int:
    """So many seats are wanted, or were and still have something in them."""
    seats = proxies
    while (home / str(seats)).exists():
        seats += 1
    return seats


@dataclass(slots=True, kw_only=True)
class Seat:
    """A place for one Envoy. met: the run of Envoy that was asked last, with success; "" before the first.

    leaving: it takes no new connections, ends once nothing is in flight, and is not started again. lacks: why it is not
    started.
    """

    paths: Paths
    proxy: Proxy
    admin: Admin
    met: str = ""
    leaving: bool = False
    lacks: str = ""
    refused: dict[str, int] = field(default_factory=dict)
    counters: Counters = field(init=False)

    def __post_init__(self) -> None:
        self.counters = Counters(self.admin)

    def name(self, seats: int) -> str:
        """How people are told of it."""
        return "Envoy" if seats == 1 else f"Envoy {self.paths.number + 1} of {seats}"

    def alive(self) -> Identity | None:
        """Who runs here."""
        who = self.proxy.identity()
        return who if who is not None and who.alive else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen at one moment. new: the runs that were met for the first time, with their seats.

    settled: every living Envoy was asked, and none of them is another than at the last look.
    """

    readings: tuple[stats.Reading, ...]
    view: View
    new: tuple[tuple[Seat, Identity], ...]
    sources: frozenset[str]
    whole: bool


@dataclass(slots=True)
class Seats:
    """All of them, the first of which is always there. ended: everything that runs counted which left in order."""

    all: list[Seat]
    ended: list[stats.Reading] = field(default_factory=list)

    @property
    def first(self) -> Seat:
        return self.all[0]

    def __iter__(self) -> Iterator[Seat]:
        return iter(self.all)

    def staying(self) -> list[Seat]:
        return [seat for seat in self.all if not seat.leaving]

    def living(self) -> list[tuple[Seat, Identity]]:
        """Those in which an Envoy runs. Raises TransientFault when there are none: then nothing is known."""
        found = [(seat, who) for seat in self.all if (who := seat.alive()) is not None]
        if not found:
            raise TransientFault("Envoy is not running; it is being started", retry_s=NOT_RUNNING_S)
        return found

    def sources(self) -> frozenset[str]:
        """The runs that live now."""
        return frozenset(who.source for seat in self.all if (who := seat.alive()) is not None)

    def runs(self) -> tuple[tuple[int, str], ...]:
        """The living ones that stay and have answered, each by process id and start time in clock ticks after boot."""
        return tuple(
            (who.pid, who.started)
            for seat in self.staying()
            if (who := seat.alive()) is not None and who.source == seat.met
        )

    def down(self) -> int:
        """How many are to run, and do not."""
        return sum(seat.alive() is None for seat in self.staying())

    def launch(self, files: int) -> None:
        """Starts what is not kept by a launcher. Blocks for as long as a process takes to start.

        files: so many are followed by each. One more than the first would take from it what it needs for itself.
        """
        for seat in self.staying():
            if seat.proxy.kept():
                continue
            more = seat is not self.first and seat.alive() is None
            seat.lacks = lacking(files) or "" if more else ""
            if not seat.lacks:
                seat.proxy.launch()

    def kept(self) -> bool:
        return all(seat.proxy.kept() for seat in self.staying())

    async def look(self, clock_s: float) -> Look:
        """Asks every living Envoy. One that has just been started need not answer yet, everybody else must."""
        readings, views, new = [], [], []
        living = self.living()
        for seat, who in living:
            try:
                found = await seat.counters.look(who.source)
                views.append(await seat.admin.view())
            except TransientFault:
                if seat.alive() != who or (who.source != seat.met and len(living) > 1):
                    continue
                raise
            readings.append(stats.read(found, who.source, clock_s))
            if who.source != seat.met:
                new.append((seat, who))
        if not views:
            raise TransientFault("Envoy does not answer yet", retry_s=NOT_RUNNING_S)
        return Look(
            readings=tuple(readings),
            view=together(views),
            new=tuple(new),
            sources=frozenset(reading.source for reading in readings),
            whole=len(views) == len(living),
        )

    async def view(self, clusters: Iterable[str] | None = None) -> View:
        """The hosts of all clusters, or of those named, as all living Envoys see them."""
        names = None if clusters is None else frozenset(clusters)
        living = self.living()
        return together(await asyncio.gather(*(seat.admin.view(names) for seat, _ in living)))

    async def close(self) -> None:
        for seat in self.all:
            await seat.admin.close()

    async def stop(self) -> None:
        """Ends all of them and their launchers."""
        await asyncio.gather(*(seat.proxy.stop() for seat in self.all))


def together(views: Sequence[View]) -> View:
    """A cluster, and a replica of it, is there when all have it; it is healthy when it is for all."""
    first, *others = views
    if not others:
        return first
    return {
        name: {
            address: _host([view[name][address] for view in views])
            for address in hosts
            if all(address in view[name] for view in others)
        }
        for name, hosts in first.items()
        if all(name in view for view in others)
    }


def _host(seen: Sequence[Host]) -> Host:
    return Host(
        healthy=all(host.healthy for host in seen),
        pending=any(host.pending for host in seen),
        draining=any(host.draining for host in seen),
        active=sum(host.active for host in seen),
        requests=sum(host.requests for host in seen),
    )
