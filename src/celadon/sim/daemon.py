"""The daemon as a node that can die at any moment: the real loop over simulated adapters."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from celadon.control.apply import Effects
from celadon.control.loop import DWELL_MAX_S, Loop
from celadon.control.ports import Journal
from celadon.control.view import View
from celadon.domain.action import Action
from celadon.domain.command import Asked, Command
from celadon.domain.facts import Facts, Now
from celadon.domain.memory import Memory
from celadon.domain.names import ServiceKey
from celadon.domain.problem import Fault
from celadon.sim.disk import Disk
from celadon.sim.journal import Appended, Frame, SimJournal
from celadon.sim.observers import SimLabels, SimProber, SimSources
from celadon.sim.replicas import SimPlatform
from celadon.sim.router import SimRouter
from celadon.sim.site import Site
from celadon.store.fold import next_epoch

SOON_S = 0.1
"""A tick that moved something is followed by another one so soon."""


BUG = "this is a bug in celadon"
"""How the loop begins to tell of one."""


class Opened(Journal, Protocol):
    """A journal that a daemon has opened. under_way: what it was writing when the daemon died."""

    under_way: Frame | None


Opens = Callable[[Disk, Callable[[], None], Callable[[Appended], None]], Opened]


class KilledError(BaseException):
    """The daemon is gone, in the middle of whatever it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched(Effects):
    """Effects of which somebody hears before they are begun."""

    began: Callable[[Action], None]

    def begin(self, service: ServiceKey, action: Action, memory: Memory, facts: Facts) -> None:
        """Begin one action."""
        self.began(action)
        Effects.begin(self, service, action, memory, facts)


@dataclass(slots=True)
class Daemon:
    """One machine's celadon. period_s: between two ticks when nothing moves.

    told: hears what becomes durable. began: of every effect, before it is begun. looked: hears the outcome of every tick,
    failed what stopped one, ticked every one. restarted: what a new daemon reads. dies_at: the point at which it dies; None: it lives on.
    opens: how a daemon that starts opens its journal.
    """

    site: Site
    service: ServiceKey
    told: Callable[[Appended], None]
    began: Callable[[Action], None]
    looked: Callable[[Memory, View, Now], None]
    failed: Callable[[str], None]
    restarted: Callable[[Memory], None]
    ticked: Callable[[], None] = lambda: None
    period_s: float = 2.0
    dies_at: int | None = None
    points: int = 0
    ticks: int = 0
    deaths: int = 0
    alive: bool = False
    opens: Opens = SimJournal
    journal: Opened = field(init=False)
    loop: Loop = field(init=False)
    _last: tuple[float, float] = (0.0, 0.0)
    _life: int = 0

    def start(self) -> None:
        """Read the journal, find what runs, take the lead."""
        site = self.site
        self._life += 1
        self.alive = True
        try:
            self.journal = self.opens(site.disk, self.point, self.told)
            self.restarted(self.journal.read(self.service))
            self.loop = Loop(self.journal, self._effects())
            self.loop.lead(next_epoch(0, site.clock.wall()), site.clock.wall())
        except KilledError:
            self._die()
            return
        self._last = (site.clock.monotonic(), site.clock.wall())
        self._next(SOON_S)

    def kill(self) -> None:
        """It dies between two ticks."""
        if self.alive:
            self._die()

    def ask(self, command: Command) -> Asked | None:
        """What a door does: the command is acknowledged when this returns it."""
        if not self.alive:
            return None
        try:
            return self.loop.ask(self.service, command, self.site.clock.wall())
        except KilledError:
            self._die()
        except Fault:
            pass
        return None

    @property
    def view(self) -> View | None:
        """How the service looked at its last tick."""
        return self.loop.views.get(self.service) if self.alive else None

    @property
    def memory(self) -> Memory:
        """What the journal holds, or held when the daemon last lived."""
        return self.journal.read(self.service)

    def point(self) -> None:
        """A place where the daemon may die: before and after every effect and every record."""
        self.points += 1
        if self.dies_at is not None and self.points >= self.dies_at:
            self.dies_at = None
            raise KilledError

    def _effects(self) -> Watched:
        site, point = self.site, self.point
        return Watched(
            began=self.began,
            platform=SimPlatform(site.machine, site.clock, site.reach, point),
            router=SimRouter(
                kernel=site.kernel,
                clock=site.clock,
                proxies=site.proxies,
                machine=site.machine,
                reach=site.reach,
                point=point,
            ),
            sources=SimSources(site.kernel, site.clock, site.shelf, point),
            prober=SimProber(site.kernel, site.machine, site.proxies, site.characters, point),
            labels=SimLabels(site.clock, site.labels),
        )

    def _die(self) -> None:
        site = self.site
        self.alive, self._life, self.deaths = False, self._life + 1, self.deaths + 1
        site.disk.tear(self.journal.under_way)
        self.journal.under_way = None
        site.kernel.after(site.kernel.random.uniform(0.5, 6.0), self.start)

    def _next(self, delay_s: float) -> None:
        life = self._life
        self.site.kernel.after(delay_s, lambda: self._tick(life))

    def _tick(self, life: int) -> None:
        if life != self._life:
            return
        self.site.callers.catch_up()
        self.ticks += 1
        try:
            moved = self._turn()
        except KilledError:
            self._die()
            return
        self._next(SOON_S if moved else self.period_s)
        self.ticked()

    def _turn(self) -> bool:
        """One turn of the loop, and what it came to."""
        clock = self.site.clock
        now, wall = clock.monotonic(), clock.wall()
        (last, last_wall), self._last = self._last, (now, wall)
        before = self.journal.read(self.service)
        self.loop.turn(wall, now)
        view = self.loop.views.get(self.service)
        if view is None:
            return False
        if view.fault:
            if view.fault.startswith(BUG):
                self.failed(view.fault)
        elif view.facts is not None:
            jumped_s = (wall - last_wall) - (now - last)
            self.looked(
                before, view, Now(wall=wall, elapsed_s=min(now - last, DWELL_MAX_S), jumped_s=jumped_s)
            )
        return view.memory.seq != before.seq
