"""The loop over all services: ticks on a period and on wake-ups, and the one place that reads the clock."""

import asyncio
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from celadon.control.apply import Effects
from celadon.control.ports import Journal
from celadon.control.tick import Draft, tick
from celadon.control.view import View
from celadon.domain.command import Asked, Command, Deploy
from celadon.domain.facts import Now
from celadon.domain.memory import Memory
from celadon.domain.names import Digest, ServiceKey
from celadon.domain.problem import Fault, Problem, ProblemsError
from celadon.domain.reason import Code, because
from celadon.domain.record import Record
from celadon.domain.spec import RouteSpec, SecretEnv, SecretFile

PERIOD_S = 0.5
"""How long the loop lies still when nothing wakes it."""

DWELL_MAX_S = 2.0
"""A tick that comes later than this adds no more than this to a dwell: nobody watched in between."""


JUMP_S = 2.0
"""The wall clock may drift from the monotonic one by less than this between two ticks without being said."""


class Engine:
    """All services of one daemon. Lives in one event loop; everything public is called from inside it."""

    def __init__(self, journal: Journal, effects: Effects) -> None:
        self.journal = journal
        self.effects = effects
        self._views: dict[ServiceKey, View] = {}
        self._drafts: dict[ServiceKey, Draft] = {}
        self._wakes: dict[ServiceKey, asyncio.Event] = {}
        self._loops: dict[ServiceKey, asyncio.Task[None]] = {}
        self._version = 0
        self._changed = asyncio.Condition()
        self._closing = False
        self._epoch = 0

    def start(self, epoch: int) -> None:
        """Take the lead over every service the journal knows, then begin to tick."""
        self._epoch = epoch
        for service in self.journal.services():
            try:
                memory = self.journal.read(service)
                if not memory.removed:
                    memory = self.journal.lead(service, epoch, time.time())
            except Fault as fault:
                self._views[service] = _still(Memory(service=service), str(fault))
                continue
            self._begin(service, memory)

    async def close(self) -> None:
        """Stop ticking. Replicas and the proxy go on."""
        self._closing = True
        loops = list(self._loops.values())
        for loop in loops:
            loop.cancel()
        for loop in loops:
            with suppress(asyncio.CancelledError):
                await loop
        await self._announce()

    @property
    def closing(self) -> bool:
        """Whether nothing will change any more."""
        return self._closing

    def services(self) -> tuple[ServiceKey, ...]:
        """Services that are there, removed ones not counted."""
        return tuple(sorted(key for key, view in self._views.items() if not view.memory.removed))

    def view(self, service: ServiceKey) -> View:
        """How the service looked at its last tick."""
        view = self._views.get(service)
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
        if service not in self._loops and self.journal.read(service).removed:
            self.journal.lead(service, self._epoch, time.time())
        asked = self.journal.ask(service, command, time.time())
        if service not in self._loops:
            self._begin(service, self.journal.read(service))
        self.wake(service)
        return asked

    def records(self, service: ServiceKey) -> Sequence[Record]:
        """The whole journal of a service."""
        return self.journal.records(service)

    def named(self) -> set[Digest]:
        """Every tree and golden blob that any service here may still need."""
        return {digest for key in self.services() for digest in digests(self.memory(key))}

    def wake(self, service: ServiceKey) -> None:
        """Tick this service now: something changed."""
        event = self._wakes.get(service)
        if event is not None:
            event.set()

    @property
    def version(self) -> int:
        """Rises with every change of any view."""
        return self._version

    async def changed(self, since: int) -> int:
        """Wait until a view has changed after version `since`; returns the version now. Ends at closing."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._version > since or self._closing)
            return self._version

    def _begin(self, service: ServiceKey, memory: Memory) -> None:
        self._wakes[service] = asyncio.Event()
        self._views[service] = _still(memory, "")
        loop = asyncio.get_running_loop()
        self._loops[service] = loop.create_task(self._run(service), name=f"loop {service}")

    async def _run(self, service: ServiceKey) -> None:
        last, last_wall = time.monotonic(), time.time()
        while True:
            now, wall = time.monotonic(), time.time()
            jumped_s = (wall - last_wall) - (now - last)
            jumped_s = jumped_s if abs(jumped_s) >= JUMP_S else 0.0
            elapsed_s, last, last_wall = min(now - last, DWELL_MAX_S), now, wall
            await self._tick(service, Now(wall=wall, elapsed_s=elapsed_s, jumped_s=jumped_s))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wakes[service].wait(), PERIOD_S)
            self._wakes[service].clear()

    async def _tick(self, service: ServiceKey, now: Now) -> None:
        """One tick. A fault holds this service and leaves traffic as it is; the next tick tries again."""
        before = self._views[service]
        try:
            draft, view = tick(service, self.journal, self.effects, self._drafts.get(service), now)
        except Fault as fault:
            await self._stand_still(service, str(fault))
            return
        except Exception as bug:  # noqa: BLE001 -- our bug stops this tick and no other; traffic stays as it is
            traceback.print_exc(file=sys.stderr)
            await self._stand_still(service, f"this is a bug in celadon: {type(bug).__name__}: {bug}")
            return
        self._drafts[service], self._views[service] = draft, view
        if view.memory.removed and not before.memory.removed:
            self.effects.platform.remove(service)
        moved = view.memory.seq != before.memory.seq
        if moved:
            self.wake(service)
        if moved or _shown(view) != _shown(before):
            await self._announce()

    async def _stand_still(self, service: ServiceKey, fault: str) -> None:
        """Show why the loop of a service does not move; announced once, not at every try."""
        view = self._views[service]
        self._views[service] = replace(view, fault=fault, at=time.time())
        if view.fault != fault:
            await self._announce()

    async def _announce(self) -> None:
        async with self._changed:
            self._version += 1
            self._changed.notify_all()


def digests(memory: Memory) -> Iterator[Digest]:
    """What a service names in the model store: known revisions, waiting deploys, golden requests."""
    deploys = [asked.command for asked in memory.commands if isinstance(asked.command, Deploy)]
    settings = [memory.settings, memory.release.settings if memory.release else None]
    for revision in (*memory.revisions.values(), *(deploy.revision for deploy in deploys)):
        yield from revision.trees
    yield from (Digest(golden) for golden in memory.goldens.values() if golden)
    for one in (*settings, *(deploy.settings for deploy in deploys)):
        if one is not None and one.golden is not None:
            yield Digest(one.golden)


def _still(memory: Memory, fault: str) -> View:
    steady = because(Code.STEADY)
    return View(memory=memory, facts=None, judged=None, because=steady, at=time.time(), fault=fault)


def _shown(view: View) -> tuple[object, ...]:
    """What a person would see change."""
    facts = view.facts
    return (
        view.memory.evidence,
        view.because,
        view.fault,
        facts.replicas if facts else None,
        facts.routes if facts else None,
    )
