"""What happens in one seed: people release things, a random subset of the faults comes over them, then it is over."""

import hashlib
from dataclasses import dataclass, field

from celadon.domain.command import Abort, Deploy, Pause, Promote, Remove, Resume, Rollback
from celadon.domain.memory import Memory
from celadon.domain.names import Digest
from celadon.domain.release import Phase, Release
from celadon.domain.revision import Revision
from celadon.domain.spec import Redundancy
from celadon.sim.faults import Fault, Trouble
from celadon.sim.laws.names import Violation
from celadon.sim.orders import GOLDEN, POLICIES, REDUNDANCIES, revision, settings
from celadon.sim.replicas import Character
from celadon.sim.world import World

CHAOS_TICKS = 165
HEAL_TICKS_MIN, HEAL_TICKS_MAX = 35, 200
QUIET_S = 20.0
"""Of the last moments, in which everybody has to be served."""

MOMENTS = ("rest", *(phase.value for phase in Phase if phase is not Phase.ENDED))
PAIRS = tuple((fault, moment) for fault in Fault for moment in MOMENTS)
"""Every kind of fault at every moment of a release. A seed aims at a few of them, so that all of them come to pass."""

UNCOMPARED = [name for name, one in POLICIES.items() if one.compare is None]
"""What is compared costs most, so half of the seeds do without."""

COMPARED = ("ramp by time", "ramp by evidence", "test", "test, then all")

UNASKED = 7
"""In one of so many seeds services have no golden requests."""

AIMS = 3
STRIDE = 97


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came to pass in one seed. faults: with the phase in which each of them began."""

    seed: int
    ticks: int
    deaths: int
    ended: tuple[str, ...]
    faults: tuple[tuple[Fault, str], ...]
    violations: tuple[Violation, ...]

    @property
    def digest(self) -> str:
        """What is kept of it: moved by how things end, and not by how they are told."""
        told = [str(self.seed), str(self.ticks), str(self.deaths), *self.ended]
        told += [f"{fault} in {moment}" for fault, moment in self.faults]
        told += [f"{one.law}" for one in self.violations]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()


@dataclass(slots=True)
class Play:
    """One seed under way."""

    world: World
    trouble: Trouble
    aims: list[tuple[Fault, str]]
    kinds: list[Fault]
    policies: list[str]
    redundancy: Redundancy
    golden: Digest | None
    next_fault: float = 0.0
    next_order: int = 4
    patience: int = 6
    deployed: int = 0
    healing: bool = False
    waited: int = 0
    told: list[str] = field(default_factory=list)

    def ticked(self) -> None:
        """After every tick, whatever came of it: what people ask for, and what goes wrong."""
        memory = self.world.memory
        self.people(memory)
        if self.healing:
            return
        release = memory.release
        moment = release.phase.value if release is not None else "rest"
        if moment == Phase.WATCHING and self.world.kernel.chance(0.2) and self._aims_at(Phase.HOLDING):
            # Only who sees nothing until the deadline is ever held.
            self.trouble.begin(Fault.BLIND, 60.0)
        for aim in [aim for aim in self.aims if aim[1] == moment][:1]:
            self.aims.remove(aim)
            self.trouble.begin(aim[0])
        at = self.world.kernel.at
        if at >= self.next_fault and self.kinds:
            self.next_fault = at + self.world.kernel.random.expovariate(1 / 25.0)
            self.trouble.begin(self.world.kernel.random.choice(self.kinds))

    def _aims_at(self, phase: Phase) -> bool:
        """Whether something is still to go wrong in this phase."""
        return any(moment == phase for _, moment in self.aims)

    def people(self, memory: Memory) -> None:
        """They deploy when nothing moves, and decide when they are waited for."""
        random = self.world.kernel.random
        release = memory.release
        if release is not None:
            self.waited += 1
            self._steer(release)
            return
        self.waited = 0
        self.next_order -= 1
        if self.next_order > 0 or memory.commands or (self.healing and memory.live is not None):
            return
        self.next_order = random.randint(10, 35)
        self._order()

    def _order(self) -> None:
        world, random = self.world, self.world.kernel.random
        memory, draw = world.memory, random.random()
        if memory.live is not None and draw < 0.04:
            world.ask(Remove())
        elif memory.settings is not None and len(memory.revisions) > 1 and draw < 0.2:
            others = [one for one in memory.revisions if one != memory.live]
            world.ask(Rollback(release=self._next(), revision=random.choice(others)))
        elif memory.live is not None and draw < 0.3:
            self._resettle(memory.revisions[memory.live])
        else:
            self.deploy()

    def _resettle(self, live: Revision) -> None:
        """The same revision with other numbers, which needs no release; now and then while one of its replicas fails."""
        random = self.world.kernel.random
        if not self.healing and random.random() < 0.5:
            self.trouble.begin(random.choice((Fault.KILL, Fault.HANG)))
        policy = POLICIES[random.choice(self.policies)]
        asked = settings(policy, random.choice((1, 2, 3)), random.choice(REDUNDANCIES), self.golden)
        self.world.ask(Deploy(release=self._next(), revision=live, settings=asked))

    def deploy(self, name: str | None = None) -> None:
        """A new revision under one of this seed's policies."""
        world, random = self.world, self.world.kernel.random
        what = revision(self.deployed)
        self.deployed += 1
        like = world.character(what.id)
        like.start_s = random.choice((0.5, 1.5))
        self._temper(like)
        if self.deployed > 1 and self._aims_at(Phase.FROZEN):
            # Only a green that is somewhat worse, and that is compared, is ever frozen.
            name, like.error_share = random.choice(COMPARED), 0.12
        policy = POLICIES[name or random.choice(self.policies)]
        asked = settings(policy, random.choice((1, 2, 3)), self.redundancy, self.golden)
        world.ask(Deploy(release=self._next(), revision=what, settings=asked))

    def _temper(self, like: Character) -> None:
        """Some revisions are bad from the beginning, in one of the ways in which they can be."""
        random = self.world.kernel.random
        if self.healing or random.random() > 0.2:
            return
        match random.randrange(5):
            case 0:
                like.error_share = random.choice((0.03, 0.1, 1.0))
            case 1:
                like.latency_ms = 3_000.0
            case 2:
                like.golden = False
            case 3:
                like.starts = False
            case _:
                like.wrong_share = 0.5

    def _next(self) -> str:
        memory = self.world.memory
        return f"{memory.service}-{memory.releases_asked + 1}"

    def _steer(self, release: Release) -> None:
        """Who is waited for decides in the end; now and then somebody decides without being asked."""
        world, random = self.world, self.world.kernel.random
        draw = random.random()
        waits = release.phase in {Phase.WAITING, Phase.HOLDING} or release.stays_frozen or release.paused
        if waits and draw < 0.15:
            if release.paused:
                world.ask(Resume(release=release.id))
            elif release.moved and release.blue is None:
                world.ask(Promote(release=release.id))
            else:
                choice = Promote if random.random() < 0.7 else Abort
                world.ask(choice(release=release.id))
        elif not self.healing and draw > 0.99:
            self.deploy()
        elif not self.healing and draw > 0.98:
            world.ask(Pause(release=release.id))


def play(seed: int, transcript: list[str] | None = None) -> Outcome:
    """One seed from its beginning to its end."""
    world = World(seed, proxies=1 + seed % 2, transcript=transcript)
    random = world.kernel.random
    count = len(PAIRS)
    aims = [PAIRS[(seed * AIMS + place) * STRIDE % count] for place in range(AIMS)]
    kinds = random.sample(list(Fault), random.randint(0, 5))
    policies = random.sample(UNCOMPARED, 2) + (random.sample(list(POLICIES), 1) if seed % 2 else [])
    world.site.callers.rate = random.choice((50.0, 200.0, 400.0))
    world.site.callers.labelled = random.choice((0.0, 0.01))
    golden = None if seed % UNASKED == 0 else GOLDEN
    made = Play(world, Trouble(world), aims, kinds, policies, random.choice(REDUNDANCIES), golden)
    made.next_fault = random.uniform(10.0, 60.0)
    world.daemon.ticked = made.ticked
    made.deploy("all at once")
    world.run(CHAOS_TICKS)
    heal(made)
    return Outcome(
        seed=seed,
        ticks=world.daemon.ticks,
        deaths=world.daemon.deaths,
        ended=tuple(world.ended),
        faults=tuple(made.trouble.begun),
        violations=tuple(world.laws.book.broken.values()),
    )


def heal(made: Play) -> None:
    """The trouble is over: everything comes to rest within a bound, or says whom it waits for."""
    world = made.world
    made.healing = True
    made.trouble.heal()
    world.tell("the trouble is over")
    began = world.daemon.ticks
    while world.daemon.ticks < began + HEAL_TICKS_MAX:
        world.run(world.daemon.ticks + 5)
        if world.daemon.ticks >= began + HEAL_TICKS_MIN and world.at_rest and world.settled:
            break
    view = world.daemon.view
    world.laws.ended(view)
    if view is not None and view.memory.live is not None and view.memory.release is None:
        callers = world.site.callers
        callers.catch_up()
        asked, failed = callers.asked, callers.unanswered
        world.run_until(world.kernel.at + QUIET_S)
        callers.catch_up()
        world.laws.served(callers.asked - asked, callers.unanswered - failed)
