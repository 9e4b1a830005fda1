"""What callers would notice of a drill: starts `asker.py`, reads what it wrote, and says it as a fact."""

import asyncio
import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celadon.domain.drill import Drill, DrillKind, ProbeFact
from celadon.domain.golden import predict_path
from celadon.domain.launch import Asks
from celadon.domain.names import ServiceKey
from celadon.domain.problem import ProblemsError
from celadon.judge.outage import Asked, Outage, outage
from celadon.observe import asker

PROBE = "probe-"
ORDER = "order.json"
HEADER = "x-celadon-probe"
ANSWER_S = 10.0
"""A request without an answer for this long has failed."""

MARKS_RATE = 5.0
"""Commands per second that the daemon is sent where its journal is what fails."""

OF_THE_JOURNAL = frozenset({DrillKind.KILL_DAEMON, DrillKind.FILL_DISK})

LEFT_S = 300.0
"""A probe that nobody ends ends by itself, so long after all that was asked of it could be over."""

AGAIN_S = 1 / 20_000
"""What was measured is weighed anew after so long for each request: the more there are, the more that costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weighed:
    """What was measured up to `clear_to`, for a failure at `struck_at`."""

    struck_at: float | None
    clear_to: float
    found: Outage


@dataclass(slots=True, kw_only=True)
class _Read:
    """What was read of one probe so far."""

    drill: int
    folder: Path
    asked: list[Asked] = field(default_factory=list)
    confirmed: list[tuple[float, int]] = field(default_factory=list)
    offset: int = 0
    clear_to: float = 0.0
    why: str = ""
    weighed: _Weighed | None = None

    def weigh(self, struck_at: float | None) -> _Weighed:
        """What was measured, as it was found last unless it may be another by now."""
        last = self.weighed
        due = last is None or self.clear_to >= last.clear_to + AGAIN_S * max(1, len(self.asked))
        if last is None or due or last.struck_at != struck_at:
            found = outage(self.asked, struck_at, self.clear_to)
            last = self.weighed = _Weighed(struck_at=struck_at, clear_to=self.clear_to, found=found)
        return last

    def more(self) -> bool:
        """Take what was written since; whether there was anything."""
        try:
            with (self.folder / "told.jsonl").open("rb") as file:
                file.seek(self.offset)
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return False
        self.offset += len(whole) + len(newline)
        for line in whole.splitlines():
            self._take(json.loads(line))
        if newline:
            self.asked.sort(key=lambda one: one.at)
        return bool(newline)

    def _take(self, told: dict[str, Any]) -> None:
        self.asked += [Asked(at=at, ended=ended, ok=ok) for at, ended, ok in told["asked"]]
        self.confirmed += [(at, seq) for at, seq in told["confirmed"]]
        self.clear_to = told["now"] if told["oldest"] is None else told["oldest"]


class DrillProbes:
    """One probe of a service at a time. What it is to ask for is read in a thread; all else runs in the event loop."""

    def __init__(self, home: Path, socket: Path) -> None:
        self._home = home / "drills"
        self._socket = socket
        self._read: dict[ServiceKey, _Read] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        for folder in sorted(self._home.glob(f"*/*/{PROBE}*")):
            service = ServiceKey(namespace=folder.parts[-3], name=folder.parts[-2])
            if (folder / ORDER).exists():  # Else a daemon died before the probe was told what to ask for.
                self._read[service] = _Read(drill=int(folder.name.removeprefix(PROBE)), folder=folder)

    def services(self) -> tuple[ServiceKey, ...]:
        """Services with a probe of which there are files."""
        return tuple(self._read)

    async def close(self) -> None:
        """Probes go on; a later daemon reads what they write."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def begin(self, service: ServiceKey, drill: Drill, asks: Asks) -> None:
        """Start one that asks what the service is asked for, at the drill's rate."""
        there = self._read.get(service)
        if there is not None and there.drill == drill.number:
            return
        self.forget(service)
        folder = self._home / service.namespace / service.name / f"{PROBE}{drill.number}"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._read[service] = read = _Read(drill=drill.number, folder=folder)
        order = {
            "host": _reached(asks.route.host),
            "port": asks.route.port,
            "rate": drill.order.rate,
            "answer_s": ANSWER_S,
            "until": drill.began_at + drill.order.before_s + drill.order.lasts_s + LEFT_S,
            "marks": self._marks(service) if drill.order.kind in OF_THE_JOURNAL else None,
        }
        started = asyncio.to_thread(_ordered, read, order, service, asks)
        task = asyncio.get_running_loop().create_task(started)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _marks(self, service: ServiceKey) -> dict[str, Any]:
        path = f"/v1/services/{service.name}/drills/mark?namespace={service.namespace}"
        return {"socket": str(self._socket), "path": path, "every_s": 1 / MARKS_RATE}

    def confirmed(self, service: ServiceKey) -> Sequence[tuple[float, int]]:
        """When the daemon confirmed a mark, and its place in the journal."""
        read = self._read.get(service)
        return () if read is None else read.confirmed

    def look(self, service: ServiceKey) -> bool:
        """Read what was written since; whether there was anything."""
        read = self._read.get(service)
        return read is not None and read.more()

    def observe(self, service: ServiceKey, struck_at: float | None) -> ProbeFact | None:
        """What was measured up to what was read last."""
        read = self._read.get(service)
        if read is None:
            return None
        weighed = read.weigh(struck_at)
        found = weighed.found
        over = bool(read.why) or (read.offset > 0 and not _held(read.folder / "lock"))
        return ProbeFact(
            drill=read.drill,
            before=found.before,
            ok_before=found.ok_before,
            measured=found.measured,
            clear_to=weighed.clear_to,
            steady=found.steady,
            over=over,
            why=read.why or ("its process is gone" if over else ""),
        )

    def forget(self, service: ServiceKey) -> None:
        """Tell it to end, and forget what it measured."""
        read = self._read.pop(service, None)
        if read is None:
            return
        (read.folder / "end").touch()
        if not _held(read.folder / "lock"):
            shutil.rmtree(read.folder, ignore_errors=True)
        else:
            self._tasks.add(task := asyncio.get_running_loop().create_task(_remove(read.folder)))
            task.add_done_callback(self._tasks.discard)


async def _remove(folder: Path) -> None:
    """Take its files away once it has ended."""
    while _held(folder / "lock"):  # noqa: ASYNC110 -- another process holds it
        await asyncio.sleep(asker.LOOK_S)
    shutil.rmtree(folder, ignore_errors=True)


def _ordered(read: _Read, order: dict[str, Any], service: ServiceKey, asks: Asks) -> None:
    """Say what it is to ask for, and start it. Runs in a thread."""
    try:
        order["requests"] = list(_requests(service, read.drill, asks))
    except (OSError, ValueError, ProblemsError) as error:
        read.why = f"its requests can not be read: {error}"
        return
    try:
        (read.folder / ORDER).write_text(json.dumps(order))
        _start(read.folder)
    except OSError as error:
        read.why = f"it can not be started: {error}"


def _start(folder: Path) -> None:
    """It returns as soon as the probe has left us."""
    script = str(Path(asker.__file__).resolve())
    with (folder / "asker.log").open("ab") as words:
        subprocess.run(
            [sys.executable, "-I", "-S", script, str(folder.resolve())],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            env={"PATH": os.defpath},
            check=False,
        )


def _held(path: Path) -> bool:
    """Whether the process that locks this file lives."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _reached(host: str) -> str:
    """Where a listener on every address is reached from this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 -- compared, not bound


def _requests(service: ServiceKey, drill: int, asks: Asks) -> Iterator[dict[str, Any]]:
    """Golden requests as clients send them; without any, the path that says whether a replica is ready."""
    hostname = next((name for name in asks.route.hostnames if "*" not in name), "")
    host = hostname or f"{asks.route.host}:{asks.route.port}"
    ours = {"host": host, HEADER: f"drill-{drill}"}
    if asks.golden is None:
        path = asks.route.prefix.rstrip("/") + asks.ready
        yield {"raw": _raw("GET", path, ours, b""), "status": 200}
        return
    from celadon.parse.golden import read_golden  # noqa: PLC0415 -- a daemon loads it once it answers

    for one in read_golden(asks.golden.read_text(encoding="utf-8"), "golden", predict_path(service)):
        body = b"" if one.body is None else json.dumps(one.body, separators=(",", ":")).encode()
        headers = {"content-type": "application/json", **{k.lower(): v for k, v in one.headers}, **ours}
        status = next((expected.status for expected in one.expect), 200)
        yield {"raw": _raw(one.method, one.path, headers, body), "status": status}


def _raw(method: str, path: str, headers: dict[str, str], body: bytes) -> str:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    head = "\r\n".join([*lines, f"content-length: {len(body)}", "", ""])
    return base64.b64encode(head.encode("latin-1") + body).decode()
