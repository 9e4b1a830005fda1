"""Hours of releases in one simulated world and one process: does anything grow that should not?

`python -m celadon.sim.soak --hours 6`: releases of every strategy back to back under load, with replicas, proxies and the
daemon killed in between, over the real loop, judge and SQLite journal. What is kept is judged by the arithmetic of
`flat.py` against limits that stand here. The simulated callers and proxies themselves forget what nobody can ask for any
more, so that the memory of the process says something of the product.
"""

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from celadon.domain.command import Abort, Asked, Command, Deploy, Promote
from celadon.domain.memory import Memory
from celadon.domain.names import ServiceKey
from celadon.domain.reason import Reason
from celadon.domain.record import Kind
from celadon.domain.release import Phase, Taken
from celadon.sim.disk import Disk
from celadon.sim.faults import Fault, Trouble
from celadon.sim.flat import HOUR_S, Curve, Growth, Limit, growth
from celadon.sim.journal import Appended, Frame
from celadon.sim.laws.law import names_whom
from celadon.sim.orders import POLICIES, revision, settings
from celadon.sim.world import World
from celadon.store.journal import SqliteJournal

EVERY_S = 120.0
APART_S = 90.0
"""On average between two kills."""

WARM = 0.25
"""Part of the time after which is judged: caches are full, and the journal has been tidied."""

MIB = 2**20

LIMITS: Mapping[str, Limit] = {
    "journal_records": Limit(percent=5.0),
    "journal_mb": Limit(percent=5.0, amount=0.5),
    "memory_mb": Limit(percent=5.0, amount=2.0),
    "kept_objects": Limit(percent=5.0, amount=100),
}
"""What may grow in an hour; set before anything was measured."""

SAWTOOTH = frozenset({"journal_records", "journal_mb", "kept_objects"})
"""What is tidied up now and then, or swells with every release and ebbs after it."""


class KeptJournal(SqliteJournal):
    """The real journal, in the place of the simulated one."""

    def __init__(self, path: Path, told: Callable[[Appended], None]) -> None:
        super().__init__(path)
        self._told = told
        self.under_way: Frame | None = None
        # The power never fails here, so nobody has to wait for the disk.
        self._database.execute("PRAGMA synchronous = OFF")

    def ask(self, service: ServiceKey, command: Command, at: float) -> Asked:
        """See `Journal`."""
        before = self.read(service)
        asked = super().ask(service, command, at)
        self._told(Appended(kind=Kind.COMMAND, before=before, after=self.read(service), at=at, asked=asked))
        return asked

    def record(
        self, before: Memory, after: Memory, reason: Reason, at: float, steps: Sequence[Taken] = ()
    ) -> Memory:
        """See `Journal`."""
        there = super().record(before, after, reason, at, steps)
        self._told(Appended(kind=Kind.TICK, before=before, after=there, at=at, reason=reason, steps=steps))
        return there

    def lead(self, service: ServiceKey, epoch: int, at: float) -> Memory:
        """See `Journal`."""
        before = self.read(service)
        there = super().lead(service, epoch, at)
        self._told(Appended(kind=Kind.LEADER, before=before, after=there, at=at))
        return there

    def count(self) -> int:
        """Records that are there."""
        return int(self._database.execute("SELECT count(*) FROM journal").fetchone()[0])

    def size(self) -> int:
        """Bytes of the file once everything is written back; how far that is at a moment is SQLite's affair."""
        pages, size = (
            self._database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
        )
        return int(pages) * int(size)


@dataclass(slots=True)
class Soak:
    """One world for hours. curves: samples by name, at at_s."""

    world: World
    journals: list[KeptJournal]
    deployed: int = 0
    rest: int = 0
    waited: int = 0
    kills: int = 0
    at_s: list[float] = field(default_factory=list)
    curves: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in LIMITS})

    def ticked(self) -> None:
        """People release the next thing when nothing moves, and decide soon where they are waited for."""
        world = self.world
        release = world.release
        if release is None:
            self.waited = 0
            self.rest += 1
            if self.rest > 3 and not world.memory.commands:
                self.rest = 0
                self._deploy()
        elif release.phase is Phase.WAITING or names_whom(release):
            self.waited += 1
            if self.waited % 4 == 0:
                world.ask((Promote if self.waited < 8 else Abort)(release=release.id))

    def _deploy(self) -> None:
        world, names = self.world, list(POLICIES)
        what = revision(self.deployed)
        like = world.character(what.id)
        like.error_share = 0.1 if self.deployed % 5 == 4 else 0.0
        policy = POLICIES[names[self.deployed % len(names)]]
        release = f"{world.service}-{world.memory.releases_asked + 1}"
        world.ask(Deploy(release=release, revision=what, settings=settings(policy, 2)))
        self.deployed += 1

    def kill(self) -> None:
        """Somebody dies, and somebody else later."""
        world, random = self.world, self.world.kernel.random
        self.kills += 1
        match random.randrange(3):
            case 0:
                world.daemon.kill()
            case 1:
                Trouble(world).begin(Fault.KILL_PROXY)
            case _:
                Trouble(world).begin(Fault.KILL)
        world.kernel.after(random.expovariate(1 / APART_S), self.kill)

    def sample(self) -> None:
        """What there is now."""
        forget(self.world)
        gc.collect()
        journal = self.journals[-1]
        now = {
            "journal_records": float(journal.count()),
            "journal_mb": journal.size() / MIB,
            "memory_mb": memory_mb(),
            "kept_objects": float(kept(self.world)),
        }
        self.at_s.append(self.world.kernel.at)
        for name, value in now.items():
            self.curves[name].append(value)
        self.world.kernel.after(EVERY_S, self.sample)

    def growths(self) -> dict[str, Growth]:
        """What every curve did after the warm-up."""
        return {
            name: growth(
                Curve(name=name, at_s=self.at_s, values=values, sawtooth=name in SAWTOOTH).since(
                    WARM * self.at_s[-1]
                )
            )
            for name, values in self.curves.items()
        }


def soak(hours: float, seed: int, folder: Path) -> Soak:
    """Let so many simulated hours pass."""
    path = folder / "journal.db"
    journals: list[KeptJournal] = []

    def opens(_: Disk, __: Callable[[], None], told: Callable[[Appended], None]) -> KeptJournal:
        for old in journals:
            old.close()
        journals[:] = [KeptJournal(path, told)]
        return journals[-1]

    world = World(f"soak {seed}", opens=opens)
    world.site.callers.labelled = 0.05
    made = Soak(world, journals)
    world.daemon.ticked = made.ticked
    world.kernel.after(APART_S, made.kill)
    world.kernel.after(EVERY_S, made.sample)
    world.run_until(hours * HOUR_S)
    return made


def forget(world: World) -> None:
    """What the simulated machine counted long ago: nobody asks from there any more, and only places are kept."""
    proxies, arrived, memory = world.site.proxies, world.site.labels.arrived, world.memory
    for past in (proxies.readings, proxies.log, arrived):
        _forget(past)
    there = {key.revision for key in world.site.machine.there} | set(memory.revisions)
    there |= set(list(world.site.characters)[-RECENT:])
    for by in (world.site.characters, world.site.callers.by, proxies.counts):
        for gone in [one for one in by if one not in there]:
            del by[gone]
    world.ended.clear()


KEPT_LAST = 500
RECENT = 10
"""Revisions that may have been asked for and are not there yet."""


def _forget(past: list[Any]) -> None:
    for place in range(len(past) - KEPT_LAST - 1, -1, -1):
        if past[place] is past[0]:
            break
        past[place] = past[0]


def memory_mb() -> float:
    """Resident memory of this process."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4096 / MIB


PASSED_BY = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)


def kept(world: World) -> int:
    """How many values the daemon holds on to: views, drafts, ledgers and memories."""
    loop = world.daemon.loop
    todo: list[object] = [loop.views, loop.drafts, world.memory]
    seen: set[int] = set()
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, PASSED_BY):
            continue
        seen.add(id(one))
        todo += gc.get_referents(one)
    return len(seen)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 when something grows or a law was broken."""
    parser = argparse.ArgumentParser(prog="python -m celadon.sim.soak", description=__doc__)
    parser.add_argument(
        "--hours", type=float, default=6.0, help="simulated ones; the journal is tidied about once an hour"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="the last line is one object")
    asked = parser.parse_args(arguments)
    began = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        made = soak(asked.hours, asked.seed, Path(folder) / "home")
        made.journals[-1].close()
    seconds, cpu_s = time.perf_counter() - began[0], time.process_time() - began[1]
    of = made.growths()
    growing = [name for name, one in of.items() if not one.within(LIMITS[name])]
    broken = [f"{one.law}: {one.what}" for one in made.world.laws.book.broken.values()]
    for name, one in of.items():
        flat = "GROWS" if name in growing else "flat"
        grows = f"{one.amount_per_hour:+.3g} an hour ({one.percent_per_hour:+.2f} %)"
        sys.stdout.write(f"{name:<16} {one.middle:10.2f}  {grows:<32} {flat}\n")
    sys.stdout.write(
        f"{asked.hours:g} hours, {made.deployed} releases, {made.kills} kills, {made.world.daemon.deaths} of the daemon,"
        f" {made.world.daemon.ticks} ticks, {cpu_s:.0f} s of CPU\n"
    )
    sys.stdout.writelines(f"BROKEN {what}\n" for what in broken)
    if asked.json:
        figures = {f"{name}_percent_per_hour": one.percent_per_hour for name, one in of.items()}
        figures |= {name: one.middle for name, one in of.items()}
        figures |= {"releases": made.deployed, "kills": made.kills, "broken_laws": len(broken)}
        told = {"bench": "sim-soak", "figures": figures, "seed": asked.seed, "seconds": seconds}
        sys.stdout.write(json.dumps(told) + "\n")
    return 1 if growing or broken else 0


if __name__ == "__main__":
    sys.exit(main())
