"""Several small worlds behind one journal and one loop, on one clock that only the test moves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from control_world import Character, World
from release_given import BLUE, GREEN, settings

from celadon.control.apply import Effects
from celadon.control.loop import PERIOD_S, Loop
from celadon.control.view import View
from celadon.domain.command import Deploy
from celadon.domain.facts import SourceFact
from celadon.domain.launch import Launch
from celadon.domain.names import Digest, ReplicaId, ServiceKey
from celadon.domain.revision import Revision
from celadon.store.journal import SqliteJournal


@dataclass
class Worlds:
    """`of`: the world of each service. Every tick of the clock lets all worlds answer, then turns the loop."""

    folder: Path
    names: tuple[str, ...]
    wall: float = 1_000.0
    monotonic: float = 50.0
    unwritable: bool = False
    of: dict[ServiceKey, World] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.names:
            key = ServiceKey(name=name)
            (self.folder / name).mkdir()
            world = World(folder=self.folder / name, service=key)
            world.journal.close()
            world.characters = {revision.id: Character() for revision in (BLUE, GREEN)}
            self.of[key] = world
        self.open()

    def open(self) -> None:
        """A daemon takes over, with nothing but what was journalled."""
        self.journal = SqliteJournal(self.folder / "journal.db")
        for world in self.of.values():
            world.journal = self.journal
        every = [world.effects for world in self.of.values()]
        self.effects = Effects(
            platform=ByService({key: world.effects.platform for key, world in self.of.items()}),
            router=ByService({key: world.effects.router for key, world in self.of.items()}),
            sources=Trees([effects.sources for effects in every]),
            prober=ByService({key: world.effects.prober for key, world in self.of.items()}),
            labels=ByService({key: world.effects.labels for key, world in self.of.items()}),
        )
        if self.unwritable:
            self.journal._database.execute("PRAGMA query_only = ON")
        self.loop = Loop(self.journal, self.effects)
        self.loop.lead(0, self.wall)

    def deploy(self, service: ServiceKey, what: Revision, **given: Any) -> None:
        number = self.journal.read(service).releases_asked + 1
        command = Deploy(release=f"{service.name}-{number}", revision=what, settings=settings(**given))
        self.loop.ask(service, command, self.wall)

    def turn(self, seconds: float = PERIOD_S, *, jumped_s: float = 0.0) -> tuple[ServiceKey, ...]:
        self.wall += seconds + jumped_s
        self.monotonic += seconds
        for world in self.of.values():
            world.at = self.wall
            world._serve(seconds)
        told = self.loop.turn(self.wall, self.monotonic)
        for world in self.of.values():
            world._follow()
        return told

    def until_live(self, what: Revision, *, of: Sequence[ServiceKey] | None = None, limit: int = 400) -> None:
        for _ in range(limit):
            if all(self.view(key).memory.live == what.id for key in of or self.of):
                return
            self.turn()
        raise AssertionError({str(key): self.view(key).because for key in self.of})

    def view(self, service: ServiceKey) -> View:
        return self.loop.views[service]


class ByService:
    """A port that asks the one of the service's world: every argument says of which service it is."""

    def __init__(self, ports: Mapping[ServiceKey, Any]) -> None:
        self.ports = ports

    def __getattr__(self, name: str) -> Any:
        def ask(first: Any, *rest: Any, **named: Any) -> Any:
            return getattr(self.ports[_whose(first)], name)(first, *rest, **named)

        return ask


def _whose(first: Any) -> ServiceKey:
    match first:
        case ServiceKey():
            return first
        case Launch():
            return first.replica.service
        case ReplicaId():
            return first.service
        case _:
            return first.service


class Trees:
    """What one world fetched is there for all of them."""

    def __init__(self, ports: Sequence[Any]) -> None:
        self.ports = ports

    def observe(self, trees: Sequence[Digest]) -> Mapping[Digest, SourceFact]:
        return self.ports[0].observe(trees)

    def fetch(self, tree: Digest) -> None:
        self.ports[0].fetch(tree)

    def blob(self, digest: Digest) -> Path:
        return self.ports[0].blob(digest)
