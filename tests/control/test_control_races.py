"""Commands that arrive between any two ticks, and a world that is not as it was: nothing may hang or be lost."""

import asyncio
from dataclasses import replace

import pytest
from control_asked import ask, deploy
from control_world import World
from release_given import BLUE, GREEN, ROUTE, SERVICE, THIRD, settings

from celadon.control import accept
from celadon.control.engine import Engine
from celadon.domain.command import Abort, Asked, Deploy, Pause, Promote, Remove, Rollback
from celadon.domain.compare import Compare
from celadon.domain.facts import ReplicaState
from celadon.domain.problem import ProblemsError
from celadon.domain.release import Phase
from celadon.domain.revision import Revision
from celadon.domain.spec import Ramp, Step


def until(world: World, phase: Phase) -> None:
    for _ in range(100):
        if world.memory.release is not None and world.memory.release.phase is phase:
            return
        world.step()
    raise AssertionError(f"{phase} never came; now {world.memory.release}")


def asked_of(world: World, word: accept.Word, revision: str | None = None) -> Asked:
    """What a door does with a command, between two ticks."""

    async def ask_it() -> Asked:
        engine = Engine(world.journal, world.effects)
        engine.start(0)
        try:
            return accept.command(engine, SERVICE, word, revision)
        finally:
            await engine.close()

    return asyncio.run(ask_it())


def order(world: World, what: Revision, **given: object) -> accept.Accepted:
    """What the door does with a deploy, between two ticks."""

    async def deploy_it() -> accept.Accepted:
        engine = Engine(world.journal, world.effects)
        engine.start(0)
        try:
            wish = accept.Order(revision=what, settings=settings(**given))
            return accept.place_order(engine, SERVICE, wish)
        finally:
            await engine.close()

    return asyncio.run(deploy_it())


def test_a_loop_that_is_woken_as_it_closes_ends(world: World) -> None:
    async def closed(turns: int) -> None:
        engine = Engine(world.journal, world.effects)
        engine.start(0)
        await asyncio.sleep(0.01)
        engine.wake(SERVICE)
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await engine.close()

    deploy(world, BLUE)
    world.until_ended()
    for turns in range(6):
        asyncio.run(closed(turns))


def test_a_deploy_that_waited_does_not_bring_a_removed_service_back(world: World) -> None:
    deploy(world, BLUE)
    world.until_ended()
    deploy(world, GREEN)
    until(world, Phase.WATCHING)
    world.router_stuck = True
    deploy(world, THIRD)
    world.step()
    ask(world, Remove())
    world.router_stuck = False
    for _ in range(60):
        world.step()
    assert world.memory.removed
    assert world.there == {}
    assert not world.memory.commands


def test_replicas_that_can_not_be_seen_get_no_traffic_back(world: World) -> None:
    deploy(world, BLUE)
    world.until_ended()
    release = deploy(world, GREEN)
    until(world, Phase.WATCHING)
    world.replicas_unknown = True
    ask(world, Abort(release=release))
    for _ in range(3):
        world.step()
        goal = world.memory.goal
        assert goal is not None
        assert goal.routed == {GREEN.id}
    world.replicas_unknown = False
    world.until_ended()
    assert world.split() == {BLUE.id: 10_000}


def test_promote_does_not_make_a_dead_green_live(world: World) -> None:
    deploy(world, BLUE)
    world.until_ended()
    release = deploy(world, GREEN)
    until(world, Phase.WATCHING)
    world.characters[GREEN.id].starts = False
    for key in [key for key in world.there if key.revision == GREEN.id]:
        del world.there[key]
    ask(world, Promote(release=release))
    world.until_ended()
    assert world.memory.live == BLUE.id


def test_a_way_back_to_what_stands_needs_no_new_golden_requests(world: World) -> None:
    deploy(world, BLUE)
    world.until_ended()
    deploy(world, GREEN, golden="sha256:" + "9" * 64)
    world.until_ended()
    assert world.memory.live == GREEN.id
    world.characters[BLUE.id].golden = False
    ask(world, Rollback(release="fraud-3", revision=BLUE.id))
    world.until_ended()
    assert world.memory.live == BLUE.id


def test_a_green_that_dies_after_its_proof_does_not_hold_the_slot_for_ever(world: World) -> None:
    deploy(world, BLUE)
    world.until_ended()
    release = deploy(world, GREEN, gate=True)
    until(world, Phase.WAITING)
    world.characters[GREEN.id].starts = False
    for key in [key for key in world.there if key.revision == GREEN.id]:
        del world.there[key]
    ask(world, Promote(release=release))
    world.until_ended()
    assert world.memory.live == BLUE.id


@pytest.mark.parametrize("word", ["rollback", "promote", "abort", "pause"])
def test_nothing_is_asked_of_a_service_that_is_being_removed(world: World, word: accept.Word) -> None:
    deploy(world, BLUE)
    world.until_ended()
    deploy(world, GREEN)
    until(world, Phase.WATCHING)
    ask(world, Remove())
    with pytest.raises(ProblemsError, match="is being removed"):
        asked_of(world, word, BLUE.id if word == "rollback" else None)
    world.step()
    with pytest.raises(ProblemsError, match="is being removed"):
        asked_of(world, word, GREEN.id if word == "rollback" else None)


def test_a_deploy_after_an_abort_is_a_release_of_its_own(world: World) -> None:
    deploy(world, BLUE)
    world.until_ended()
    first = order(world, GREEN).release
    until(world, Phase.PREPARING)
    asked_of(world, "abort")
    second = order(world, GREEN, replicas=3)
    assert second.changed
    assert second.release != first
    world.until_ended()
    assert world.memory.live == GREEN.id
    assert world.memory.last is not None
    assert world.memory.last.id == second.release


def test_settings_for_a_release_that_has_ended_do_not_start_it_again(world: World) -> None:
    deploy(world, BLUE)
    world.until_ended()
    release = deploy(world, GREEN)
    until(world, Phase.PREPARING)
    ask(world, Abort(release=release))
    ask(world, Deploy(release=release, revision=GREEN, settings=settings(replicas=3)))
    world.until_ended()
    assert world.memory.live == BLUE.id
    codes = [r.body["reason"]["code"] for r in world.journal.records(SERVICE) if "reason" in r.body]
    assert "command_too_late" in codes


def test_new_settings_for_a_revision_that_waits_are_not_lost(world: World) -> None:
    deploy(world, BLUE)
    world.until_ended()
    order(world, GREEN)
    until(world, Phase.WATCHING)
    waits = order(world, THIRD)
    same = order(world, THIRD)
    assert (same.release, same.changed) == (waits.release, False)
    newer = order(world, THIRD, replicas=3)
    assert newer.changed
    world.until_ended()
    assert world.memory.live == THIRD.id
    assert world.memory.settings is not None
    assert world.memory.settings.replicas.wanted == 3


def test_a_moving_release_claims_both_its_routes(world: World) -> None:
    deploy(world, BLUE)
    world.until_ended()
    deploy(world, GREEN, route=replace(ROUTE, port=9090))
    until(world, Phase.WATCHING)

    async def claimed() -> set[int]:
        engine = Engine(world.journal, world.effects)
        engine.start(0)
        try:
            return {route.port for route in engine.routes(SERVICE)}
        finally:
            await engine.close()

    assert asyncio.run(claimed()) == {8080, 9090}


def test_a_port_that_somebody_else_has_does_not_keep_new_replicas_from_being_routed(world: World) -> None:
    deploy(world, BLUE)
    world.until_ended()
    world.taken_ports = {9090}
    deploy(world, BLUE, route=replace(ROUTE, port=9090))
    for _ in range(3):
        world.step()
    for key in list(world.there):
        del world.there[key]
    for _ in range(8):
        world.step()
    assert world.confirmed is not None
    assert world.confirmed.route == ROUTE
    routed = {e.address for _, points in world.confirmed.endpoints for e in points}
    assert routed == {one.address for one in world.there.values()}
    world.taken_ports = set()
    for _ in range(14):
        world.step()
    assert world.confirmed.route.port == 9090


def test_a_clock_that_is_set_back_delays_no_restart_and_no_release(world: World) -> None:
    deploy(world, BLUE)
    world.until_ended()
    world.characters[BLUE.id].starts = False
    for key in list(world.there):
        del world.there[key]
    for _ in range(12):
        world.step()
    world.characters[BLUE.id].starts = True
    deploy(world, GREEN)
    world.step()
    fetched = world.begun.count("fetch a")
    world.step(jumped_s=-3_600)
    for _ in range(10):
        world.step()
    assert [r.state for r in world.there.values() if r.id.revision == BLUE.id] == [ReplicaState.READY] * 2
    assert world.begun.count("fetch a") <= fetched + 1
    world.until_ended()
    assert world.memory.live == GREEN.id


def test_a_watch_counts_only_while_its_route_is_in_force(world: World) -> None:
    deploy(world, BLUE)
    world.until_ended()
    deploy(world, GREEN)
    until(world, Phase.WATCHING)
    world.step()
    world.hidden = True
    for _ in range(30):
        world.step()
    assert world.memory.release is not None
    assert world.memory.release.phase is Phase.WATCHING
    world.hidden = False
    world.until_ended()
    assert world.memory.live == GREEN.id


def test_a_way_back_to_what_was_not_live_just_before_is_watched(world: World) -> None:
    deploy(world, BLUE)
    world.until_ended()
    world.characters[GREEN.id].error_share = 0.5
    deploy(world, GREEN)
    world.until_ended()
    assert world.memory.live == BLUE.id
    ask(world, Rollback(release="fraud-3", revision=GREEN.id))
    world.until_ended()
    assert world.memory.live == BLUE.id


def test_a_long_hold_fills_the_journal_slower_and_slower(world: World) -> None:
    deploy(world, BLUE)
    world.until_ended()
    deploy(world, GREEN)
    until(world, Phase.WATCHING)
    world.samples_known = False
    until(world, Phase.HOLDING)
    world.samples_known, world.rate = True, 4.0
    release = world.memory.release
    assert release is not None
    ask(world, Pause(release=release.id))
    before = len(world.journal.records(SERVICE))
    for _ in range(2_000):
        world.step(1.8)
    assert len(world.journal.records(SERVICE)) - before < 150


def test_a_rollback_does_not_end_while_what_it_takes_back_is_still_on_its_way(world: World) -> None:
    deploy(world, BLUE)
    world.until_ended()
    release = deploy(world, GREEN, gate=True)
    until(world, Phase.WAITING)
    world.router_stuck = True
    ask(world, Promote(release=release))
    until(world, Phase.MOVING)
    ask(world, Abort(release=release))
    world.step()
    assert world.memory.release is not None, "blue is what is shown, and green may be in force by now"
    assert world.memory.release.phase is Phase.ROLLING_BACK
    world.router_stuck = False
    world.until_ended()
    assert world.split() == {BLUE.id: 10_000}


def test_a_stage_does_not_count_while_another_route_is_still_on_its_way(world: World) -> None:
    deploy(world, BLUE)
    world.until_ended()
    steps = (Step(share=2500, dwell_s=50),)
    release = deploy(world, GREEN, strategy=Ramp(steps=steps), compare=Compare(rest_s=10_000.0))
    until(world, Phase.WATCHING)
    world.router_stuck = True
    world.characters[GREEN.id].error_share = 1.0
    until(world, Phase.FROZEN)
    world.characters[GREEN.id].error_share = 0.0
    ask(world, Promote(release=release))
    world.step()
    assert world.memory.release is not None
    assert world.memory.release.phase is Phase.MOVING, (
        "the old route is shown, and the freeze may be in force by now"
    )
    world.router_stuck = False
    until(world, Phase.WATCHING)


def test_a_stage_does_not_count_by_what_the_router_showed_long_ago(world: World) -> None:
    deploy(world, BLUE)
    world.until_ended()
    deploy(world, GREEN)
    until(world, Phase.MOVING)
    world.routes_age_s = 10.0
    for _ in range(5):
        world.step()
    assert world.memory.release is not None
    assert world.memory.release.phase is Phase.MOVING
    world.routes_age_s = 0.0
    until(world, Phase.WATCHING)
