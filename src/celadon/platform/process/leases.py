"""Failures of processes, each held by a process of its own under home/drills; see `holder.py` for the files."""

import asyncio
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from celadon.domain.drill import DrillKind, FaultFact, Lease
from celadon.domain.names import ServiceKey
from celadon.platform.process import holder

LEASE = "lease-"
HOLD_S = 1.0
"""How long a holder may need until it has its lock, before another one is started for the same lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """How the daemon is started again where nobody does. lock: held by whoever is the daemon."""

    lock: Path
    argv: tuple[str, ...]
    cwd: Path
    log: Path

    def told(self) -> dict[str, Any]:
        """The same for the holder's order."""
        return {"lock": str(self.lock), "argv": self.argv, "cwd": str(self.cwd), "log": str(self.log)}


def ourselves() -> tuple[int, str]:
    """Our own process, by its id and its start time."""
    return os.getpid(), holder.start_ticks(os.getpid())


class ProcessLeases:
    """One lease of a service at a time. Everything but the start of a holder runs in the event loop."""

    def __init__(self, home: Path, again: Again) -> None:
        self._home = home / "drills"
        self._again = again
        self._facts: dict[ServiceKey, FaultFact] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._held_at: dict[ServiceKey, float] = {}
        for folder in sorted(self._home.glob(f"*/*/{LEASE}*")):
            if (folder / "order.json").exists():
                service = ServiceKey(namespace=folder.parts[-3], name=folder.parts[-2])
                self._facts[service] = FaultFact(drill=int(folder.name.removeprefix(LEASE)))

    def services(self) -> tuple[ServiceKey, ...]:
        """Services with a lease of which there are files."""
        return tuple(self._facts)

    async def close(self) -> None:
        """Leave leases to their holders."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def strike(self, service: ServiceKey, lease: Lease, runs: Sequence[tuple[int, str]]) -> None:
        """Record what is to be done and how it is undone, then have it done. One of a service at a time.

        runs: the victims, each by process id and start time in clock ticks after boot, which tells reused ids apart.
        """
        if service in self._facts:
            return
        self._facts[service] = FaultFact(drill=lease.drill)
        folder = self._folder(service, lease.drill)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        order = {
            "victims": [{"pid": pid, "start": start} for pid, start in runs],
            "stop": lease.kind is DrillKind.HANG_REPLICA,
            "until": lease.until,
            "lasts_s": lease.lasts_s,
            "daemon": os.getpid() if lease.kind is DrillKind.KILL_DAEMON else None,
            "again": self._again.told() if lease.kind is DrillKind.KILL_DAEMON else None,
        }
        holder.write_json(str(folder / "order.json"), order)
        self._hold(service, folder)

    def observe(self, service: ServiceKey, now: float) -> FaultFact | None:
        """How the lease stands, as its holder wrote it."""
        fact = self._facts.get(service)
        if fact is None or fact.undone_at is not None:
            return fact
        folder = self._folder(service, fact.drill)
        struck, undone = _read(folder / "struck.json"), _read(folder / "undone.json")
        if struck is not None:
            fact = replace(fact, struck_at=struck["at"], hit=struck["hit"])
        if fact.struck_at is not None and fact.back_s is None:
            killed = (_read(folder / "order.json") or {}).get("daemon")
            if killed is not None and killed != os.getpid():
                fact = replace(fact, back_s=max(0.0, now - fact.struck_at))
        if undone is not None:
            why = "" if struck is not None else "nothing was done before its time was over"
            fact = replace(fact, undone_at=undone["at"], why=why)
        self._facts[service] = fact
        return fact

    def undo(self, service: ServiceKey, drill: int) -> None:
        """Have it undone now; by a new holder where the first one has died."""
        fact = self._facts.get(service)
        if fact is None or fact.drill != drill:
            return
        folder = self._folder(service, drill)
        (folder / "undo").touch()
        if time.monotonic() < self._held_at.get(service, -math.inf) + HOLD_S:
            return
        if not (folder / "undone.json").exists() and not holder.held(str(folder / "lock")):
            self._hold(service, folder)

    def forget(self, service: ServiceKey) -> None:
        """Take the files of an undone lease away."""
        fact = self._facts.get(service)
        if fact is not None and fact.undone_at is not None:
            del self._facts[service]
            self._held_at.pop(service, None)
            shutil.rmtree(self._folder(service, fact.drill), ignore_errors=True)

    def _folder(self, service: ServiceKey, drill: int) -> Path:
        return self._home / service.namespace / service.name / f"{LEASE}{drill}"

    def _hold(self, service: ServiceKey, folder: Path) -> None:
        self._held_at[service] = time.monotonic()
        task = asyncio.get_running_loop().create_task(asyncio.to_thread(_start, folder))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _start(folder: Path) -> None:
    """It returns as soon as the holder has left us. Runs in a thread."""
    script = str(Path(holder.__file__).resolve())
    with (folder / "holder.log").open("ab") as words:
        subprocess.run(
            [sys.executable, "-I", "-S", script, str(folder.resolve())],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            check=False,
        )


def _read(path: Path) -> dict[str, Any] | None:
    with suppress(FileNotFoundError):
        found = json.loads(path.read_bytes())
        assert isinstance(found, dict), path
        return found
    return None
