"""Replicas of a control arm: their own numbers, their own endpoints, and otherwise replicas like any other."""

from dataclasses import replace

import pytest
from release_given import BLUE, ROUTE, SERVICE, tree

from celadon.control.reconcile import reconcile, wish
from celadon.domain.action import StartReplica, StopReplica
from celadon.domain.facts import (
    Facts,
    Known,
    ReplicaFact,
    ReplicaState,
    RouteFacts,
    SourceFact,
    SourceState,
    Unknown,
)
from celadon.domain.goal import Arm, Goal, Part, ReplicaSet, Route, Stamp
from celadon.domain.memory import Memory
from celadon.domain.names import CONTROL_FROM, Address, ReplicaId
from celadon.domain.plan import FULL
from celadon.domain.spec import Exactly

MAIN = ReplicaSet(revision=BLUE.id, count=Exactly(replicas=2))
CONTROL = ReplicaSet(revision=BLUE.id, arm=Arm.CONTROL, count=Exactly(replicas=1))
GOAL = Goal(
    stamp=Stamp(epoch=1, seq=1),
    route=ROUTE,
    routes=(Route(split=(Part(revision=BLUE.id, share=FULL),)),),
    replicas=(MAIN, CONTROL),
)


def replica(index: int, state: ReplicaState = ReplicaState.READY) -> ReplicaFact:
    address = Address(host="127.0.0.1", port=2000 + index)
    name = ReplicaId(service=SERVICE, revision=BLUE.id, index=index)
    return ReplicaFact(id=name, state=state, since=0.0, address=address)


def facts(*replicas: ReplicaFact, served: RouteFacts | None = None) -> Facts:
    verified = SourceFact(state=SourceState.VERIFIED, path="/models", at=5.0)
    return Facts(
        at=10.0,
        replicas=Known(value=replicas, taken_at=10.0),
        routes=Known(value=served or RouteFacts(), taken_at=10.0),
        samples=Unknown(why="nobody counts here"),
        sources={tree("b"): verified},
    )


def memory(goal: Goal = GOAL) -> Memory:
    return Memory(service=SERVICE, live=BLUE.id, revisions={BLUE.id: BLUE}, goal=goal)


def test_each_arm_is_started_under_its_own_numbers():
    begun = reconcile(SERVICE, memory(), facts(replica(0)))
    assert {a.replica.index for a in begun if isinstance(a, StartReplica)} == {1, CONTROL_FROM}
    begun = reconcile(SERVICE, memory(), facts(replica(0), replica(1), replica(CONTROL_FROM)))
    assert not [a for a in begun if isinstance(a, StartReplica | StopReplica)]


def test_a_control_replica_is_no_endpoint_of_the_main_arm_and_has_the_same_health_check():
    there = facts(replica(0), replica(1), replica(CONTROL_FROM))
    wanted = wish(SERVICE, memory(), GOAL, there)
    ((revision, main),) = wanted.endpoints
    ((of, control),) = wanted.controls
    assert revision == of == BLUE.id
    assert {e.address.port for e in main} == {2000, 2001}
    assert {e.address.port for e in control} == {2000 + CONTROL_FROM}
    assert dict(wanted.ready) == {BLUE.id: BLUE.ready}


@pytest.mark.parametrize("drained", [False, True])
def test_a_control_replica_that_is_not_wanted_any_more_drains_before_it_stops(drained):
    control = replica(CONTROL_FROM)
    there = facts(replica(0), replica(1), control)
    goal = replace(GOAL, replicas=(MAIN,))
    wanted = wish(SERVICE, memory(goal), goal, there)
    ((_, points),) = wanted.controls
    assert [e.draining for e in points] == [True]
    addresses = frozenset({control.address} if drained else ())
    served = RouteFacts(confirmed=wanted, drained=addresses, unrouted={control.address: 9.0})
    begun = reconcile(SERVICE, memory(goal), replace(there, routes=Known(value=served, taken_at=10.0)))
    assert [a.replica for a in begun if isinstance(a, StopReplica)] == ([control.id] if drained else [])


@pytest.mark.parametrize(
    ("goal_at", "seen_at", "stopped"),
    [
        pytest.param(9.0, 9.0, True, id="after"),
        pytest.param(9.5, 9.0, False, id="before"),
        pytest.param(3_600.0, 9.0, True, id="goal before the clock was set back"),
        pytest.param(9.0, 3_600.0, False, id="routes before the clock was set back"),
        pytest.param(3_600.0, 3_599.0, False, id="both, and before"),
    ],
)
def test_routes_that_were_seen_before_the_goal_was_recorded_stop_nothing(goal_at, seen_at, stopped):
    """What was asked for under the goal before may have come into force since."""
    control = replica(CONTROL_FROM)
    goal = replace(GOAL, replicas=(MAIN,))
    shown = wish(SERVICE, memory(goal), goal, facts(replica(0), replica(1)))
    routes = Known(value=RouteFacts(confirmed=shown), taken_at=seen_at)
    there = replace(facts(replica(0), replica(1), control), routes=routes)
    begun = reconcile(SERVICE, replace(memory(goal), goal_at=goal_at), there)
    assert [a.replica for a in begun if isinstance(a, StopReplica)] == ([control.id] if stopped else [])


def test_a_control_replica_that_some_route_still_names_is_not_stopped():
    control = replica(CONTROL_FROM)
    there = facts(replica(0), replica(1), control)
    served = RouteFacts(confirmed=wish(SERVICE, memory(), GOAL, there))
    goal = replace(GOAL, replicas=(MAIN,))
    begun = reconcile(SERVICE, memory(goal), replace(there, routes=Known(value=served, taken_at=10.0)))
    assert not [a for a in begun if isinstance(a, StopReplica)]


@pytest.mark.parametrize("gone", [False, True])
def test_of_a_service_that_leaves_nothing_stops_while_some_route_of_it_is_there(gone):
    """A replica that was started again is reached by a wish that was in force and has not been shown as such."""
    there = facts(replica(0), replica(1))
    shown = wish(SERVICE, memory(), GOAL, facts(replica(0)))
    goal = replace(GOAL, route=None, routes=(), replicas=())
    served = RouteFacts(confirmed=None if gone else shown)
    begun = reconcile(SERVICE, memory(goal), replace(there, routes=Known(value=served, taken_at=10.0)))
    stopped = [a.replica.index for a in begun if isinstance(a, StopReplica)]
    assert stopped == ([0, 1] if gone else [])
