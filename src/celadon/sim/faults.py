"""What may go wrong, by kind: how it begins, and how it is over."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from celadon.domain.command import Abort, Command, Pause, Promote, Remove, Resume, Rollback
from celadon.domain.names import RevisionId
from celadon.sim.replicas import Replica
from celadon.sim.world import World


class Fault(StrEnum):
    """The kinds."""

    KILL = "kill a replica"
    HANG = "hang a replica"
    SLOW = "a replica is slow and looks healthy"
    ZONE = "lose a zone"
    KILL_PROXY = "kill a proxy"
    LATE_ROUTES = "routes come late"
    REFUSED_ROUTES = "routes are refused"
    LOST_ROUTES = "wishes get lost, come twice and overtake each other"
    CUT_PROXY = "the proxies can not be asked"
    CUT_PLATFORM = "the platform can not be asked"
    STALE = "what is seen is old"
    CRASH = "the daemon dies"
    JUMP = "the clock jumps"
    DRIFT = "the clock drifts"
    DISK_FULL = "the disk is full"
    SYNC = "syncing the disk fails"
    BLIND = "nothing is counted"
    FROZEN = "the counters stand still"
    TWICE = "a command comes twice"
    LATE = "a command comes late"
    RACE = "commands race each other"
    LYING = "a proxy shows a route and does not follow it"
    FLAPPING = "green is bad now and then"
    ERRORS = "green fails"
    SLOW_GREEN = "green is slow"
    LABELS = "green is wrong"
    GOLDEN = "green answers golden requests wrongly"
    NO_START = "green does not start"
    FETCH = "the model store can not be read"
    TWO = "two at once"


Undo = Callable[[], None]


@dataclass(slots=True)
class Trouble:
    """Everything that is wrong in a world now. lasting: how each of them ends."""

    world: World
    lasting: list[Undo] = field(default_factory=list)
    begun: list[tuple[Fault, str]] = field(default_factory=list)

    def begin(self, fault: Fault, lasts_s: float | None = None) -> None:
        """One more thing goes wrong now, for so long. The moment is noted: in which phase the release was."""
        world = self.world
        release = world.release
        self.begun.append((fault, release.phase if release is not None else "rest"))
        world.tell(f"fault: {fault}")
        undo = BEGIN[fault](world, world.kernel.random)
        if fault is Fault.TWO:
            for one in world.kernel.random.sample(PLAIN, 2):
                self.begin(one)
        elif undo is not None:
            lasts_s = lasts_s or world.kernel.random.uniform(*LASTS_S.get(fault, (4.0, 25.0)))
            self.lasting.append(undo)
            world.kernel.after(lasts_s, lambda: self._over(undo))

    def _over(self, undo: Undo) -> None:
        if undo in self.lasting:
            self.lasting.remove(undo)
            undo()

    def heal(self) -> None:
        """Everything ends."""
        for undo in self.lasting:
            undo()
        self.lasting.clear()
        for one in list(self.world.site.machine.there.values()):
            self.world.site.machine.wake(one)
        self.world.daemon.dies_at = None


LASTS_S = {
    Fault.LYING: (15.0, 60.0),
    Fault.BLIND: (4.0, 60.0),
    Fault.FROZEN: (4.0, 60.0),
    Fault.ERRORS: (20.0, 80.0),
}


def _some(world: World, random: Random) -> Replica | None:
    there = world.site.machine.there
    serving = [there[key] for key in sorted(there) if there[key].serves]
    return random.choice(serving) if serving else None


def _kill(world: World, random: Random) -> None:
    one = _some(world, random)
    if one is not None:
        world.site.machine.kill(one)


def _hang(world: World, random: Random) -> Undo | None:
    one = _some(world, random)
    if one is None:
        return None
    world.site.machine.hang(one)
    return lambda: world.site.machine.wake(one)


def _slow(world: World, random: Random) -> Undo | None:
    one = _some(world, random)
    if one is None:
        return None
    world.site.callers.slow[one.address] = 1500.0
    return world.site.callers.slow.clear


def _zone(world: World, random: Random) -> None:
    """Everything in one zone ends at once; where there are none, every other replica."""
    there, lost = world.site.machine.there, random.randrange(2)
    zones = sorted({one.zone for one in there.values() if one.zone})
    for key in sorted(there):
        if there[key].zone == zones[lost % len(zones)] if zones else key.index % 2 == lost:
            world.site.machine.kill(there[key])


def _kill_proxy(world: World, random: Random) -> None:
    world.site.proxies.kill(random.choice(world.site.proxies.all))


def _late_routes(world: World, random: Random) -> Undo:
    proxies = world.site.proxies
    proxies.reload_s = (1.0, random.choice((4.0, 30.0)))

    def undo() -> None:
        proxies.reload_s = (0.005, 0.3)

    return undo


def _refused_routes(world: World, _: Random) -> Undo:
    proxies = world.site.proxies
    proxies.refuses = "another process listens there"

    def undo() -> None:
        proxies.refuses = ""

    return undo


def _lost_routes(world: World, _: Random) -> Undo:
    link = world.site.proxies.link
    link.loss, link.twice, link.ordered, link.delay_s = 0.3, 0.5, False, (0.01, 12.0)
    return link.mend


def _cut_proxy(world: World, _: Random) -> Undo:
    reach, link = world.site.reach, world.site.proxies.link
    reach.proxies, link.cut = "the proxies do not answer", True

    def undo() -> None:
        reach.proxies, link.cut = "", False

    return undo


def _cut_platform(world: World, _: Random) -> Undo:
    reach = world.site.reach
    reach.machine = "the launchers can not be asked"

    def undo() -> None:
        reach.machine = ""

    return undo


def _stale(world: World, random: Random) -> Undo:
    reach = world.site.reach
    undo = (_cut_proxy if random.random() < 0.5 else _cut_platform)(world, random)
    reach.stale = True

    def fresh() -> None:
        reach.stale = False
        undo()

    return fresh


def _crash(world: World, random: Random) -> None:
    daemon = world.daemon
    draw = random.random()
    if draw < 0.3:
        if draw < 0.15:  # Right after somebody was told that a command is taken.
            world.ask(_said(world, random))
        daemon.kill()
    else:
        daemon.dies_at = daemon.points + random.randint(1, 12)


def _jump(world: World, random: Random) -> None:
    world.site.clock.jump(random.choice((-3600.0, -20.0, -4.0, 4.0, 20.0, 90.0, 3600.0)))


def _drift(world: World, random: Random) -> Undo:
    clock = world.site.clock
    clock.drifts(random.uniform(-0.2, 0.2))
    return lambda: clock.drifts(0.0)


def _disk_full(world: World, _: Random) -> Undo:
    disk = world.site.disk
    disk.full = True

    def undo() -> None:
        disk.full = False

    return undo


def _sync(world: World, _: Random) -> Undo:
    disk = world.site.disk
    disk.failing = True

    def undo() -> None:
        disk.failing = False

    return undo


def _blind(world: World, _: Random) -> Undo:
    reach = world.site.reach
    reach.counters = "the counters can not be read"

    def undo() -> None:
        reach.counters = ""

    return undo


def _frozen(world: World, _: Random) -> Undo:
    reach = world.site.reach
    reach.frozen = True

    def undo() -> None:
        reach.frozen = False

    return undo


def _said(world: World, random: Random) -> Command:
    """Some command that a person might give at any moment."""
    memory = world.memory
    release = memory.release or memory.last
    name = release.id if release is not None else "fraud-1"
    known = list(memory.revisions)
    later = f"{world.service}-{memory.releases_asked + 1}"
    choices: list[Command] = [
        Promote(release=name),
        Abort(release=name),
        Pause(release=name),
        Resume(release=name),
    ]
    if known:
        choices.append(Rollback(release=later, revision=random.choice(known)))
    if random.random() < 0.1:
        choices.append(Remove())
    return random.choice(choices)


def _twice(world: World, random: Random) -> None:
    command = _said(world, random)
    world.ask(command)
    if not isinstance(command, Rollback):  # A door names a release that is not there yet only once.
        world.ask(command)


def _late(world: World, random: Random) -> None:
    command = _said(world, random)
    if not isinstance(command, Rollback):
        world.kernel.after(random.uniform(2.0, 40.0), lambda: _asks(world, command))


def _asks(world: World, command: Command) -> None:
    world.ask(command)


def _race(world: World, random: Random) -> None:
    for _ in range(3):
        world.ask(_said(world, random))


def _lying(world: World, random: Random) -> Undo:
    proxy, green = random.choice(world.site.proxies.all), _green(world)
    world.site.callers.catch_up()
    proxy.starves = green

    def undo() -> None:
        world.site.callers.catch_up()
        proxy.starves = None

    return undo


def _green(world: World) -> RevisionId | None:
    memory = world.memory
    release = memory.release
    return release.green if release is not None else memory.live


def _change(name: str, value: float | bool, usual: float | bool) -> Callable[[World, Random], Undo | None]:
    def begin(world: World, _: Random) -> Undo | None:
        green = _green(world)
        if green is None:
            return None
        world.site.callers.catch_up()
        like = world.character(green)
        setattr(like, name, value)

        def undo() -> None:
            world.site.callers.catch_up()
            setattr(like, name, usual)

        return undo

    return begin


def _flapping(world: World, random: Random) -> Undo | None:
    """Errors near the limits, on and off."""
    green = _green(world)
    if green is None:
        return None
    like, over = world.character(green), [False]
    share, every_s = random.choice((0.02, 0.045, 0.06, 0.12)), random.uniform(2.0, 9.0)

    def flip() -> None:
        world.site.callers.catch_up()
        like.error_share = 0.0 if like.error_share or over[0] else share
        if not over[0]:
            world.kernel.after(every_s, flip)

    def undo() -> None:
        world.site.callers.catch_up()
        over[0], like.error_share = True, 0.0

    flip()
    return undo


def _fetch(world: World, _: Random) -> Undo:
    shelf = world.site.shelf
    shelf.broken = "the disk can not be read"

    def undo() -> None:
        shelf.broken = ""

    return undo


def _two(_: World, __: Random) -> None:
    """The two come after this."""


BEGIN: dict[Fault, Callable[[World, Random], Undo | None]] = {
    Fault.KILL: _kill,
    Fault.HANG: _hang,
    Fault.SLOW: _slow,
    Fault.ZONE: _zone,
    Fault.KILL_PROXY: _kill_proxy,
    Fault.LATE_ROUTES: _late_routes,
    Fault.REFUSED_ROUTES: _refused_routes,
    Fault.LOST_ROUTES: _lost_routes,
    Fault.CUT_PROXY: _cut_proxy,
    Fault.CUT_PLATFORM: _cut_platform,
    Fault.STALE: _stale,
    Fault.CRASH: _crash,
    Fault.JUMP: _jump,
    Fault.DRIFT: _drift,
    Fault.DISK_FULL: _disk_full,
    Fault.SYNC: _sync,
    Fault.BLIND: _blind,
    Fault.FROZEN: _frozen,
    Fault.TWICE: _twice,
    Fault.LATE: _late,
    Fault.RACE: _race,
    Fault.LYING: _lying,
    Fault.FLAPPING: _flapping,
    Fault.ERRORS: _change("error_share", 0.5, 0.0),
    Fault.SLOW_GREEN: _change("latency_ms", 2_000.0, 5.0),
    Fault.LABELS: _change("wrong_share", 0.5, 0.0),
    Fault.GOLDEN: _change("golden", value=False, usual=True),
    Fault.NO_START: _change("starts", value=False, usual=True),
    Fault.FETCH: _fetch,
    Fault.TWO: _two,
}

PLAIN = [fault for fault in Fault if fault is not Fault.TWO]
