"""One replica as the daemon watches it: from its order until it has ended, across restarts of the daemon."""

import asyncio
import errno
import json
import math
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from celadon.domain.facts import Exit, ReplicaFact, ReplicaState
from celadon.domain.launch import Launch
from celadon.domain.names import Address
from celadon.domain.problem import Fault, LastingFault
from celadon.platform.process import launcher
from celadon.platform.process.history import CALM_S, History, read_exit, read_history, write_history
from celadon.platform.process.listeners import Listening, listening
from celadon.platform.process.order import Shelf, make_order
from celadon.platform.process.probe import Rhythm, answers
from celadon.platform.process.rundir import Holder, RunDir, held, holder, lost_by_reboot
from celadon.platform.process.sweep import sweep

PROBE_S = 2.0
FAILURES_MAX = 3
LOOKS_EVERY = 5
OVERTIME_S = 5.0
"""A launcher that has not ended this long after the grace is itself stuck, and is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every replica of a platform shares. gone: called when nothing of a stopped replica is left."""

    shelf: Shelf
    wake: Callable[[], None]
    now: Callable[[], float]
    gone: Callable[[], None]


class Replica:
    """State of one replica. Everything but the thread jobs runs in the event loop."""

    def __init__(self, around: Surroundings, run: RunDir) -> None:
        self._around, self._run = around, run
        self._state, self._since = ReplicaState.EXITED, around.now()
        self._history = History()
        self._launch: dict[str, Any] = {}
        self._zone = ""
        self._token = ""
        self._child: dict[str, Any] | None = None
        self._launcher: tuple[int, int] | None = None
        self._grace_s: float | None = None
        self._kill_at = math.inf
        self._failures = 0
        self._ready_at: float | None = None
        self._notes: dict[str, str] = {}
        self.looked_at = asyncio.Event()

    @property
    def state(self) -> ReplicaState:
        return self._state

    @property
    def launched(self) -> dict[str, Any]:
        """What was started: see launch.json."""
        return self._launch

    @property
    def port(self) -> int | None:
        """The port it was told, once it runs."""
        return None if self._child is None else int(self._child["port"])

    @property
    def run(self) -> tuple[int, str] | None:
        """The process that runs now, by its id and its start time in clock ticks after boot."""
        return None if self._child is None else (int(self._child["pid"]), str(self._child["start"]))

    def fact(self) -> ReplicaFact:
        """What is to be reported now."""
        calm = self._ready_at is not None and time.monotonic() - self._ready_at >= CALM_S
        return ReplicaFact(
            id=self._run.replica,
            state=self._state,
            since=self._since,
            address=None if self.port is None else Address(host="127.0.0.1", port=self.port),
            pid=None if self._child is None else self._child["pid"],
            exits=0 if calm else self._history.exits,
            last_exit=self._history.last,
            notes=(*self._launch.get("notes", ()), *self._notes.values()),
            zone=self._zone,
        )

    # beginnings and ends, each called by the platform

    def begin(self, launch: Launch) -> Coroutine[None, None, None]:
        """It is starting from now on; awaiting the answer starts it and watches it until it has ended."""
        self._token = secrets.token_hex(8)
        self._child, self._grace_s, self._ready_at, self._failures = None, None, None, 0
        self._kill_at = math.inf
        self._launch, self._zone = {}, launch.zone
        self._notes.clear()
        self._enter(ReplicaState.STARTING)
        return self._begin(launch)

    async def _begin(self, launch: Launch) -> None:
        found = await asyncio.to_thread(holder, self._run)
        if found is not None:
            await self._adopt(found)  # Somebody else started it; its files are in use.
            return
        try:
            order = await asyncio.to_thread(make_order, self._around.shelf, self._run, launch, self._token)
            self._launch = self._run.read("launch.json") or {}
            if self._grace_s is None:
                pid = await asyncio.to_thread(spawn, self._run, self._token, order)
                self._launcher = pid, os.pidfd_open(pid)
        except (Fault, OSError) as fault:
            await self._never_ran(fault)
            return
        del order  # It holds the secrets.
        if self._launcher is None:
            await self._ended()
            return
        if self._grace_s is not None:
            self.stop(self._grace_s)
        await self._watch()

    async def find(self) -> None:
        """Go on with what an earlier daemon left: a living replica, one that has ended, or one to be removed."""
        try:
            await self._find()
        except LastingFault as fault:
            await self._never_ran(fault)

    async def _find(self) -> None:
        self._history = await asyncio.to_thread(read_history, self._run)
        self._found(self._run.read("launch.json"))
        self._token = self._launch.get("token", "")
        stopping = self._run.read("stop.json")
        found = await asyncio.to_thread(_holder_for_sure, self._run)
        if found is None:
            if stopping is not None:
                self._grace_s = stopping["grace_s"]
            await self._ended()
            return
        await self._adopt(found)

    async def _adopt(self, found: Holder) -> None:
        self._launcher, self._token = (found.pid, found.pidfd), found.token
        self._found(self._run.read("launch.json"))
        stopping = self._run.read("stop.json")
        once_ready = self._history.ready == self._token
        self._enter(ReplicaState.UNREADY if once_ready else ReplicaState.STARTING)
        if stopping is not None:
            self.stop(stopping["grace_s"])
        await self._watch()

    def _found(self, launch: dict[str, Any] | None) -> None:
        self._launch = launch or {}
        self._zone = self._launch.get("zone", "")

    def stop(self, grace_s: float) -> None:
        """SIGTERM now, SIGKILL after the grace; the launcher does both, also if the daemon ends meanwhile."""
        self._grace_s = grace_s
        self._enter(ReplicaState.STOPPING)
        if self._launcher is None:
            return
        try:
            self._run.write("stop.json", {"grace_s": grace_s})
        except OSError as error:
            self._notes["stop"] = f"it stops with the grace it was started with: {error.strerror}"
        self._kill_at = min(self._kill_at, time.monotonic() + grace_s + OVERTIME_S)
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        if self._launcher is None:
            return
        try:
            signal.pidfd_send_signal(self._launcher[1], number)
        except ProcessLookupError:
            return  # It has just ended, which its pidfd tells next.

    async def remove(self) -> None:
        """Take an ended replica's files away."""
        self._enter(ReplicaState.STOPPING)
        await asyncio.to_thread(self._run.remove)
        self._around.gone()
        self._around.wake()

    # watching

    async def _watch(self) -> None:
        """Until the launcher has ended, ask whether the replica is ready."""
        assert self._launcher is not None
        pid, pidfd = self._launcher
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def notice() -> None:
            loop.remove_reader(pidfd)
            ended.set()

        loop.add_reader(pidfd, notice)
        rhythm = Rhythm()
        try:
            while not ended.is_set():
                wait_s = await self._look(rhythm)
                self.looked_at.set()
                try:
                    async with asyncio.timeout(wait_s):
                        await ended.wait()
                except TimeoutError:
                    continue
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)
            self._launcher = None
        _reap(pid)
        if self._state is ReplicaState.READY:
            self._enter(ReplicaState.UNREADY)  # It can not serve; taking the record may need a moment.
        await self._ended()

    async def _look(self, rhythm: Rhythm) -> float:
        """Look once; returns the seconds until the next look."""
        if self._state is ReplicaState.STOPPING:
            if time.monotonic() > self._kill_at:
                self._signal(signal.SIGKILL)
            return 1.0
        if self._child is None:
            self._child = self._run.read("child.json")
        if self._child is None:
            return 0.01
        if await answers(self._child["port"], self._launch.get("ready", "/"), PROBE_S):
            await self._answered()
        else:
            await self._failed()
        self._calm_down()
        return rhythm.next_s(ready=self._state is ReplicaState.READY)

    async def _answered(self) -> None:
        self._failures = 0
        if self._state is ReplicaState.READY or self._grace_s is not None:
            return
        seen = await self._listening()
        if self._grace_s is not None:
            return  # It was asked to stop while we were looking.
        if seen.seen and not seen.told:
            self._say("port", f"port {self.port} is answered by another process, not by this replica")
            return
        if seen.seen:
            self._notes.pop("port", None)
        else:
            self._notes["port"] = f"it could not be seen which process listens on port {self.port}"
        # One that was ready when it was found is so since then, not since it was found.
        known = self._history.ready_at if self._history.ready == self._token else None
        now = self._around.now()
        ready_at = now if known is None else known
        self._ready_at = time.monotonic() - max(0.0, now - ready_at)
        self._remember(replace(self._history, ready=self._token, ready_at=ready_at))
        self._enter(ReplicaState.READY, ready_at)

    async def _failed(self) -> None:
        self._failures += 1
        if self._failures >= FAILURES_MAX and self._history.ready_at is not None:
            self._remember(replace(self._history, ready_at=None))
        if self._state is ReplicaState.READY and self._failures >= FAILURES_MAX:
            self._ready_at = None
            self._enter(ReplicaState.UNREADY)
        if self._state is ReplicaState.STARTING and self._failures % LOOKS_EVERY == 0:
            seen = await self._listening()
            if seen.ports and self.port not in seen.ports:
                ports = ", ".join(map(str, seen.ports))
                self._say(
                    "port",
                    f"it listens on port {ports} and not on {self.port}, which {{port}} and PORT told it",
                )
            elif self.port in seen.ports:
                path = self._launch.get("ready", "/")
                self._say("port", f"it listens on port {self.port}, but GET {path} is not answered with 2xx")
            elif seen.seen:
                self._say("port", f"it listens on no port yet; {{port}} and PORT told it {self.port}")

    async def _listening(self) -> Listening:
        assert self._launcher is not None
        assert self.port is not None
        return await asyncio.to_thread(listening, self._launcher[0], self.port)

    def _calm_down(self) -> None:
        calm = self._ready_at is not None and time.monotonic() - self._ready_at >= CALM_S
        if calm and self._history.exits:
            self._remember(replace(self._history, exits=0))

    # ends

    async def _ended(self) -> None:
        """Nothing runs any more: take the record, or sweep up after a launcher that left none."""
        found = await asyncio.to_thread(holder, self._run)
        if found is not None:
            await self._adopt(found)  # Another daemon's launcher was there first, so ours gave way.
            return
        record = self._run.read("exit.json")
        if record is None or record["token"] != self._token:
            last = await asyncio.to_thread(self._lost)
        else:
            last = read_exit(record)
        if self._grace_s is not None:
            await self.remove()
            return
        if not self._launch:
            pass  # It never ran, and the history says why.
        elif last.code is None and lost_by_reboot(self._run):
            self._remember(replace(self._history, exits=0, last=last, counted=self._token))
        else:
            self._remember(self._history.ended(self._token, last))
        self._exit(self._history.last or last)

    def _lost(self) -> Exit:
        """Runs in a thread."""
        rest = sweep(self._token, self._launch.get("groups", ())) if self._token else ()
        if rest:
            why = f"celadon: lost, and these of its processes can not be killed: {rest}"
        elif lost_by_reboot(self._run):
            why = "celadon: lost because the machine was started again"
        elif held(self._run):
            why = (
                f"celadon: {self._run.path / 'lock'} is held by a process that is not the replica's launcher"
            )
        else:
            why = "celadon: lost, its launcher was killed"
        return Exit(code=None, at=self._around.now(), stderr=(*self._complaints(), why))

    def _complaints(self) -> tuple[str, ...]:
        path = self._run.path / "launcher.log"
        return tuple(path.read_text(errors="replace").splitlines()[-20:]) if path.exists() else ()

    async def _never_ran(self, fault: Fault | OSError) -> None:
        why = str(fault)
        if isinstance(fault, OSError) and fault.errno in {errno.ENOSPC, errno.EDQUOT}:
            why = f"{why}\n  hint: free some disk space under {self._around.shelf.home}"
        last = Exit(
            code=None,
            at=self._around.now(),
            stderr=tuple(f"celadon: {line.strip()}" for line in why.splitlines()),
            fault=why,
        )
        await asyncio.to_thread(sweep, self._token, self._launch.get("groups", ()))
        self._remember(self._history.ended(self._token, last))
        if self._grace_s is not None:
            await self.remove()
            return
        self._exit(last)

    def _exit(self, last: Exit) -> None:
        self._child, self._ready_at = None, None
        self.looked_at.set()
        self._enter(ReplicaState.EXITED, last.at)

    # what others see

    def _remember(self, history: History) -> None:
        self._history = history
        try:
            write_history(self._run, history)
        except OSError as error:
            self._notes["history"] = f"its history is not saved: {error.strerror}"

    def _say(self, topic: str, note: str) -> None:
        if self._notes.get(topic) != note:
            self._notes[topic] = note
            self._around.wake()

    def _enter(self, state: ReplicaState, at: float | None = None) -> None:
        if self._state is not state:
            self._state = state
            self._since = self._around.now() if at is None else at
        self._around.wake()


def spawn(run: RunDir, token: str, order: dict[str, Any]) -> int:
    """Start a launcher in a session of its own and hand it its order; returns its pid. Runs in a thread."""
    source, target = os.pipe()
    complaints = run.path / "launcher.log"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        pid = os.posix_spawn(
            sys.executable,
            [
                sys.executable,
                "-I",
                "-S",
                str(Path(launcher.__file__).resolve()),
                str(run.path.resolve()),
                token,
            ],
            {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, source, 0),
                (os.POSIX_SPAWN_OPEN, 1, complaints, flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
    finally:
        os.close(source)
    try:
        with open(target, "w", encoding="ascii") as pipe:  # noqa: PTH123 -- a pipe has no path
            json.dump(order, pipe)
    except BrokenPipeError:
        pass  # The launcher has ended already, which its pidfd tells.
    return pid


def _reap(pid: int) -> None:
    """Take the exit status of a launcher that this very process started."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # An earlier daemon started it, so init has reaped it.


def _holder_for_sure(run: RunDir) -> Holder | None:
    """The holder of the lock; one that has the lock is given a moment to say who it is. Runs in a thread."""
    for _ in range(100):
        found = holder(run)
        if found is not None or not held(run):
            return found
        time.sleep(0.01)
    return None
