"""Commands that arrive between any two ticks, and a world that is not as it was: nothing may hang or be lost."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from control_world import Character, World
from release_given import BLUE, GREEN, SERVICE, THIRD, settings

from celadon.control import accept
from celadon.control.engine import Engine
from celadon.domain.command import Abort, Asked, Command, Deploy, Promote, Remove, Rollback
from celadon.domain.problem import ProblemsError
from celadon.domain.release import Phase
from celadon.domain.revision import Revision


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(folder=tmp_path, service=SERVICE)
    for revision in (BLUE, GREEN, THIRD):
        made.characters[revision.id] = Character()
    yield made
    made.journal.close()


def ask(world: World, command: Command) -> None:
    world.journal.ask(SERVICE, command, world.at)


def deploy(world: World, what: Revision, **given: object) -> str:
    release = f"fraud-{world.memory.releases_asked + 1}"
    ask(world, Deploy(release=release, revision=what, settings=settings(**given)))
    return release


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
