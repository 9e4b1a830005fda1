"""What a door does between two ticks: it appends a command to the journal of a small world."""

from control_world import World
from release_given import SERVICE, settings

from celadon.domain.command import Command, Deploy
from celadon.domain.revision import Revision


def ask(world: World, command: Command) -> None:
    world.journal.ask(SERVICE, command, world.at)


def deploy(world: World, what: Revision, **given: object) -> str:
    release = f"fraud-{world.memory.releases_asked + 1}"
    ask(world, Deploy(release=release, revision=what, settings=settings(**given)))
    return release
