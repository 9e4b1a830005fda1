"""What runs the loop: it reads the clocks, waits until a service is due, and answers those who ask."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from celadon.control.apply import Effects
from celadon.control.loop import Loop
from celadon.control.ports import Journal
from celadon.control.view import View
from celadon.domain.command import Asked, Command, Deploy
from celadon.domain.memory import Memory
from celadon.domain.names import Digest, ServiceKey
from celadon.domain.problem import Problem, ProblemsError
from celadon.domain.record import Record
from celadon.domain.spec import RouteSpec, SecretEnv, SecretFile


class Engine:
    """All services of one daemon. Lives in one event loop; everything public is called from inside it."""

    def __init__(self, journal: Journal, effects: Effects) -> None:
        self.journal = journal
        self.effects = effects
        self._loop = Loop(journal, effects)
        self._woken = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._version = 0
        self._changed = asyncio.Condition()
        self._closing = False

    def start(self, epoch: int) -> None:
        """Take the lead over every service the journal knows, then begin to tick."""
        self._loop.lead(epoch, time.time())
        self._running = asyncio.get_running_loop().create_task(self._run(), name="loop")
        self._running.add_done_callback(_ended)

    async def close(self) -> None:
        """Stop ticking. Replicas and the proxy go on."""
        self._closing = True
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        await self._announce()

    @property
    def closing(self) -> bool:
        """Whether nothing will change any more."""
        return self._closing

    def services(self) -> tuple[ServiceKey, ...]:
        """Services that are there, removed ones not counted."""
        return tuple(sorted(key for key, view in self._loop.views.items() if not view.memory.removed))

    def view(self, service: ServiceKey) -> View:
        """How the service looked at its last tick."""
        view = self._loop.views.get(service)
        if view is None:
            known = ", ".join(str(key) for key in self.services()) or "none yet"
            problem = Problem(
                path="service", found=f"there is no service {service}", hint=f"services here: {known}"
            )
            raise ProblemsError([problem])
        return view

    def memory(self, service: ServiceKey) -> Memory:
        """What the journal holds of a service; an empty memory for one that was never asked for."""
        return self.journal.read(service)

    def routes(self, service: ServiceKey) -> tuple[RouteSpec, ...]:
        """Every route a service has or may come to have: a release that moves can still go back to the old one."""
        memory = self.memory(service)
        asked = [a.command.settings for a in memory.commands if isinstance(a.command, Deploy)]
        every = (memory.settings, memory.release.settings if memory.release else None, *asked)
        return tuple(dict.fromkeys(settings.route for settings in every if settings is not None))

    def secret_digests(self, secrets: Mapping[str, SecretFile | SecretEnv]) -> dict[str, str]:
        """A keyed digest per secret; its value is read, never kept. An unreadable secret is a Fault."""
        return {name: self.effects.platform.secret_digest(source) for name, source in secrets.items()}

    def ask(self, service: ServiceKey, command: Command) -> Asked:
        """Journal a command and wake the loop. It survives a crash from the moment this returns."""
        asked = self._loop.ask(service, command, time.time())
        self._woken.set()
        return asked

    def records(self, service: ServiceKey) -> Sequence[Record]:
        """The whole journal of a service."""
        return self.journal.records(service)

    def named(self) -> set[Digest]:
        """Every tree and golden blob that any service here may still need."""
        return {digest for key in self.services() for digest in digests(self.memory(key))}

    def wake(self, service: ServiceKey) -> None:
        """Tick this service now: something changed."""
        self._loop.wake(service)
        self._woken.set()

    @property
    def version(self) -> int:
        """Rises with every change of any view."""
        return self._version

    async def changed(self, since: int) -> int:
        """Wait until a view has changed after version `since`; returns the version now. Ends at closing."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._version > since or self._closing)
            return self._version

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            if self._loop.turn(time.time(), time.monotonic()):
                await self._announce()
            now = time.monotonic()
            pause_s = self._loop.next_due(now) - now
            if pause_s <= 0:
                await asyncio.sleep(0)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._woken.wait()

    async def _announce(self) -> None:
        async with self._changed:
            self._version += 1
            self._changed.notify_all()


def _ended(running: asyncio.Task[None]) -> None:
    """A loop that broke is told to whoever watches the event loop: nothing is decided any more."""
    if not running.cancelled() and (bug := running.exception()) is not None:
        running.get_loop().call_exception_handler({"message": "the loop of celadon broke", "exception": bug})


def digests(memory: Memory) -> Iterator[Digest]:
    """What a service names in the model store: known revisions, waiting deploys, golden requests."""
    deploys = [asked.command for asked in memory.commands if isinstance(asked.command, Deploy)]
    releases = [one.settings for one in (memory.release, memory.last) if one is not None]
    for revision in (*memory.revisions.values(), *(deploy.revision for deploy in deploys)):
        yield from revision.trees
    yield from (Digest(golden) for golden in memory.goldens.values() if golden)
    for one in (memory.settings, *releases, *(deploy.settings for deploy in deploys)):
        if one is not None and one.golden is not None:
            yield Digest(one.golden)
