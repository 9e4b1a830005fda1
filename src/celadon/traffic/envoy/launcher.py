"""Stays Envoy's parent, so that Envoy lives on without the daemon and comes back when it is killed.

A process of its own, of the standard library alone, started by path with `python -I -S`: nothing of celadon has
to be importable for it to do its work. It locks `envoy.lock` for life and writes into it who it is and who Envoy
is, each by process id and start time under one boot id, since a process id alone may be somebody else's by now.
Killed itself, it leaves Envoy running, and the next launcher adopts it.

Usage: launcher.py HOME ENVOY ARGUMENT...
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import sys
import time
from pathlib import Path

LOCK = "envoy.lock"
LOG = "envoy.log"
LOG_BYTES = 10 * 1024 * 1024
STOP_S = 5.0
QUICK_S = 1.0
"""An Envoy that ends sooner than this after its start is started again after a growing pause."""


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start_time(pid: int) -> str | None:
    """In clock ticks since boot; None when there is no such process or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


class Launcher:
    """lock: descriptor of the locked file, which stays open for life."""

    def __init__(self, home: Path, command: list[str], lock: int) -> None:
        self.home = home
        self.command = command
        self.lock = lock
        self.starts = 0
        self.last_exit = ""
        self.wake, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        self.stopping = False
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def stop(self, _number: int, _frame: object) -> None:
        self.stopping = True

    def run(self) -> None:
        """Keeps one Envoy alive until told to stop."""
        pause_s = 0.1
        pid = self.adopt() or self.spawn()
        while True:
            since = time.monotonic()
            self.await_end(pid)
            if self.stopping:
                return
            pause_s = min(pause_s * 2, 5.0) if time.monotonic() - since < QUICK_S else 0.1
            if pause_s > 0.1:
                select.select([self.wake], [], [], pause_s)
            if self.stopping:
                return
            pid = self.spawn()

    def adopt(self) -> int | None:
        """The Envoy of a launcher that was killed, if it still runs."""
        try:
            seen = json.loads(os.pread(self.lock, 4096, 0) or b"{}")
            pid, started = int(seen["pid"]), str(seen["started"])
        except (ValueError, KeyError, TypeError):
            return None
        if seen.get("boot") != boot_id() or start_time(pid) != started:
            return None
        self.starts = int(seen.get("starts", 1))
        self.last_exit = str(seen.get("last_exit", ""))
        self.publish(pid)
        return pid

    def spawn(self) -> int:
        self.rotate()
        log = os.open(self.home / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        outputs = [
            (os.POSIX_SPAWN_DUP2, nothing, 0),
            (os.POSIX_SPAWN_DUP2, log, 1),
            (os.POSIX_SPAWN_DUP2, log, 2),
        ]
        ignored = [signal.SIGINT, signal.SIGHUP]
        pid = os.posix_spawn(
            self.command[0], self.command, os.environ, file_actions=outputs, setsigdef=ignored
        )
        os.close(log)
        os.close(nothing)
        self.starts += 1
        self.publish(pid)
        return pid

    def rotate(self) -> None:
        log = self.home / LOG
        with contextlib.suppress(FileNotFoundError):
            if log.stat().st_size > LOG_BYTES:
                log.rename(self.home / f"{LOG}.1")

    def publish(self, pid: int) -> None:
        """Says who runs. Readers find either the old or the new text, or text that is no JSON and read again."""
        me = os.getpid()
        said = {
            "pid": pid,
            "started": start_time(pid),
            "launcher_pid": me,
            "launcher_started": start_time(me),
            "boot": boot_id(),
            "starts": self.starts,
            "last_exit": self.last_exit,
        }
        text = json.dumps(said).encode()
        os.pwrite(self.lock, text.ljust(1024) + b"\n", 0)

    def await_end(self, pid: int) -> None:
        """Until Envoy has ended; when told to stop, ends it."""
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            self.reap(pid)
            return
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        while not self.stopping and all(found != handle for found, _ in poll.poll()):
            os.read(self.wake, 64)
        if self.stopping:
            poll.unregister(self.wake)
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, number)
                if poll.poll(STOP_S * 1000):
                    break
        os.close(handle)
        self.reap(pid)

    def reap(self, pid: int) -> None:
        try:
            _, status = os.waitpid(pid, 0)
            code = os.waitstatus_to_exitcode(status)
            how = f"killed by signal {-code}" if code < 0 else f"ended with status {code}"
        except ChildProcessError:
            how = "ended"
        self.last_exit = f"{how} at {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}"


def main() -> None:
    """Detaches first: whoever started this waits only for the parent's end."""
    if os.fork():
        os._exit(0)
    os.setsid()
    home = Path(sys.argv[1])
    lock = os.open(home / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    os.chdir("/")
    Launcher(home, sys.argv[2:], lock).run()


if __name__ == "__main__":
    main()
