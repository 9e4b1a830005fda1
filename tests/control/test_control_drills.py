"""Stories of drills through the whole tick with its real journal: a failure, a crash, a deploy in between."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from control_asked import ask, deploy
from control_world import World
from release_given import BLUE, GREEN, SERVICE, settings

from celadon.control.drilling import end_drill
from celadon.control.engine import Engine
from celadon.control.others import others
from celadon.control.rehearsals import Parts, Rehearsals
from celadon.domain.command import Deploy, EndDrill, RunDrill
from celadon.domain.drill import (
    Drill,
    DrillFacts,
    DrillKind,
    DrillPhase,
    DrillVerdict,
    FaultFact,
    Lease,
    Measured,
    ProbeFact,
)
from celadon.domain.launch import Asks
from celadon.domain.names import ServiceKey
from celadon.domain.problem import ProblemsError
from celadon.domain.reason import Code
from celadon.doors.api.drills import read_order
from celadon.observe.probe import DrillProbes
from celadon.platform.process import Again, ProcessLeases
from celadon.resilience.drill import next_drill, order_of


@dataclass
class Drills:
    """What fails and what measures in the small world. It outlives the daemon, as the real ones do."""

    world: World
    probing: int = 0
    began_at: float = 0.0
    fault: FaultFact | None = None
    until: float = 0.0
    undone: int = 0

    def observe(self, service: ServiceKey, drill: Drill | None) -> DrillFacts:
        if self.fault is not None and self.fault.undone_at is None and self.world.at >= self.until:
            self.fault = replace(self.fault, undone_at=self.until)
        return DrillFacts(probe=self._measured(drill) if self.probing else None, fault=self.fault)

    def _measured(self, drill: Drill | None) -> ProbeFact:
        struck_at = drill.struck_at if drill and drill.struck_at else self.world.at
        before = round(25 * (struck_at - self.began_at))
        since = Measured(requests=round(25 * (self.world.at - struck_at)))
        return ProbeFact(
            drill=self.probing,
            before=before,
            ok_before=before,
            measured=since,
            clear_to=self.world.at,
            steady=True,
        )

    def probe(self, service: ServiceKey, drill: Drill, asks: Asks) -> None:
        assert (asks.golden, asks.ready) == (None, "/healthz/ready")
        self.probing, self.began_at = drill.number, self.world.at

    def strike(self, service: ServiceKey, lease: Lease) -> None:
        goal = self.world.memory.goal
        assert goal is not None
        assert lease in goal.leases, "a failure without a recorded lease"
        assert self.fault is None, "a failure was made twice"
        self.fault = FaultFact(drill=lease.drill, struck_at=self.world.at, hit=1)
        self.until = lease.until

    def undo(self, service: ServiceKey, drill: int) -> None:
        assert self.fault is not None
        self.world.journal.disk.free()
        self.fault = replace(self.fault, undone_at=self.world.at)
        self.undone += 1

    def forget(self, service: ServiceKey) -> None:
        assert self.fault is None or self.fault.undone_at is not None, "forgotten while it lasts"
        self.probing, self.fault = 0, None


@pytest.fixture
def drills(world: World) -> Iterator[Drills]:
    made = Drills(world)
    world.effects = replace(world.effects, drills=made)
    deploy(world, BLUE)
    world.until_ended()
    yield made
    assert made.fault is None or made.fault.undone_at is not None


def run(world: World, kind: DrillKind = DrillKind.FREEZE_METRICS, **given: object) -> None:
    settings = world.memory.settings
    assert settings is not None
    order = order_of(kind, settings, **given)  # type: ignore[arg-type]
    ask(world, RunDrill(drill=next_drill(world.memory), order=order))


@contextmanager
def led(world: World) -> Iterator[Engine]:
    """An engine over the world's journal that does not tick: the world does."""
    engine = Engine(world.journal, world.effects)

    async def lead() -> None:
        engine.start(world.memory.epoch + 1)
        await engine.close()

    asyncio.run(lead())
    yield engine


def until_phase(world: World, phase: DrillPhase) -> None:
    for _ in range(100):
        world.step()
        if world.memory.drill is not None and world.memory.drill.phase is phase:
            return
    raise AssertionError(f"never {phase}: {world.memory.drill}")


def until_over(world: World) -> None:
    for _ in range(400):
        world.step()
        if world.memory.drill is None:
            return
    raise AssertionError(f"the drill did not end: {world.memory.drill}")


def test_a_drill_is_measured_struck_undone_and_told(world: World, drills: Drills) -> None:
    run(world)
    until_over(world)
    report = world.memory.drills[-1]
    assert (report.verdict, report.undone) == (DrillVerdict.INCONCLUSIVE, True)
    assert report.struck_at is not None
    assert report.began_at + 4 < report.struck_at < report.ended_at
    world.step()
    assert (drills.probing, drills.fault) == (0, None)
    codes = [
        record.body["reason"]["code"]
        for record in world.journal.records(SERVICE)
        if "drill" in str(record.body.get("reason", ""))
    ]
    assert codes == [
        Code.DRILL_BEGAN,
        Code.DRILL_STRIKES,
        Code.DRILL_STRUCK,
        Code.DRILL_OVER,
        Code.DRILL_UNWATCHED,
    ]


@pytest.mark.parametrize("phase", list(DrillPhase))
def test_a_daemon_that_dies_goes_on_with_the_drill(world: World, drills: Drills, phase: DrillPhase) -> None:
    run(world, lasts_s=6.0)
    until_phase(world, phase)
    world.crash()
    until_over(world)
    assert world.memory.drills[-1].because.code is Code.DRILL_UNWATCHED
    assert world.memory.goal is not None
    assert world.memory.goal.leases == ()


def test_a_lease_that_ended_while_no_daemon_was_there_is_not_made_again(world: World, drills: Drills) -> None:
    run(world, lasts_s=6.0)
    until_phase(world, DrillPhase.STRUCK)
    world.crash()
    world.at += 60.0
    until_over(world)
    assert world.memory.drills[-1].undone
    assert drills.undone == 0


def test_a_deploy_waits_until_the_drill_is_undone(world: World, drills: Drills) -> None:
    run(world, lasts_s=600.0)
    until_phase(world, DrillPhase.STRUCK)
    deploy(world, GREEN)
    while world.memory.release is None:
        world.step()
    assert drills.fault is None or drills.fault.undone_at is not None
    assert world.memory.drills[-1].because.code is Code.DRILL_GAVE_WAY
    world.until_ended()
    assert world.memory.live == GREEN.id
    assert world.lost == 0


def test_a_person_may_end_it_before_its_time(world: World, drills: Drills) -> None:
    run(world, lasts_s=600.0)
    until_phase(world, DrillPhase.STRUCK)
    ask(world, EndDrill(drill=1))
    until_over(world)
    assert drills.undone == 1
    assert world.memory.drills[-1].because.code is Code.DRILL_ENDS_EARLY


def test_a_person_may_end_a_full_disk_that_would_refuse_the_command(world: World, drills: Drills) -> None:
    run(world, DrillKind.FILL_DISK, lasts_s=30.0)
    until_phase(world, DrillPhase.STRUCK)
    with led(world) as engine:
        world.journal.disk.fill()
        end_drill(engine, SERVICE)
    until_over(world)
    assert drills.undone == 1
    assert world.memory.drills[-1].because.code is Code.DRILL_ENDS_EARLY


def test_a_full_disk_is_not_asked_for_longer_than_all_services_may_stand_still(
    world: World, drills: Drills
) -> None:
    assert drills.fault is None
    settings = world.memory.settings
    assert read_order({"kind": "fill-disk", "lasts_s": 30}, settings).lasts_s == 30
    with pytest.raises(ProblemsError, match="a full disk for 31 s"):
        read_order({"kind": "fill-disk", "lasts_s": 31}, settings)
    assert read_order({"kind": "hang-replica", "lasts_s": 31}, settings).lasts_s == 31


def test_a_drill_sends_no_more_requests_than_can_be_weighed(world: World, drills: Drills) -> None:
    assert drills.fault is None
    order = {"kind": "hang-replica", "rate": 500, "before_s": 5}
    assert read_order({**order, "lasts_s": 35}, world.memory.settings).rate == 500
    with pytest.raises(ProblemsError, match="20500 requests in all"):
        read_order({**order, "lasts_s": 36}, world.memory.settings)


OTHER = ServiceKey(name="other")


def test_what_reaches_all_services_spares_a_release_that_began_while_callers_were_watched(
    world: World, drills: Drills
) -> None:
    run(world, DrillKind.FILL_DISK, lasts_s=3.0)
    until_phase(world, DrillPhase.MEASURING)
    world.journal.ask(OTHER, Deploy(release="other-1", revision=BLUE, settings=settings()), world.at)
    until_over(world)
    report = world.memory.drills[-1]
    assert report.because.code is Code.DRILL_NOT_HIT
    assert "a release of other waits to begin" in str(report.because.fields["why"])
    assert drills.fault is None


def test_a_drill_of_another_service_keeps_all_of_them_busy_while_it_waits(
    world: World, drills: Drills
) -> None:
    assert drills.fault is None
    assert others(world.journal, SERVICE) == ""
    live = world.memory.settings
    assert live is not None
    drill = RunDrill(drill=1, order=order_of(DrillKind.KILL_DAEMON, live))
    world.journal.ask(OTHER, drill, world.at)
    assert others(world.journal, SERVICE) == "a drill of other waits to begin"


def test_a_second_drill_is_refused_and_the_first_one_goes_on(world: World, drills: Drills) -> None:
    run(world)
    until_phase(world, DrillPhase.STRUCK)
    run(world)
    world.step()
    assert world.view is not None
    assert world.view.because.code is Code.DRILL_REFUSED
    assert world.memory.commands == ()
    until_over(world)
    assert [one.number for one in world.memory.drills] == [1]


def test_a_probe_that_can_not_be_read_is_told_and_is_still_looked_at(tmp_path: Path) -> None:
    folder = tmp_path / "drills" / "default" / SERVICE.name / "probe-1"
    folder.mkdir(parents=True)
    (folder / "order.json").write_text("{}")
    told = folder / "told.jsonl"
    told.write_text("no JSON\n")
    again = Again(lock=tmp_path / "lock", argv=("true",), cwd=tmp_path, log=tmp_path / "log")
    parts = Parts(
        leases=ProcessLeases(tmp_path, again),
        probes=DrillProbes(tmp_path, tmp_path / "socket"),
        disk=None,  # type: ignore[arg-type] -- neither fails here
        counters=None,  # type: ignore[arg-type]
        marked=lambda _, seqs: frozenset(seqs),
        replica=lambda _: None,
        proxies=tuple,
        daemon=(1, "1"),
    )
    woken: list[ServiceKey] = []

    async def looked(times: int) -> None:
        deadline = time.monotonic() + 20
        while len(woken) < times:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)

    async def story() -> None:
        made = Rehearsals(parts, woken.append)
        made.start()
        await looked(1)
        probe = made.observe(SERVICE, None).probe
        assert probe is not None
        assert (probe.over, probe.why.split(":")[0]) == (True, "it could not be read")
        with told.open("a") as file:
            file.write('{"asked": [], "confirmed": [], "now": 1.0, "oldest": null}\n')
        await looked(2)
        await made.close()

    asyncio.run(story())


def test_where_nobody_can_measure_nothing_is_done(world: World) -> None:
    deploy(world, BLUE)
    world.until_ended()
    run(world)
    until_over(world)
    assert world.memory.drills[-1].because.code is Code.DRILL_NOT_MEASURED
