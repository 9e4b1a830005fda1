"""Zones and standbys: replicas keep to their places, and move only where the others carry on."""

from dataclasses import replace

import pytest
from release_given import BLUE, GREEN, ROUTE, SERVICE, deploy, live, settings
from test_control_arms import facts, replica

from celadon.control.reconcile import reconcile, wish
from celadon.domain.action import StartReplica, StopReplica
from celadon.domain.facts import Known, ReplicaFact, ReplicaState, RouteFacts
from celadon.domain.goal import Arm, Cover, Goal, Part, ReplicaSet, Route, Stamp, arm_of, zone_of
from celadon.domain.memory import Memory
from celadon.domain.names import CONTROL_FROM, STANDBY_FROM, ReplicaId
from celadon.domain.plan import FULL
from celadon.domain.release import Predecessor
from celadon.domain.spec import Exactly, Redundancy, Survives
from celadon.release.commands import begin
from celadon.resilience.place import place

PLAN = Redundancy(zones=("a", "b"), survives=Survives.ZONE, standby=1, hang_s=1.0)
MAIN = ReplicaSet(revision=BLUE.id, count=Exactly(replicas=4), redundancy=PLAN)
STANDBY = replace(MAIN, arm=Arm.STANDBY, count=Exactly(replicas=1))
NUMBERS = (0, 1, 2, 3, STANDBY_FROM)


def memory(plan: Redundancy = PLAN) -> Memory:
    """A service at rest under this plan."""
    goal = Goal(
        stamp=Stamp(epoch=1, seq=1),
        route=ROUTE,
        routes=(Route(split=(Part(revision=BLUE.id, share=FULL),)),),
        replicas=(replace(MAIN, redundancy=plan), replace(STANDBY, redundancy=plan)),
    )
    return Memory(service=SERVICE, live=BLUE.id, revisions={BLUE.id: BLUE}, goal=goal)


def all_of_it(zones: tuple[str, ...] = ("a", "b")) -> dict[int, ReplicaFact]:
    """Every replica, ready and where it belongs."""
    return {n: replace(replica(n), zone=zone_of(n, zones)) for n in NUMBERS}


def test_standbys_have_numbers_and_endpoints_of_their_own_and_are_nobodys_control():
    there = facts(*all_of_it().values())
    assert there.ready(BLUE.id) == 4
    assert there.control_of(BLUE.id) == ()
    wanted = wish(SERVICE, memory(), memory().goal, there)
    ((_, points),) = wanted.endpoints
    assert [(e.address.port - 2000, e.standby, e.zone) for e in points] == [
        (0, False, "a"),
        (1, False, "b"),
        (2, False, "a"),
        (3, False, "b"),
        (STANDBY_FROM, True, "a"),
    ]
    assert wanted.controls == ()
    assert dict(wanted.covers) == {BLUE.id: Cover(replicas=4, spare=2, standby=1, hang_s=1.0)}
    begun = reconcile(SERVICE, memory(), facts())
    assert {a.replica.index for a in begun if isinstance(a, StartReplica)} == set(NUMBERS)


def test_every_way_back_has_a_standby_as_well():
    under = replace(settings(replicas=4), redundancy=PLAN)
    kept = Predecessor(revision=GREEN.id, since=0.0, hold_s=100.0)
    at_rest = replace(live(BLUE), settings=under, predecessor=kept)
    at_rest = replace(at_rest, revisions={BLUE.id: BLUE, GREEN.id: GREEN})
    sets = {(one.revision, one.arm): one.wanted for one in place(at_rest, ()).replicas}
    assert sets == {
        (BLUE.id, Arm.MAIN): 4,
        (BLUE.id, Arm.STANDBY): 1,
        (GREEN.id, Arm.MAIN): 4,
        (GREEN.id, Arm.STANDBY): 1,
    }


def test_green_stands_where_its_own_settings_say_and_promotion_moves_nothing():
    asked = deploy(replace(live(BLUE), settings=replace(settings(), redundancy=PLAN)))
    command = asked.commands[0].command
    other = replace(PLAN, zones=("x", "y"))
    moving, _ = begin(asked, replace(command, settings=replace(command.settings, redundancy=other)), 0.0)
    during = place(moving, ())
    promoted = replace(moving, live=GREEN.id, settings=moving.release.settings, release=None)
    for index in (0, 1, STANDBY_FROM):
        of = ReplicaId(service=SERVICE, revision=GREEN.id, index=index)
        assert during.zone_of(of) == place(promoted, ()).zone_of(of) == zone_of(index, ("x", "y"))
        assert during.zone_of(replace(of, revision=BLUE.id)) == zone_of(index, ("a", "b"))


def test_what_leaves_keeps_what_the_proxy_was_told_of_it():
    before = wish(SERVICE, memory(), memory().goal, facts(*all_of_it().values()))
    bare = replace(memory().goal, replicas=())
    there = facts(*all_of_it().values(), served=RouteFacts(confirmed=before))
    assert wish(SERVICE, replace(memory(), goal=bare), bare, there).covers == before.covers


class Zones:
    """Replicas that do as they are told: one step of the world after each look."""

    def __init__(self, plan: Redundancy, there: dict[int, ReplicaFact]) -> None:
        self.memory, self.there = memory(plan), there
        self.fewest_ready = 9

    def step(self) -> None:
        """Look, begin, and let it come to pass."""
        seen = facts(*(self.there[n] for n in sorted(self.there)))
        wanted = wish(SERVICE, self.memory, self.memory.goal, seen)
        ((_, points),) = wanted.endpoints
        quiet = frozenset(e.address for e in points if e.draining)
        served = RouteFacts(confirmed=wanted, drained=quiet, unrouted=dict.fromkeys(quiet, 9.9))
        begun = reconcile(SERVICE, self.memory, replace(seen, routes=Known(value=served, taken_at=10.0)))
        carrying = [e for e in points if not e.draining and not e.standby]
        self.fewest_ready = min(self.fewest_ready, len(carrying))
        for n, one in list(self.there.items()):
            if one.state is ReplicaState.STOPPING:
                del self.there[n]
            elif one.state is ReplicaState.STARTING:
                self.there[n] = replace(one, state=ReplicaState.READY)
        for action in begun:
            self._follow(action)

    def _follow(self, action: object) -> None:
        match action:
            case StartReplica(replica=of):
                zone = self.memory.goal.zone_of(of)
                self.there[of.index] = replace(replica(of.index, ReplicaState.STARTING), zone=zone)
            case StopReplica(replica=of):
                self.there[of.index] = replace(self.there[of.index], state=ReplicaState.STOPPING)


def test_other_zones_are_moved_into_one_replica_at_a_time():
    world = Zones(replace(PLAN, zones=("b", "c")), all_of_it())
    for _ in range(60):
        world.step()
    assert {n: one.zone for n, one in world.there.items()} == {n: zone_of(n, ("b", "c")) for n in NUMBERS}
    assert world.fewest_ready == 3


@pytest.mark.parametrize("hindrance", ["a replica is not ready", "none may be missing", "a release"])
def test_nothing_moves_where_the_others_would_not_carry_on(hindrance):
    plan, there = replace(PLAN, zones=("b", "c")), all_of_it()
    if hindrance == "a replica is not ready":
        there[1] = replace(there[1], state=ReplicaState.UNREADY)
    if hindrance == "none may be missing":
        plan = replace(plan, survives=Survives.NOTHING)
        there[STANDBY_FROM] = replace(there[STANDBY_FROM], zone="b")
    world = Zones(plan, there)
    if hindrance == "a release":
        moving, _ = begin(deploy(live(BLUE)), deploy(live(BLUE)).commands[0].command, 0.0)
        world.memory = replace(world.memory, release=moving.release, revisions=moving.revisions)
    before = dict(there)
    for _ in range(5):
        world.step()
    assert world.there == before


def test_one_that_ended_elsewhere_is_started_where_it_belongs_and_not_stopped_as_well():
    there = all_of_it()
    surplus = max(n for n in there if arm_of(n) is Arm.MAIN) + 1
    there[surplus] = replace(replica(surplus), zone="a")
    there[0] = replace(there[0], state=ReplicaState.EXITED, zone="c", address=None)
    begun = reconcile(SERVICE, memory(), facts(*(there[n] for n in sorted(there))))
    started = [one.replica.index for one in begun if isinstance(one, StartReplica)]
    stopped = [one.replica.index for one in begun if isinstance(one, StopReplica)]
    assert (started, stopped) == ([0], [surplus])


def test_a_replica_that_is_not_wanted_any_more_stands_in_for_none_that_moves():
    there = all_of_it(("b", "c"))
    surplus = max(n for n in there if arm_of(n) is Arm.MAIN) + 1
    there[surplus] = replace(replica(surplus), zone="a")
    there[0] = replace(there[0], state=ReplicaState.EXITED, address=None)
    begun = reconcile(SERVICE, memory(), facts(*(there[n] for n in sorted(there))))
    stopped = [one.replica.index for one in begun if isinstance(one, StopReplica)]
    assert stopped == [surplus], "all but one of the first set are in another zone, and one is away"


def test_the_number_of_a_replica_tells_its_arm_and_any_first_ones_are_spread_evenly():
    assert [arm_of(n) for n in (0, 999, CONTROL_FROM, STANDBY_FROM)] == [
        Arm.MAIN,
        Arm.MAIN,
        Arm.CONTROL,
        Arm.STANDBY,
    ]
    for arm in Arm:
        dealt = [zone_of(n, ("a", "b", "c")) for n in replace(MAIN, arm=arm).indices]
        for first in range(1, 5):
            counts = [dealt[:first].count(zone) for zone in ("a", "b", "c")]
            assert max(counts) - min(counts) <= 1
