"""A release that nobody has begun: the owner's own settings in a simulated world, and what callers would meet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from celadon.control.loop import PERIOD_S
from celadon.domain.command import Deploy, Promote
from celadon.domain.names import ServiceKey
from celadon.domain.reason import Code, text
from celadon.domain.release import Cause, Outcome, Phase, Release
from celadon.domain.revision import Revision
from celadon.domain.spec import RetryWhen, Settings
from celadon.release.plan import plan_of
from celadon.sim.faults import Fault, Trouble
from celadon.sim.journal import Appended
from celadon.sim.laws.law import names_whom
from celadon.sim.laws.names import Law, Violation
from celadon.sim.orders import revision
from celadon.sim.replicas import Character
from celadon.sim.world import World

FAULTS: dict[str, Fault] = {
    "kill-replica": Fault.KILL,
    "hang": Fault.HANG,
    "slow-replica": Fault.SLOW,
    "lose-zone": Fault.ZONE,
    "kill-proxy": Fault.KILL_PROXY,
    "late-routes": Fault.LATE_ROUTES,
    "refused-routes": Fault.REFUSED_ROUTES,
    "lost-routes": Fault.LOST_ROUTES,
    "lying-proxy": Fault.LYING,
    "cut-proxies": Fault.CUT_PROXY,
    "cut-replicas": Fault.CUT_PLATFORM,
    "stale": Fault.STALE,
    "kill-daemon": Fault.CRASH,
    "jump-clock": Fault.JUMP,
    "drift-clock": Fault.DRIFT,
    "fill-disk": Fault.DISK_FULL,
    "fail-disk": Fault.SYNC,
    "blind": Fault.BLIND,
    "freeze-counters": Fault.FROZEN,
    "unread-model": Fault.FETCH,
}
"""What the world can do to a release, by the names that people give it. How green itself is, is asked for apart."""

BLUE, GREEN = revision(0), revision(1)

FEW = ("kill-replica", "hang", "kill-proxy", "kill-daemon")
"""What happens on any machine sooner or later."""

SOON_S = 10.0
"""About how long it takes until callers meet green."""

STEP_S = 0.5
"""How often callers are asked how it goes."""

YOUNG_S, REST_PERIOD_S = 20.0, 2.0
"""For so long after anything happened the daemon looks as often as it truly does; a long watch is passed with fewer looks."""

GATE_S = 10.0
"""How long the person who is waited for at a gate takes to look and promote."""

AFTERWARDS_S = 20.0
"""How long is looked on when a release has ended."""

BOUND = 3.0
"""A rehearsal is given up after so many times of all deadlines of its plan."""

UNMEASURED = frozenset({Law.HARM_TURNS_BACK})
"""Laws whose bounds in ticks were set for the policies of the simulator, and say nothing of other ones."""


class Green(StrEnum):
    """How the new revision is."""

    GOOD = "good"
    ERRORS = "errors"
    SLOW = "slow"
    WRONG = "wrong"
    BROKEN = "broken"


ERROR_SHARE = 0.2
WRONG_SHARE = 0.5
LABELLED = 0.1
"""Part of the answers of which it comes to be known whether they were right, where labels are judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be rehearsed. faults: what goes wrong, each once, at moments that the seed draws.

    asked: how many golden requests there are, where the settings name any.
    """

    service: ServiceKey
    settings: Settings
    green: Green
    faults: tuple[Fault, ...] = ()
    rate_per_s: float = 50.0
    proxies: int = 1
    asked: int = 3
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Something that happened, in plain words. at: seconds since the deploy was asked for. what: a phase, or `fault`."""

    at: float
    what: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Callers from `at` on, until the next step. failed: of asked, with green's own errors. green: of asked."""

    at: float
    phase: str
    asked: int
    failed: int
    unserved: int
    green: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What came of it. ended: as what, None where a person is waited for. because: how it ended, in plain words.

    failed: requests of callers, of which by_green were green's own errors and unserved found nobody. stuck: those that went to
    a replica that hung; they failed, or came late where the route repeats requests. bad: answers of green that were errors,
    slow or wrong. unserved_s: the longest time without anybody. Other times are seconds since the deploy.
    """

    seed: int
    green: Green
    ended: Outcome | None
    cause: Cause
    phase: Phase
    because: str
    asked: int
    failed: int
    by_green: int
    unserved: int
    stuck: int
    met_green: int
    bad: int
    unserved_s: float
    frozen_s: float | None
    back_s: float | None
    promoted_s: float | None
    took_s: float
    said: tuple[Said, ...]
    steps: tuple[Step, ...]
    broken: tuple[Violation, ...]


@dataclass(slots=True)
class _Stage:
    """A rehearsal under way. zero: when the deploy was asked for."""

    wish: Wish
    world: World
    trouble: Trouble
    zero: float = 0.0
    said: list[Said] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    first: dict[Phase, float] = field(default_factory=dict)
    last: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    stood: tuple[object, ...] = ()
    young_until: float = 0.0

    @property
    def at(self) -> float:
        return self.world.kernel.at - self.zero

    def heard(self, said: Appended) -> None:
        """Every decision in the journal, as `celadon why` tells of it, without evidence that only goes on building up."""
        release = said.after.release or said.after.last
        phase = release.phase if release is not None and release.number > 1 else "rest"
        if release is not None and release.number > 1:
            self.first.setdefault(release.phase, self.at)
        for step in said.steps:
            self.said.append(Said(at=self.at, what=step.phase or phase, text=text(step.because)))
        if said.reason is not None and not said.steps and said.reason.code is not Code.CHECKPOINT:
            self.said.append(Said(at=self.at, what=phase, text=text(said.reason)))

    def ticked(self) -> None:
        """After every tick: who is waited for decides, and what just changed is looked at often."""
        _promote(self.world)
        release, at = self.world.release, self.world.kernel.at
        stands = (release.id, release.phase, release.stage) if release is not None else ()
        if stands != self.stood:
            self.stood, self.young_until = stands, at + YOUNG_S
        self.world.daemon.period_s = PERIOD_S if at < self.young_until else REST_PERIOD_S

    def strike(self, fault: Fault) -> None:
        """Something goes wrong now, unless the release has ended."""
        if self.over is not None:
            return
        self.young_until = self.world.kernel.at + YOUNG_S
        zoned = fault is Fault.ZONE and len(self.wish.settings.redundancy.zones) > 1
        self.said.append(Said(at=self.at, what="fault", text="lose a zone" if zoned else fault.value))
        if (
            fault is Fault.CRASH
        ):  # In a seed of the simulator somebody may ask for something at that moment, too.
            daemon = self.world.daemon
            daemon.dies_at = daemon.points + self.world.kernel.random.randint(1, 12)
        else:
            self.trouble.begin(fault)

    def look(self) -> None:
        """How callers fared since the last look."""
        self.world.site.callers.catch_up()
        now = self.counts()
        asked, failed, unserved, _, green = (a - b for a, b in zip(now, self.last, strict=True))
        release = self.world.release
        phase = release.phase.value if release is not None else "rest"
        step = Step(
            at=max(0.0, self.at - STEP_S),
            phase=phase,
            asked=asked,
            failed=failed,
            unserved=unserved,
            green=green,
        )
        self.steps.append(step)
        self.last = now
        self.world.kernel.after(STEP_S, self.look)

    def counts(self) -> tuple[int, int, int, int, int]:
        """Requests, failed ones, those that nobody took, those that went to a replica that hung, and green's."""
        callers = self.world.site.callers
        green = callers.by.get(GREEN.id, [0, 0])[0]
        return (callers.asked, callers.failed + self.nobody, callers.unanswered, callers.stuck, green)

    @property
    def nobody(self) -> int:
        """Requests that came while no proxy was there; those are not among the failed ones of the proxies."""
        callers = self.world.site.callers
        return callers.asked - sum(one[0] for one in callers.by.values())

    @property
    def over(self) -> Release | None:
        """The release, when it has ended or only a person can take it on."""
        memory = self.world.memory
        release = memory.release
        if release is not None:
            stands = release.number > 1 and release.phase is not Phase.WAITING and names_whom(release)
            return release if stands else None
        return memory.last if memory.last is not None and memory.last.number > 1 else None


def rehearse(wish: Wish) -> Rehearsal:
    """One release under these settings, in the world of one seed."""
    world = World(f"rehearsal {wish.seed}", proxies=wish.proxies, service=wish.service)
    stage = _Stage(wish, world, Trouble(world))
    world.daemon.ticked = stage.ticked
    _prepare(world, wish)
    _deploy(world, wish, 1, BLUE)
    _run(world, lambda: world.memory.live is not None and world.at_rest and world.settled, _bound_s(wish))
    stage.zero, world.heard = world.kernel.at, stage.heard
    world.site.callers.catch_up()
    stage.last = begin = stage.counts()
    _strikes(stage)
    _deploy(world, wish, 2, GREEN)
    stage.look()
    _run(world, lambda: stage.over is not None, _bound_s(wish))
    took_s = stage.at
    ended = stage.over or world.release
    assert ended is not None, "a release that was asked for is there"
    world.run_until(world.kernel.at + AFTERWARDS_S)
    return _told(stage, ended, took_s, begin)


def usual_s(settings: Settings) -> float:
    """About how long a release takes that nothing speaks against."""
    return SOON_S + sum(stage.dwell_s for stage in plan_of(settings.release).stages)


def _bound_s(wish: Wish) -> float:
    policy = wish.settings.release
    stages = plan_of(policy).stages
    late_s = sum(max(stage.dwell_s, stage.deadline_s or policy.watch.deadline_s) for stage in stages)
    return BOUND * (policy.start_s + policy.prove_s + late_s)


def _prepare(world: World, wish: Wish) -> None:
    callers, settings = world.site.callers, wish.settings
    callers.rate = wish.rate_per_s
    callers.unseen_s = settings.redundancy.hang_s
    callers.repeats = settings.route.retry.when is RetryWhen.RESET
    compare = settings.release.compare
    callers.labelled = LABELLED if compare is not None and compare.labels is not None else 0.0
    world.site.characters[BLUE.id] = Character(start_s=2.0)
    world.site.characters[GREEN.id] = _character(wish)


def _character(wish: Wish) -> Character:
    like = Character(start_s=2.0, asked=wish.asked)
    match wish.green:
        case Green.GOOD:
            pass
        case Green.ERRORS:
            like.error_share = ERROR_SHARE
        case Green.SLOW:
            like.latency_ms = 3 * wish.settings.release.watch.latency_ms_p95_max
        case Green.WRONG:
            like.wrong_share = WRONG_SHARE
        case Green.BROKEN:
            like.starts = False
    return like


def _deploy(world: World, wish: Wish, number: int, what: Revision) -> None:
    deploy = Deploy(release=f"{wish.service}-{number}", revision=what, settings=wish.settings)
    assert world.ask(deploy), "nothing has gone wrong yet"


def _promote(world: World) -> None:
    """The person whom a gate waits for is there, and has nothing against it."""
    release = world.release
    if release is None or release.phase is not Phase.WAITING or world.memory.commands:
        return
    if world.site.clock.wall() - release.entered_at >= GATE_S:
        world.ask(Promote(release=release.id))


def _strikes(stage: _Stage) -> None:
    """Every fault once, half of them soon: a release that is taken back does not last."""
    random, kernel = stage.world.kernel.random, stage.world.kernel
    for fault in stage.wish.faults:
        delay_s = random.random() * (SOON_S if random.random() < 0.5 else usual_s(stage.wish.settings))
        kernel.after(delay_s, lambda one=fault: stage.strike(one))  # type: ignore[misc]


def _run(world: World, enough: Callable[[], bool], bound_s: float) -> None:
    until = world.kernel.at + bound_s
    world.kernel.run(lambda: world.kernel.at >= until or enough())


def _told(stage: _Stage, ended: Release, took_s: float, begin: tuple[int, ...]) -> Rehearsal:
    world, wish = stage.world, stage.wish
    stage.look()
    asked, failed, unserved, stuck, met = (a - b for a, b in zip(stage.last, begin, strict=True))
    errors = max(0, failed - unserved - (0 if world.site.callers.repeats else stuck))
    done = ended.phase is Phase.ENDED
    ends_s = stage.first.get(Phase.ENDED)
    return Rehearsal(
        seed=wish.seed,
        green=wish.green,
        ended=ended.outcome if done else None,
        cause=ended.cause,
        phase=ended.phase,
        because=text(ended.because),
        asked=asked,
        failed=failed,
        by_green=errors,
        unserved=unserved,
        stuck=stuck,
        met_green=met,
        bad=_bad(wish.green, met, errors),
        unserved_s=_longest_s(stage.steps),
        frozen_s=stage.first.get(Phase.FROZEN),
        back_s=ends_s if done and ended.outcome is Outcome.ROLLED_BACK else None,
        promoted_s=ends_s if done and ended.outcome is Outcome.PROMOTED else None,
        took_s=took_s,
        said=tuple(stage.said),
        steps=tuple(stage.steps),
        broken=tuple(one for law, one in world.laws.book.broken.items() if law not in UNMEASURED),
    )


def _bad(green: Green, met: int, errors: int) -> int:
    match green:
        case Green.SLOW:
            return met
        case Green.WRONG:
            return errors + int(met * WRONG_SHARE)
        case _:
            return errors


def _longest_s(steps: Sequence[Step]) -> float:
    """The longest time in which somebody found nobody, all of it in a row."""
    longest = here = 0.0
    for step in steps:
        here = here + STEP_S if step.unserved else 0.0
        longest = max(longest, here)
    return longest
