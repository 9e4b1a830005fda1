"""One number of services on one daemon's loop, in a process of its own. Prints what it saw as JSON.

python -m bench.scale_run SERVICES RELEASED REST_S RELEASE_S
"""

import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

from bench.exchanges import quantile
from bench.process_cost import rss_mib
from bench.scale_figures import Seen
from bench.scale_world import World

from celadon.control.engine import Engine
from celadon.control.loop import PERIOD_S
from celadon.domain.command import Deploy
from celadon.domain.compare import Compare, Margin
from celadon.domain.facts import Known
from celadon.domain.memory import Memory
from celadon.domain.names import Digest, RevisionId, ServiceKey
from celadon.domain.reason import Code, because, text
from celadon.domain.revision import ModelRuntime, Revision
from celadon.domain.spec import (
    Exactly,
    Ramp,
    ReleasePolicy,
    Resources,
    Retry,
    RetryWhen,
    RouteSpec,
    Serving,
    Settings,
    Step,
    Watch,
)
from celadon.doors.api.tuning import tune
from celadon.store.journal import Row, SqliteJournal

SETTLED_S = 180.0
REPLICAS = 2
DWELL_S = 4.0


class Watched(SqliteJournal):
    """The journal as it ships; it notes how long after it was due each service of a sweep was decided."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.lags_s: list[float] = []
        self.ticks = 0
        self.written = 0
        self._due: dict[ServiceKey, float] = {}
        self._looked: list[ServiceKey] = []

    def _insert(self, rows: Sequence[Row], before: Sequence[tuple[str, str, int]] = ()) -> None:
        super()._insert(rows, before)
        self.written += sum(len(record) + len(link) for *_, record, link in rows)

    def woken(self, service: ServiceKey) -> None:
        now = time.monotonic()
        self._due[service] = min(now, self._due.get(service, now))

    def looked(self, service: ServiceKey) -> None:
        self._looked.append(service)

    @contextmanager
    def together(self) -> Iterator[None]:
        self._looked.clear()
        with super().together():
            yield
        now = time.monotonic()
        for service in self._looked:
            self.lags_s.append(now - self._due.get(service, now))
            self._due[service] = now + PERIOD_S
        self.ticks += len(self._looked)


def revision(letter: str) -> Revision:
    digest = letter * 64
    return Revision(
        id=RevisionId(letter * 12),
        digest=digest,
        runtime=ModelRuntime(model=Digest(f"sha256:{digest}"), serving=Serving()),
        env=(),
        secrets=(),
        ready="/healthz/ready",
        resources=Resources(),
    )


BLUE, GREEN = revision("b"), revision("a")


def settings(number: int, dwell_s: float) -> Settings:
    route = RouteSpec(port=20_000 + number, preview_port=40_000 + number, retry=Retry(when=RetryWhen.RESET))
    policy = ReleasePolicy(
        start_s=120,
        prove_s=60,
        hold_s=1.0,
        strategy=Ramp(steps=tuple(Step(share=share, dwell_s=dwell_s) for share in (500, 2_500, 5_000))),
        compare=Compare(errors=Margin(ratio_max=3.0, extra_max=0.2), alpha_fine=0.4),
        watch=Watch(watch_s=dwell_s, requests_min=1, deadline_s=600),
    )
    return Settings(replicas=Exactly(replicas=REPLICAS), route=route, drain_s=5, release=policy, golden=None)


async def measured(services: int, released: int, rest_s: float, release_s: float, home: Path) -> Seen:
    """Everything comes to rest, is watched at rest, and is watched while some are in release."""
    journal = Watched(home / "journal.db")
    keys = [ServiceKey(name=f"s{number:05}") for number in range(services)]
    _begin_with(journal, keys)
    world = World(journal.looked)
    engine = Engine(journal, world.effects)

    def wake(service: ServiceKey) -> None:
        journal.woken(service)
        engine.wake(service)

    world.wake = wake
    engine.start(1)
    try:
        await _until(lambda: all(_at_rest(engine, key) for key in keys), partial(_told, engine, keys))
        await asyncio.sleep(2 * PERIOD_S)
        idle = await _watched(world, journal, keys, rest_s)
        before = journal.written
        moving = keys[:released]
        for number, key in enumerate(moving):
            wish = settings(number, max(DWELL_S, release_s))
            engine.ask(key, Deploy(release=f"{key.name}-2", revision=GREEN, settings=wish))
            await asyncio.sleep(0)
        await _until(lambda: all(_watches(engine, key) for key in moving), partial(_told, engine, moving))
        journal.lags_s.clear()
        busy = await _watched(world, journal, keys, release_s)
        lags_s = [*journal.lags_s]
        memory = rss_mib(os.getpid())
        await _until(
            lambda: all(_ended(engine, key) for key in moving),
            partial(_told, engine, moving),
            120 + 8 * max(DWELL_S, release_s),
        )
        ended = sum(engine.view(key).memory.live == GREEN.id for key in moving)
        grown = journal.written - before
    finally:
        await engine.close()
        journal.close()
    return Seen(
        services=services,
        released=released,
        idle_cpu_ms=idle,
        cpu_ms=busy,
        rss_mib=memory,
        lag_s_p99=quantile(lags_s, 0.99),
        lag_s_max=max(lags_s),
        ended=ended,
        bytes_per_release=grown / released,
    )


def _begin_with(journal: SqliteJournal, keys: list[ServiceKey]) -> None:
    """Services that were released long ago, as one record each."""
    with journal.together():
        for number, key in enumerate(keys):
            before = journal.read(key)
            after = Memory(
                service=key,
                settings=settings(number, DWELL_S),
                revisions={BLUE.id: BLUE},
                live=BLUE.id,
                proved={BLUE.id: ""},
                goldens={BLUE.id: ""},
            )
            journal.record(before, after, because(Code.STEADY), time.time())


async def _watched(world: World, journal: Watched, keys: list[ServiceKey], seconds: float) -> float:
    """Milliseconds of processor time of celadon alone per period, over a while."""
    gc.collect()
    ticks, spent_ns, began = journal.ticks, world.spent.ns, time.monotonic()
    cpu_ns = time.process_time_ns()
    await asyncio.sleep(seconds)
    cpu_ns = time.process_time_ns() - cpu_ns
    periods = (time.monotonic() - began) / PERIOD_S
    ours_ns = cpu_ns - (world.spent.ns - spent_ns) - (journal.ticks - ticks) * _look_ns(world, keys)
    return ours_ns / 1e6 / periods


def _look_ns(world: World, keys: list[ServiceKey]) -> float:
    """What it takes the world to be looked at once, without what it counts apart."""
    effects, rounds = world.effects, max(1, 2_000 // len(keys))
    spent_ns, cpu_ns = world.spent.ns, time.process_time_ns()
    for _ in range(rounds):
        for key in keys:
            effects.platform.observe(key)
            effects.router.observe(key)
            effects.router.samples(key, ())
            effects.sources.observe(())
            effects.prober.observe(key)
            effects.labels.heard(key)
            effects.labels.follow(key, ())
    cpu_ns = time.process_time_ns() - cpu_ns - (world.spent.ns - spent_ns)
    return cpu_ns / rounds / len(keys)


def _at_rest(engine: Engine, key: ServiceKey) -> bool:
    """Whether it serves what it should, and its last tick had nothing to say."""
    view = engine.view(key)
    served = view.facts.routes if view.facts else None
    confirmed = served.value.confirmed if isinstance(served, Known) else None
    return confirmed is not None and view.memory.release is None and view.because.code is Code.STEADY


def _told(engine: Engine, keys: list[ServiceKey]) -> str:
    """What the services are about, each reason once."""
    views = [engine.view(key) for key in keys]
    return "; ".join(sorted({view.fault or text(view.because) for view in views})[:5])


def _watches(engine: Engine, key: ServiceKey) -> bool:
    """Whether green has been given requests, or more than that."""
    memory = engine.view(key).memory
    return memory.live == GREEN.id or (memory.release is not None and memory.release.moved)


def _ended(engine: Engine, key: ServiceKey) -> bool:
    return engine.view(key).memory.release is None


async def _until(done: Callable[[], bool], why: Callable[[], str], limit_s: float = SETTLED_S) -> None:
    until = time.monotonic() + limit_s
    while not done():
        if time.monotonic() > until:
            raise TimeoutError(f"the services did not come to where they should: {why()}")
        await asyncio.sleep(0.25)


if __name__ == "__main__":
    tune()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        count, moving = int(sys.argv[1]), int(sys.argv[2])
        seen = asyncio.run(measured(count, moving, float(sys.argv[3]), float(sys.argv[4]), Path(folder)))
    print(json.dumps(asdict(seen)))
