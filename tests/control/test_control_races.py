"""Commands that arrive between any two ticks, and a world that is not as it was: nothing may hang or be lost."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from control_world import Character, World
from release_given import BLUE, GREEN, SERVICE, THIRD, settings

from celadon.control import accept
from celadon.control.engine import Engine
from celadon.domain.command import Asked, Command, Deploy, Pause, Promote, Rollback
from celadon.domain.problem import ProblemsError
from celadon.domain.release import Outcome, Phase
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


def test_a_rollback_where_nothing_was_ever_live_holds_up_nothing(world: World) -> None:
    world.characters[GREEN.id].golden = False
    deploy(world, GREEN)
    world.until_ended()
    ask(world, Rollback(release="fraud-2", revision=GREEN.id))
    world.until_ended()
    assert world.memory.live is None
    deploy(world, BLUE)
    world.until_ended()
    assert world.memory.live == BLUE.id


def test_a_paused_first_release_that_serves_is_superseded_without_a_gap(world: World) -> None:
    first = deploy(world, GREEN)
    until(world, Phase.PREPARING)
    ask(world, Promote(release=first))
    until(world, Phase.MOVING)
    ask(world, Pause(release=first))
    until(world, Phase.WATCHING)
    assert world.split() == {GREEN.id: 10_000}
    deploy(world, BLUE)
    world.until_ended()
    assert world.memory.live == BLUE.id
    assert world.lost == 0


def test_a_first_release_whose_route_is_never_confirmed_ends(world: World) -> None:
    world.router_stuck = True
    first = deploy(world, GREEN)
    for _ in range(200):
        world.step()
        world.confirmed = world.pending if world.pending and not world.pending.routes else world.confirmed
        if world.memory.release is None and not world.memory.commands:
            break
    assert world.memory.last is not None, world.memory.release
    assert (world.memory.last.id, world.memory.last.outcome) == (first, Outcome.ROLLED_BACK)


def test_a_rollback_is_refused_where_nothing_was_ever_live(world: World) -> None:
    deploy(world, GREEN, gate=True)
    until(world, Phase.PREPARING)
    with pytest.raises(ProblemsError, match="was ever live"):
        asked_of(world, "rollback", GREEN.id)
