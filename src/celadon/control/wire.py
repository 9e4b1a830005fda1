"""Assembly: the only place that knows which adapter stands behind which port."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path

from celadon.control.apply import Effects
from celadon.control.engine import Engine
from celadon.control.frozen import FreezableRouter
from celadon.control.rehearsals import Parts, Rehearsals
from celadon.domain.names import SOCKET, ServiceKey
from celadon.domain.problem import Fault
from celadon.observe.golden import GoldenProber
from celadon.observe.labels import SqliteLabels
from celadon.observe.probe import DrillProbes
from celadon.platform.process import Again, ProcessLeases, ProcessPlatform, ourselves
from celadon.store.fold import next_epoch
from celadon.store.journal import SqliteJournal
from celadon.store.lock import hold
from celadon.store.models import ModelStore
from celadon.traffic.envoy import EnvoyRouter

TIDY_S = 600.0
"""How often the model store is tidied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """One machine's celadon: the engine, and the adapters that doors reach through it."""

    home: Path
    engine: Engine
    journal: SqliteJournal
    models: ModelStore
    platform: ProcessPlatform
    router: EnvoyRouter
    labels: SqliteLabels


@asynccontextmanager
async def daemon(home: Path, proxies: int | None = None) -> AsyncIterator[Daemon]:
    """Everything of one machine, running until the context is left. Replicas and Envoy outlive it.

    home: a folder of its owner's alone, which is there. proxies: how many Envoys share the ports, None for as many as
    before. Raises Fault when another daemon has it.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(hold(home / "daemon.lock"))
        journal = stack.enter_context(closing(SqliteJournal(home / "journal.db")))
        engines: list[Engine] = []

        def wake(service: ServiceKey) -> None:
            for engine in engines:
                engine.wake(service)

        def wake_all() -> None:
            for engine in engines:
                for service in engine.services():
                    engine.wake(service)

        models = ModelStore(home, wake_all)
        await models.start()
        stack.push_async_callback(models.close)
        platform = ProcessPlatform(home, wake, time.time)
        await platform.open()
        stack.push_async_callback(platform.close)
        labels = SqliteLabels(home)
        labels.start()
        stack.push_async_callback(labels.close)
        router = EnvoyRouter(home / "envoy", wake, routed=labels.routed, proxies=proxies)
        await router.start()
        stack.push_async_callback(router.close, stop_proxy=False)
        prober = GoldenProber(wake)
        stack.push_async_callback(prober.close)
        counters = FreezableRouter(router)
        drills = await stack.enter_async_context(
            _rehearsals(home, journal=journal, platform=platform, router=router, counters=counters, wake=wake)
        )
        effects = Effects(
            platform=platform,
            router=counters,
            sources=models,
            prober=prober,
            labels=labels,
            drills=drills,
        )
        engine = Engine(journal, effects)
        engines.append(engine)
        engine.start(next_epoch(0, time.time()))
        stack.push_async_callback(engine.close)
        tidying = asyncio.get_running_loop().create_task(_tidy(engine, models), name="tidy")
        stack.callback(tidying.cancel)
        yield Daemon(
            home=home,
            engine=engine,
            journal=journal,
            models=models,
            platform=platform,
            router=router,
            labels=labels,
        )


@asynccontextmanager
async def _rehearsals(
    home: Path,
    *,
    journal: SqliteJournal,
    platform: ProcessPlatform,
    router: EnvoyRouter,
    counters: FreezableRouter,
    wake: Callable[[ServiceKey], None],
) -> AsyncIterator[Rehearsals]:
    """What makes the failures of drills in every room, and measures what callers notice."""
    leases, probes = ProcessLeases(home, again(home)), DrillProbes(home, home / SOCKET)
    parts = Parts(
        leases=leases,
        probes=probes,
        disk=journal.disk,
        marked=journal.marked,
        counters=counters,
        replica=platform.run_of,
        proxies=router.runs,
        daemon=ourselves(),
    )
    made = Rehearsals(parts, wake)
    made.start()
    try:
        yield made
    finally:
        for part in (made, probes, leases):
            await part.close()


def again(home: Path) -> Again:
    """How this very daemon was started, so that a drill that killed it can start it once more."""
    return Again(
        lock=home / "daemon.lock", argv=tuple(sys.orig_argv), cwd=Path.cwd(), log=home / "daemon.log"
    )


async def _tidy(engine: Engine, models: ModelStore) -> None:
    """Now and then, forget blobs and working copies that no service names any more."""
    while True:
        await asyncio.sleep(TIDY_S)
        with suppress(Fault):  # What a service names can not be read just now, so nothing may go.
            models.gc(engine.named())
