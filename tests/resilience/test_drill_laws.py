"""Laws of drills: whatever is seen and asked meanwhile, each ends, is undone before, and never meets another one."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "release"))

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from release_given import BLUE, SERVICE, deploy, facts, live, replicas

from celadon.control.reconcile import reconcile
from celadon.domain.action import ForgetDrill, Probe, Strike, Undo
from celadon.domain.command import Asked, Command, EndDrill, RunDrill
from celadon.domain.drill import (
    DrillFacts,
    DrillKind,
    DrillOrder,
    DrillPhase,
    DrillReport,
    DrillVerdict,
    FaultFact,
    Measured,
    ProbeFact,
    Victim,
)
from celadon.domain.facts import Facts, Now, ReplicaState
from celadon.domain.goal import Arm, Part, Route
from celadon.domain.memory import Memory
from celadon.domain.names import STANDBY_FROM, RevisionId
from celadon.domain.plan import FULL
from celadon.domain.reason import Code, because, text
from celadon.domain.spec import Redundancy, RetryWhen, Survives
from celadon.resilience.drill import next_drill, order_of, refusal, rehearse
from celadon.resilience.place import place
from celadon.resilience.shown import REQUESTS_MIN
from celadon.resilience.spared import victims

STEP_S = 0.5
LIMIT = 400


def service(count: int = 2, **redundancy: object) -> Memory:
    memory = live(replicas=count)
    assert memory.settings is not None
    spared = Redundancy(survives=Survives.REPLICA, **redundancy)  # type: ignore[arg-type]
    return replace(memory, settings=replace(memory.settings, redundancy=spared))


@dataclass
class Rehearsal:
    """A service under drill, and a world that does what it is asked for, in its own time.

    lag: ticks until a failure is there and until it is undone. bad: of the requests after it fail. blind: the probe
    says nothing. stuck: what was done can not be undone in time.
    """

    memory: Memory
    count: int = 2
    at: float = 1000.0
    lag: int = 1
    bad: int = 0
    slowest_ms: float = 20.0
    blind: bool = False
    dead: bool = False
    stuck: bool = False
    proxies: tuple[int, ...] = (7, 8)
    probe: ProbeFact | None = None
    fault: FaultFact | None = None
    due: list[tuple[int, str]] = None  # type: ignore[assignment]
    ticks: int = 0
    struck: int = 0

    def seen(self) -> Facts:
        there = tuple(
            replace(one, pid=100 + one.id.index) for one in replicas(BLUE, (ReplicaState.READY,) * self.count)
        )
        return replace(
            facts(self.at, there), drill=DrillFacts(probe=self.probe, fault=self.fault, proxies=self.proxies)
        )

    def ask(self, command: Command) -> None:
        asked = Asked(seq=self.memory.seq + 1, at=self.at, command=command)
        self.memory = replace(self.memory, seq=self.memory.seq + 1, commands=(*self.memory.commands, asked))

    def run(self, kind: DrillKind, **given: object) -> DrillOrder:
        assert self.memory.settings is not None
        order = order_of(kind, self.memory.settings, **given)  # type: ignore[arg-type]
        self.ask(RunDrill(drill=next_drill(self.memory), order=order))
        return order

    def step(self) -> None:
        self.at, self.ticks = self.at + STEP_S, self.ticks + 1
        self._world()
        before, seen = self.memory.drill, self.seen()
        done = rehearse(self.memory, seen, Now(wall=self.at, elapsed_s=STEP_S))
        left = tuple(a for a in self.memory.commands if a.seq not in done.handled)
        self.memory = replace(done.memory, commands=left)
        self.memory = replace(self.memory, goal=place(self.memory, ()))
        if before is not None and self.memory.drill is None:
            undone = self.fault is None or self.fault.undone_at is not None
            assert undone or self.stuck, "it ended before it was undone"
        for action in reconcile(SERVICE, self.memory, seen):
            self._begin(action)

    def _begin(self, action: object) -> None:
        self.due = self.due or []
        match action:
            case Probe(drill=drill):
                self.probe = None if self.blind else ProbeFact(drill=drill.number)
            case Strike(lease=lease):
                assert self.memory.goal is not None
                assert lease in self.memory.goal.leases, "a failure without a recorded lease"
                assert self.at < lease.until
                self.fault = FaultFact(drill=lease.drill)
                self.due.append((self.ticks + self.lag, "strike"))
            case Undo() if not any(what == "undo" for _, what in self.due):
                self.due.append((self.ticks + self.lag, "undo"))
            case ForgetDrill():
                self.probe, self.fault = None, None
            case _:
                pass

    def _world(self) -> None:
        for due in [due for due in self.due or () if due[0] <= self.ticks]:
            self.due.remove(due)
            if self.fault is not None and due[1] == "strike" and self.fault.undone_at is None:
                self.struck += 1
                self.fault = replace(self.fault, struck_at=self.at, hit=0 if self.dead else 1)
            if self.fault is not None and due[1] == "undo":
                self.fault = replace(self.fault, undone_at=self.at)
        drill = self.memory.drill
        if self.probe is None or drill is None:
            return
        after, sent = drill.struck_at is not None, round(drill.order.rate * STEP_S)
        before = self.probe.before + (0 if after else sent)
        measured = self.probe.measured
        if after:
            measured = Measured(
                requests=measured.requests + sent, failed=self.bad, slowest_ms=self.slowest_ms
            )
        self.probe = replace(
            self.probe,
            before=before,
            ok_before=before,
            clear_to=self.at,
            steady=True,
            measured=measured,
        )

    def until_over(self) -> None:
        for _ in range(LIMIT):
            self.step()
            if self.memory.drill is None and not self.memory.commands:
                return
        raise AssertionError(f"the drill did not end: {self.memory.drill}")


KINDS = st.sampled_from(list(DrillKind))


@settings(max_examples=60, deadline=None)
@given(KINDS, st.integers(1, 8), st.integers(0, 60), st.booleans(), st.booleans())
def test_every_drill_ends_and_is_undone_before(
    kind: DrillKind, lag: int, ended_after: int, blind: bool, dead: bool
) -> None:
    world = Rehearsal(memory=service(), lag=lag, blind=blind, dead=dead)
    world.run(kind, insists=True)
    for _ in range(ended_after):
        world.step()
    world.ask(EndDrill(drill=1))
    world.until_over()
    assert len(world.memory.drills) == 1
    assert world.memory.drills[0].undone
    assert world.memory.goal is not None
    assert world.memory.goal.leases == ()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(KINDS, st.integers(0, 30)), min_size=1, max_size=5))
def test_two_drills_are_never_under_way_at_once(asked: list[tuple[DrillKind, int]]) -> None:
    world = Rehearsal(memory=service())
    for kind, ticks in asked:
        world.run(kind, insists=True)
        for _ in range(ticks):
            under_way = world.memory.drill
            world.step()
            now = world.memory.drill
            assert under_way is None or now is None or now.number == under_way.number
            assert world.memory.goal is not None
            assert len(world.memory.goal.leases) <= 1
    world.until_over()
    numbers = [report.number for report in world.memory.drills]
    assert numbers == sorted(set(numbers))


def test_who_ends_a_drill_that_is_being_undone_takes_nothing_from_its_verdict() -> None:
    world = Rehearsal(memory=service(), lag=4)
    world.run(DrillKind.KILL_REPLICA)
    while world.memory.drill is None or world.memory.drill.phase is not DrillPhase.UNDOING:
        world.step()
    world.ask(EndDrill(drill=1))
    answered = rehearse(world.memory, world.seen(), Now(wall=world.at, elapsed_s=STEP_S)).taken[0]
    assert answered.because.code is Code.DRILL_ENDS_ITSELF
    world.until_over()
    assert world.memory.drills[0].because.code is Code.DRILL_PASSED


def test_a_service_that_lacked_a_replica_before_is_as_before_without_it() -> None:
    world = Rehearsal(memory=service(), count=1)
    world.run(DrillKind.KILL_REPLICA, insists=True)
    world.until_over()
    assert world.memory.drills[0].because.code is Code.DRILL_PASSED


def test_requests_that_nobody_may_repeat_may_fail_and_it_is_said() -> None:
    memory = service()
    assert memory.settings is not None
    route = replace(memory.settings.route, retry=replace(memory.settings.route.retry, when=RetryWhen.NEVER))
    world = Rehearsal(memory=replace(memory, settings=replace(memory.settings, route=route)), bad=1)
    world.run(DrillKind.KILL_REPLICA)
    world.until_over()
    because = world.memory.drills[0].because
    assert because.code is Code.DRILL_PASSED_UNREPEATED
    assert "lets nobody repeat" in text(because)


def test_few_requests_a_second_are_watched_until_they_tell_something() -> None:
    world = Rehearsal(memory=service())
    world.run(DrillKind.KILL_REPLICA, rate=6.0)
    world.until_over()
    report = world.memory.drills[0]
    assert report.verdict is DrillVerdict.PASS
    assert report.measured.requests >= REQUESTS_MIN


@pytest.mark.parametrize("kind", list(DrillKind))
def test_a_service_that_loses_nothing_passes(kind: DrillKind) -> None:
    world = Rehearsal(memory=service(3, standby=1, zones=("a", "b", "c")), count=3)
    world.run(kind, insists=kind in {DrillKind.KILL_ZONE, DrillKind.KILL_FIRST_PRIORITY})
    world.until_over()
    report = world.memory.drills[-1]
    nobody = (DrillVerdict.INCONCLUSIVE, Code.DRILL_UNWATCHED)
    passed = nobody if kind is DrillKind.FREEZE_METRICS else (DrillVerdict.PASS, Code.DRILL_PASSED)
    assert (report.verdict, report.because.code) == passed
    assert world.struck == 1


def test_what_was_not_hit_shows_nothing() -> None:
    world = Rehearsal(memory=service(), dead=True)
    world.run(DrillKind.KILL_REPLICA)
    world.until_over()
    assert world.memory.drills[-1].verdict is DrillVerdict.INCONCLUSIVE
    assert world.memory.drills[-1].because.code is Code.DRILL_NOT_HIT


def test_a_failed_request_that_may_be_repeated_fails_the_drill() -> None:
    world = Rehearsal(memory=service(), bad=1)
    world.run(DrillKind.KILL_REPLICA)
    world.until_over()
    assert world.memory.drills[-1].because.code is Code.DRILL_FAILED_REQUESTS


def test_a_caller_who_was_kept_waiting_fails_the_drill() -> None:
    world = Rehearsal(memory=service(), slowest_ms=9000.0)
    world.run(DrillKind.HANG_REPLICA)
    world.until_over()
    assert world.memory.drills[-1].because.code is Code.DRILL_HELD_BACK
    assert world.memory.drills[-1].verdict is DrillVerdict.FAIL


def test_a_proxy_that_does_not_come_back_fails_the_drill() -> None:
    world = Rehearsal(memory=service())
    world.run(DrillKind.KILL_PROXY)
    while not world.struck:
        world.step()
    world.proxies = (7,)
    world.until_over()
    report = world.memory.drills[-1]
    assert (report.verdict, report.because.code) == (DrillVerdict.FAIL, Code.DRILL_NOT_BACK)
    assert report.because.fields["why"] == "1 of 2 proxies run"


def test_a_probe_that_says_nothing_ends_a_drill_before_anything_is_done() -> None:
    world = Rehearsal(memory=service(), blind=True)
    world.run(DrillKind.KILL_REPLICA)
    world.until_over()
    assert world.struck == 0
    assert world.memory.drills[-1].because.code is Code.DRILL_NOT_MEASURED


def test_what_can_not_be_undone_ends_the_drill_and_goes_on_being_undone() -> None:
    world = Rehearsal(memory=service(), lag=1)
    order = world.run(DrillKind.FREEZE_METRICS)
    while world.memory.drill is None or world.memory.drill.phase is not DrillPhase.STRUCK:
        world.step()
    world.lag = 200
    world.stuck = True
    world.until_over()
    report = world.memory.drills[-1]
    assert (report.because.code, report.verdict) == (Code.DRILL_NOT_UNDONE, DrillVerdict.INCONCLUSIVE)
    assert not report.undone
    assert report.ended_at < report.began_at + 70
    assert Undo(drill=1) in list(reconcile(SERVICE, world.memory, world.seen()))
    refused = refusal(world.memory, world.seen(), order)
    assert refused is not None
    assert refused.fields["why"] == "drill 1 is not undone yet"


def test_a_deploy_ends_a_drill_and_waits_until_it_is_undone() -> None:
    world = Rehearsal(memory=service(), lag=3)
    world.run(DrillKind.HANG_REPLICA)
    while world.memory.drill is None or world.memory.drill.phase is not DrillPhase.STRUCK:
        world.step()
    world.memory = deploy(world.memory)
    for _ in range(LIMIT):
        done = rehearse(world.memory, world.seen(), Now(wall=world.at))
        passes = bool(done.memory.commands)
        assert not passes or world.fault is None or world.fault.undone_at is not None
        if passes:
            break
        world.step()
    assert world.memory.drill is None or done.memory.drill is None
    assert (world.memory.drills or done.memory.drills)[-1].because.code is Code.DRILL_GAVE_WAY


def test_a_clock_that_is_set_back_makes_no_lease_longer() -> None:
    world = Rehearsal(memory=service())
    world.run(DrillKind.FREEZE_METRICS, lasts_s=10.0)
    while world.memory.drill is None or world.memory.drill.lease is None:
        world.step()
    world.at -= 3600
    world.step()
    assert world.memory.drill.lease.until <= world.at + 10.0
    world.until_over()


def seen(count: int, ready: int) -> Facts:
    world = Rehearsal(memory=service(), count=count)
    found = world.seen()
    states = tuple(
        replace(one, state=ReplicaState.READY if one.id.index < ready else ReplicaState.STARTING)
        for one in found.replicas.value  # type: ignore[union-attr]
    )
    return replace(found, replicas=replace(found.replicas, value=states))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "ready", "refused"), [(2, 2, False), (2, 1, True), (1, 1, True), (3, 3, False), (3, 2, True)]
)
def test_it_is_refused_where_too_few_would_be_left(count: int, ready: int, refused: bool) -> None:
    memory = service(count)
    assert memory.settings is not None
    order = order_of(DrillKind.KILL_REPLICA, memory.settings)
    assert (refusal(memory, seen(count, ready), order) is not None) is refused
    if refused:
        insisted = replace(order, insists=True)
        assert refusal(memory, seen(count, ready), insisted) is None


def test_the_zone_that_is_struck_is_the_one_that_must_be_spared() -> None:
    memory = service(3, zones=("a", "b"))
    there = seen(3, 3)
    zoned = tuple(
        replace(one, zone="b" if one.id.index == 1 else "a")
        for one in there.replicas.value  # type: ignore[union-attr]
    )
    there = replace(there, replicas=replace(there.replicas, value=zoned))  # type: ignore[arg-type]
    assert memory.settings is not None
    order = order_of(DrillKind.KILL_ZONE, memory.settings)
    # Survives a replica: zone b has one, zone a has two.
    for number, refused in ((1, True), (2, False), (3, True)):
        assert (refusal(memory, there, order) is not None) is refused
        lost = victims(memory, there, DrillKind.KILL_ZONE, number)
        assert len(lost) == (2 if refused else 1)
        memory = past(memory, order, lost)


def test_a_release_that_moves_is_a_reason_to_refuse() -> None:
    memory = deploy(service())
    assert memory.settings is not None
    found = refusal(memory, seen(2, 2), order_of(DrillKind.KILL_REPLICA, memory.settings))
    assert found is not None
    assert "a release waits to begin" in str(found.fields["why"])


def past(memory: Memory, order: DrillOrder, hit: tuple[Victim, ...]) -> Memory:
    """The same after a drill that hit these."""
    ended = DrillReport(
        number=len(memory.drills) + 1,
        order=order,
        verdict=DrillVerdict.PASS,
        because=because(Code.STEADY),
        measured=Measured(),
        victims=hit,
        began_at=0.0,
        ended_at=1.0,
    )
    return replace(memory, drills=(*memory.drills, ended))


def test_drills_of_a_kind_take_turns_whatever_else_is_run_in_between() -> None:
    memory, there, hit = service(3), seen(3, 3), []
    assert memory.settings is not None
    for number in range(1, 5):
        found = victims(memory, there, DrillKind.KILL_REPLICA, number)
        assert found == victims(memory, there, DrillKind.KILL_REPLICA, number + 7)
        hit.append(found[0].replica.index)  # type: ignore[union-attr]
        memory = past(memory, order_of(DrillKind.KILL_REPLICA, memory.settings), found)  # type: ignore[arg-type]
        memory = past(memory, order_of(DrillKind.FILL_DISK, memory.settings), ())  # type: ignore[arg-type]
    assert hit == [0, 1, 2, 0]


def test_it_hits_who_has_the_requests_and_not_who_was_live_before() -> None:
    memory, there = service(2), seen(2, 2)
    assert memory.live is not None
    other = RevisionId("0" * 12)
    all_of_them = (Route(split=(Part(revision=other, share=FULL),)),)
    moved = replace(memory, goal=place(memory, all_of_them))
    assert victims(memory, there, DrillKind.KILL_REPLICA, 1)
    assert victims(moved, there, DrillKind.KILL_REPLICA, 1) == ()


def test_a_held_request_may_wait_for_its_try_to_end() -> None:
    settings = service(2).settings
    assert settings is not None
    slow = replace(
        settings, route=replace(settings.route, retry=replace(settings.route.retry, per_try_s=7.0))
    )
    assert order_of(DrillKind.HANG_REPLICA, slow).rto_s == 8.0
    assert order_of(DrillKind.HANG_REPLICA, slow).lasts_s > 7.0


def test_the_standby_set_is_spared_when_all_of_the_first_is_killed() -> None:
    memory, there = service(2, standby=1), seen(3, 3)
    last = there.replicas.value[-1]  # type: ignore[union-attr]
    standby = replace(last, id=replace(last.id, index=STANDBY_FROM))
    there = replace(
        there,
        replicas=replace(there.replicas, value=(*there.replicas.value[:-1], standby)),  # type: ignore[union-attr, arg-type]
    )
    hit = victims(memory, there, DrillKind.KILL_FIRST_PRIORITY, 1)
    assert {victim.replica.index for victim in hit if victim.replica} == {0, 1}
    assert Arm.STANDBY
    assert refusal(memory, there, order_of(DrillKind.KILL_FIRST_PRIORITY, memory.settings)) is None  # type: ignore[arg-type]
