"""Where the demo lives: a home of its own, removed at the end with every process that belongs to it."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from celadon.domain.problem import LastingFault
from celadon.parse.defaults import preview_port

DOWN_S = 45.0
"""How long an orderly end may take; after that the processes are ended one by one."""

END_S = 3.0
LOOK_S = 0.05
PORT_FIRST = 8080
PORT_LAST = 8979


@dataclass(frozen=True, slots=True, kw_only=True)
class Premises:
    """home: the daemon's folder. workshop: where the files that are deployed lie, and where commands are typed."""

    folder: Path

    @property
    def home(self) -> Path:
        """The daemon's folder."""
        return self.folder / "home"

    @property
    def workshop(self) -> Path:
        """The folder of the service file."""
        return self.folder / "workshop"

    def command(self, *arguments: str) -> list[str]:
        """The command line of celadon, on this home."""
        return [sys.executable, "-m", "celadon", "--home", str(self.home), *arguments]

    def environment(self) -> dict[str, str]:
        """Of the person, without what would lead a command to another daemon."""
        return {name: value for name, value in os.environ.items() if not name.startswith("CELADON_")}

    def attempts(self) -> list[int]:
        """How often the proxy has sent each request that it has answered, by its access log."""
        logs = [path.read_text(encoding="utf-8").splitlines() for path in self.home.rglob("access.log*")]
        return [int(json.loads(line).get("attempts") or 0) for lines in logs for line in lines]


@contextlib.contextmanager
def open_premises(*, keep: bool, say: Callable[[str], None]) -> Iterator[Premises]:
    """A new place. On leaving, in whatever way, it is taken down; Ctrl-C does not keep that from happening."""
    place = Premises(folder=Path(tempfile.mkdtemp(prefix="celadon-demo-")))
    place.workshop.mkdir()
    with _termination_interrupts():
        try:
            yield place
        finally:
            if not keep:
                try:
                    say("Taking everything down.")
                finally:
                    _take_down_undisturbed(place)


def _take_down_undisturbed(place: Premises) -> None:
    """An interrupt may still arrive before interrupts are held off, but not twice."""
    try:
        with _undisturbed():
            take_down(place)
    except KeyboardInterrupt:
        with _undisturbed():
            take_down(place)
        raise


def take_down(place: Premises) -> None:
    """Down in order, then whatever is left of it, then the files."""
    if place.home.exists():
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                place.command("down", "--yes"),
                check=False,
                capture_output=True,
                env=place.environment(),
                timeout=DOWN_S,
                start_new_session=True,
            )
    for number in (signal.SIGTERM, signal.SIGKILL):
        _end(place, number)
    shutil.rmtree(place.folder, ignore_errors=True)


def _end(place: Premises, number: signal.Signals) -> None:
    """Signal every process of this place and wait a little for its end."""
    deadline = time.monotonic() + END_S
    for pid in residents(place):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    while residents(place) and time.monotonic() < deadline:
        time.sleep(LOOK_S)


def residents(place: Premises) -> list[int]:
    """Processes of this place: those that were started with its path or that work in it. No other can have it."""
    return [pid for pid in _processes() if pid != os.getpid() and _lives_in(pid, str(place.folder))]


def _processes() -> list[int]:
    proc = Path("/proc")
    return [int(entry.name) for entry in proc.iterdir() if entry.name.isdecimal()] if proc.is_dir() else []


def _lives_in(pid: int, folder: str) -> bool:
    try:
        typed = Path(f"/proc/{pid}/cmdline").read_bytes()
        return folder.encode() in typed or os.readlink(f"/proc/{pid}/cwd").startswith(folder)  # noqa: PTH115 -- a link of /proc may lead nowhere
    except OSError:
        # It has ended, or belongs to somebody else and so not to this place.
        return False


@contextlib.contextmanager
def free_ports(count: int) -> Iterator[tuple[int, ...]]:
    """Ports that are free together with their preview ports. All stay reserved until the context is left."""
    found: list[int] = []
    with contextlib.ExitStack() as reserved:
        for port in range(PORT_FIRST, PORT_LAST):
            if len(found) == count:
                break
            with contextlib.ExitStack() as both:
                try:
                    for number in (port, preview_port(port)):
                        both.enter_context(_bound(number))
                except OSError:
                    continue
                found.append(port)
                reserved.push(both.pop_all())
        if len(found) < count:
            found_none = f"not {count} free ports between {PORT_FIRST} and {PORT_LAST}"
            raise LastingFault(found_none, "stop some of the servers that use them")
        yield tuple(found)


def _bound(port: int) -> socket.socket:
    reserved = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        reserved.bind(("127.0.0.1", port))
    except OSError:
        reserved.close()
        raise
    return reserved


@contextlib.contextmanager
def _termination_interrupts() -> Iterator[None]:
    """SIGTERM and a closed terminal end the demo as Ctrl-C does."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    with _signals((signal.SIGTERM, signal.SIGHUP), interrupt):
        yield


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    with _signals((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), lambda *_: None):
        yield


@contextlib.contextmanager
def _signals(numbers: tuple[signal.Signals, ...], act: object) -> Iterator[None]:
    before = {number: signal.signal(number, act) for number in numbers}  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, act_before in before.items():
            signal.signal(number, act_before)
