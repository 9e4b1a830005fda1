"""What blue can carry decides how requests return, and nothing is taken away before the rest can do without it."""

from dataclasses import replace

from control_asked import ask, deploy
from control_world import World
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from release_given import BLUE, GREEN, ROUTE, SERVICE, facts, settings, wanted
from release_policies import MATCH

from celadon.control.reconcile import reconcile, wish
from celadon.domain.action import StopReplica
from celadon.domain.command import Abort, Promote, Rollback
from celadon.domain.compare import Compare
from celadon.domain.facts import Facts, Known, ReplicaFact, ReplicaState, RouteFacts
from celadon.domain.goal import Goal, Part, ReplicaSet, Route, Stamp
from celadon.domain.memory import Memory
from celadon.domain.names import CONTROL_FROM, STANDBY_FROM, Address, ReplicaId, RevisionId
from celadon.domain.plan import FULL
from celadon.domain.reason import Code, text
from celadon.domain.release import Outcome, Phase
from celadon.domain.spec import AbTest, Ends, Exactly, Ramp, Redundancy, Settings, Step, Survives
from celadon.resilience.headroom import headroom, survives

COMPARE = Compare(rest_s=20.0)
RAMP = Ramp(steps=(Step(share=500, dwell_s=60),))
ON_BLUE = (Route(split=(Part(revision=BLUE.id, share=FULL),)),)


def bring_up(world: World, **given_too: object) -> None:
    deploy(world, BLUE, **given_too)
    world.until_ended()


def watching(world: World, **given_too: object) -> str:
    """Green has every request and is watched."""
    bring_up(world, **given_too)
    release = deploy(world, GREEN, **given_too)
    until(world, Phase.WATCHING)
    return release


def until(world: World, phase: Phase) -> None:
    for _ in range(100):
        moving = world.memory.release
        if moving is not None and moving.phase is phase:
            return
        world.step()
    raise AssertionError(f"{phase} never came; now {world.memory.release}")


def lose(world: World, revision: RevisionId, *indices: int) -> None:
    """These replicas are gone, and no other of theirs gets ready until `come_back`."""
    world.characters[revision].starts = False
    for key in [key for key in world.there if key.revision == revision and key.index in indices]:
        del world.there[key]


def come_back(world: World, revision: RevisionId) -> None:
    world.characters[revision].starts = True
    world.at += 60


def steps_told(world: World) -> list[str]:
    """The code of every decision, in order."""
    told = []
    for record in world.journal.records(SERVICE):
        told += [step["because"]["code"] for step in record.body.get("steps", ())]
        told += [record.body["reason"]["code"]] if "reason" in record.body else []
    return told


def test_a_short_blue_takes_back_what_it_can_carry_and_the_rest_as_its_replicas_get_ready(
    world: World,
) -> None:
    release = watching(world, replicas=4)
    lose(world, BLUE.id, 1, 2, 3)
    ask(world, Abort(release=release))
    world.step()
    assert world.split() == {GREEN.id: 7500, BLUE.id: 2500}
    view = world.step()
    assert text(view.because) == (
        "going back waits with 75 % of the requests on green: 1 of the 4 replicas that blue needs are ready"
    )
    come_back(world, BLUE.id)
    world.until_ended()
    assert world.split() == {BLUE.id: FULL}
    assert world.lost == 0
    told = steps_told(world)
    assert told.count("returns_in_steps") + told.count("returns_whole") <= 4
    assert told.index("aborted") < told.index("returns_in_steps") < told.index("returns_whole")


def test_what_may_be_lost_is_not_waited_for(world: World) -> None:
    release = watching(world, replicas=2, redundancy=Redundancy(survives=Survives.REPLICA))
    lose(world, BLUE.id, 1)
    ask(world, Abort(release=release))
    world.until_ended(limit=3)
    assert world.split() == {BLUE.id: FULL}
    assert "returns_in_steps" not in steps_told(world)


def test_a_green_that_is_lost_leaves_everything_to_a_blue_however_short_it_is(world: World) -> None:
    release = watching(world, replicas=4)
    lose(world, BLUE.id, 1, 2, 3)
    ask(world, Abort(release=release))
    world.step()
    lose(world, GREEN.id, 0, 1, 2, 3)
    world.until_ended(limit=4)
    assert world.split() == {BLUE.id: FULL}
    assert "returns_to_few" in steps_told(world)


def test_a_crash_in_mid_return_goes_on_where_it_was(world: World) -> None:
    release = watching(world)
    lose(world, BLUE.id, 1)
    ask(world, Abort(release=release))
    world.step()
    world.crash()
    world.step()
    assert world.split() == {GREEN.id: 5000, BLUE.id: 5000}
    come_back(world, BLUE.id)
    world.until_ended()
    assert world.memory.last is not None
    assert (world.memory.last.outcome, world.split()) == (Outcome.ROLLED_BACK, {BLUE.id: FULL})


def whole_split(world: World) -> list[list[tuple[RevisionId, str, int]]]:
    """Every route as the router serves it: who gets how much, in which arm."""
    routes = world.confirmed.routes if world.confirmed else ()
    return [[(part.revision, part.arm.value, part.share) for part in route.split] for route in routes]


def test_who_was_not_in_a_test_is_not_sent_to_the_green_that_failed_it(world: World) -> None:
    world.rate = 2_000.0
    bring_up(world)
    test = AbTest(match=MATCH, share=5000, test_s=20, then=Ends.PROMOTED)
    deploy(world, GREEN, strategy=test, compare=COMPARE)
    until(world, Phase.WATCHING)
    lose(world, GREEN.id, 1)
    lose(world, BLUE.id, 1)
    before = whole_split(world)
    assert before == [[(GREEN.id, "main", 5000), (BLUE.id, "main", 5000)], [(BLUE.id, "main", FULL)]]
    until(world, Phase.ROLLING_BACK)
    world.step()
    assert (steps_told(world)[-1], whole_split(world)) == ("start_failed", before)


def test_harm_at_a_gate_is_turned_away_from_by_the_shares_before_it(world: World) -> None:
    world.rate = 2_000.0
    bring_up(world)
    steps = (Step(share=1000, dwell_s=5), Step(share=5000, dwell_s=5, gate=True))
    deploy(world, GREEN, strategy=Ramp(steps=steps, control=True), compare=COMPARE)
    until(world, Phase.WAITING)
    before = whole_split(world)
    assert before == [[(GREEN.id, "main", 1000), (BLUE.id, "main", 8000), (BLUE.id, "control", 1000)]]
    lose(world, BLUE.id, 1)
    world.characters[GREEN.id].error_share = 0.5
    until(world, Phase.ROLLING_BACK)
    world.step()
    assert whole_split(world) == before
    come_back(world, BLUE.id)
    world.until_ended()
    assert world.split() == {BLUE.id: FULL}


def test_a_green_that_stays_short_is_not_promoted(world: World) -> None:
    watching(world)
    lose(world, GREEN.id, 1)
    world.until_ended()
    assert world.memory.last is not None
    assert (world.memory.last.outcome, world.memory.live) == (Outcome.ROLLED_BACK, BLUE.id)
    assert world.split() == {BLUE.id: FULL}


def test_a_person_gives_no_more_requests_to_a_green_that_is_short(world: World) -> None:
    bring_up(world)
    release = deploy(world, GREEN, strategy=RAMP, compare=COMPARE)
    until(world, Phase.WATCHING)
    lose(world, GREEN.id, 1)
    ask(world, Promote(release=release))
    view = world.step()
    assert text(view.because) == (
        "a person asked to promote green, but 1 of the 2 replicas that green needs are ready"
    )
    assert world.split()[GREEN.id] == 500


def test_a_freeze_waits_for_a_blue_that_is_short(world: World) -> None:
    world.rate = 2_000.0
    bring_up(world)
    deploy(world, GREEN, strategy=RAMP, compare=COMPARE)
    until(world, Phase.WATCHING)
    lose(world, BLUE.id, 1)
    world.characters[GREEN.id].error_share = 0.03
    for _ in range(40):
        view = world.step()
        if view.because.code is Code.FREEZE_WAITS:
            break
    assert view.because.code is Code.FREEZE_WAITS
    assert world.split()[GREEN.id] == 500
    come_back(world, BLUE.id)
    for _ in range(4):
        world.step()
    assert world.split() == {BLUE.id: FULL}


def test_what_was_live_before_is_kept_until_what_is_live_can_carry_everything(world: World) -> None:
    watching(world)
    world.until_ended()
    assert world.memory.live == GREEN.id
    lose(world, GREEN.id, 1)
    world.at += 1_001
    view = world.step()
    assert view.because.code is Code.RETIRING_WAITS
    for _ in range(5):
        world.step()
    assert len([key for key in world.there if key.revision == BLUE.id]) == 2
    come_back(world, GREEN.id)
    for _ in range(8):
        world.step()
    assert {key.revision for key in world.there} == {GREEN.id}


def test_a_way_back_needs_no_more_replicas_than_carry_everything(world: World) -> None:
    watching(world, redundancy=Redundancy(survives=Survives.REPLICA))
    world.until_ended()
    lose(world, BLUE.id, 1)
    ask(world, Rollback(release="fraud-3", revision=BLUE.id))
    world.until_ended(limit=6)
    assert (world.memory.live, world.split()) == (BLUE.id, {BLUE.id: FULL})


def test_fewer_replicas_wait_for_those_that_stay(world: World) -> None:
    bring_up(world, replicas=4)
    lose(world, BLUE.id, 0)
    deploy(world, BLUE, replicas=2)
    for _ in range(6):
        world.step()
        ready = [one for one in world.there.values() if one.state is ReplicaState.READY]
        assert len(ready) >= 2
    come_back(world, BLUE.id)
    for _ in range(6):
        world.step()
    assert {key.index for key in world.there} == {0, 1}
    assert world.lost == 0


numbers = st.sampled_from([*range(6), CONTROL_FROM, STANDBY_FROM, STANDBY_FROM + 1])
states = st.sampled_from([*[ReplicaState.READY] * 4, *ReplicaState])
there_by_number = st.dictionaries(numbers, states, max_size=9)


def replica(revision: RevisionId, index: int, state: ReplicaState, zone: str = "") -> ReplicaFact:
    name = ReplicaId(service=SERVICE, revision=revision, index=index)
    port = (20_000 if revision == BLUE.id else 30_000) + index
    address = Address(host="127.0.0.1", port=port)
    return ReplicaFact(id=name, state=state, since=0.0, address=address, zone=zone)


def serving(count: int, redundancy: Redundancy) -> tuple[Memory, Settings]:
    """A service at rest with so many replicas of blue."""
    of = replace(settings(replicas=count), redundancy=redundancy)
    sets = (ReplicaSet(revision=BLUE.id, count=Exactly(replicas=count)),)
    goal = Goal(stamp=Stamp(epoch=1, seq=1), route=ROUTE, routes=ON_BLUE, replicas=sets)
    memory = Memory(service=SERVICE, settings=of, live=BLUE.id, revisions={BLUE.id: BLUE}, goal=goal)
    return memory, of


def drained(there: tuple[ReplicaFact, ...]) -> Facts:
    """Nobody has anything left to answer, so that nothing else keeps a replica from being stopped."""
    seen = facts(10.0, there)
    served = RouteFacts(
        confirmed=wanted(ON_BLUE, None, there),
        drained=frozenset(one.address for one in there if one.address),
    )
    return replace(seen, routes=Known(value=served, taken_at=10.0))


@given(
    blue=there_by_number, green=there_by_number, count=st.integers(1, 5), survive=st.sampled_from(Survives)
)
@examples(max_examples=300, deadline=None)
def test_no_stop_of_ours_leaves_less_than_carries_everything_and_never_nobody(
    blue: dict[int, ReplicaState], green: dict[int, ReplicaState], count: int, survive: Survives
) -> None:
    memory, of = serving(count, Redundancy(survives=survive))
    there = tuple(
        replica(revision, index, state)
        for revision, each in ((BLUE.id, blue), (GREEN.id, green))
        for index, state in each.items()
    )
    before = headroom(drained(there)).ready
    stopped = {a.replica for a in reconcile(SERVICE, memory, drained(there)) if isinstance(a, StopReplica)}
    after = headroom(drained(tuple(one for one in there if one.id not in stopped))).ready
    assert after.get(BLUE.id, 0) >= min(before.get(BLUE.id, 0), of.needed)
    assert not any(before.values()) or any(after.values()), "the last healthy set is never taken away"
    if before.get(BLUE.id, 0):
        kept = {one.id for one in there if one.id.revision == GREEN.id} - stopped
        assert all(one.state is ReplicaState.STOPPING for one in there if one.id in kept)


def test_nobody_is_stopped_whom_routes_may_reach_that_were_written_and_not_seen() -> None:
    memory, _ = serving(1, Redundancy())
    there = (replica(BLUE.id, 0, ReplicaState.READY), replica(GREEN.id, 0, ReplicaState.READY))
    served = RouteFacts(confirmed=wanted(ON_BLUE, None, there[:1]))
    idle = replace(facts(10.0, there), routes=Known(value=served, taken_at=10.0))
    written = replace(served, unseen=wanted(ON_BLUE, None, there))
    doubtful = replace(idle, routes=Known(value=written, taken_at=10.0))
    assert any(isinstance(a, StopReplica) for a in reconcile(SERVICE, memory, idle))
    assert not any(isinstance(a, StopReplica) for a in reconcile(SERVICE, memory, doubtful))


def test_no_time_is_watched_while_other_routes_may_be_in_force(world: World) -> None:
    watching(world)
    world.step()
    assert world.confirmed is not None
    world.unseen = replace(world.confirmed, routes=ON_BLUE)
    watched = dwelt(world)
    for _ in range(5):
        world.step()
    assert dwelt(world) == watched
    world.unseen = None
    world.step()
    assert dwelt(world) > watched


def dwelt(world: World) -> float:
    draft = world.draft
    assert draft is not None
    assert draft.memory.release is not None
    return draft.memory.release.dwelt_s


def test_old_news_take_nothing_away() -> None:
    memory, _ = serving(1, Redundancy())
    there = tuple(replica(BLUE.id, index, ReplicaState.READY) for index in range(3))
    assert any(isinstance(a, StopReplica) for a in reconcile(SERVICE, memory, drained(there)))
    old = replace(drained(there), at=20.0)
    assert not any(isinstance(a, StopReplica) for a in reconcile(SERVICE, memory, old))
    assert headroom(old).unknown
    assert not headroom(old).ready


def draining(memory: Memory, seen: Facts) -> set[Address]:
    """Where no new requests are wanted."""
    assert memory.goal is not None
    asked = wish(SERVICE, memory, memory.goal, seen)
    assert asked is not None
    return {point.address for _, points in asked.endpoints for point in points if point.draining}


def test_by_old_news_whoever_gets_requests_goes_on_getting_them() -> None:
    memory, _ = serving(1, Redundancy())
    there = tuple(replica(BLUE.id, index, ReplicaState.READY) for index in range(3))
    extra = {one.address for one in there[1:]}
    assert draining(memory, drained(there)) == extra
    old = replace(drained(there), at=20.0)
    assert draining(memory, old) == set()
    told = wish(SERVICE, memory, memory.goal, drained(there)) if memory.goal else None
    gone = replace(old, routes=Known(value=RouteFacts(confirmed=told), taken_at=20.0))
    assert draining(memory, gone) == extra, "who drains already may have been stopped since"


def test_by_old_news_nothing_moves_into_another_zone() -> None:
    plan = Redundancy(zones=("a", "b"), survives=Survives.REPLICA)
    memory, _ = serving(2, plan)
    there = tuple(replica(BLUE.id, index, ReplicaState.READY, "a") for index in range(2))
    assert memory.goal is not None
    goal = replace(memory.goal, replicas=(replace(memory.goal.replicas[0], redundancy=plan),))
    moving = replace(memory, goal=goal)
    assert len(draining(moving, drained(there))) == 1
    assert draining(moving, replace(drained(there), at=20.0)) == set()


def test_it_says_which_loss_would_not_be_survived() -> None:
    one_lost = Redundancy(survives=Survives.REPLICA)
    memory, _ = serving(2, one_lost)
    there = (replica(BLUE.id, 0, ReplicaState.READY), replica(BLUE.id, 1, ReplicaState.READY))
    assert survives(memory, drained(there)) is None
    why = survives(memory, drained(there[:1]))
    assert why is not None
    assert text(why) == (
        "would not survive the loss of one replica: 0 of the 1 replicas that it needs would be ready"
    )
    standby = replica(BLUE.id, STANDBY_FROM, ReplicaState.READY)
    assert survives(memory, drained((*there[:1], standby))) is None
    assert survives(serving(2, Redundancy())[0], drained(there[:1])) is None


def test_a_zone_is_survived_only_where_the_fullest_one_may_go() -> None:
    memory, _ = serving(4, Redundancy(zones=("a", "b"), survives=Survives.ZONE))
    spread = tuple(replica(BLUE.id, index, ReplicaState.READY, "ab"[index % 2]) for index in range(4))
    assert survives(memory, drained(spread)) is None
    crowded = tuple(replace(one, zone="a") for one in spread[:3]) + spread[3:]
    assert survives(memory, drained(crowded)) is not None
