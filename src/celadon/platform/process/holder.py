"""Holds the lease of a drill: makes its failure, and takes it back when its time is over, whoever else is alive.

It runs by file path, as `python -I -S holder.py FOLDER`, and is of the standard library alone. The folder has
  order.json   what to do and how to undo it, written and synced by the daemon before this process is started
  lock         held by this process for life
  struck.json  when the failure was made, and how many processes were met
  undo         somebody wants it undone now
  undone.json  when it was undone
A second holder of the same folder that finds the lock free undoes what the first one left.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any

LOOK_S = 0.05
SUPERVISOR_S = 2.0
"""Who keeps the daemon alive goes first; after this long nobody does, and it is started as it was before."""

START_S = 60.0
TRIES_MAX = 10
"""A daemon that ends as often as this at its start is left to people."""


def write_json(path: str, value: object) -> None:
    """Replace a file whole, and have it on the disk before going on."""
    with open(path + ".new", "w", encoding="utf-8") as file:  # noqa: PTH123 -- as small as the launchers
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)  # noqa: PTH105


def start_ticks(pid: int) -> str:
    """When a process started, in clock ticks after boot; empty when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            return file.read().rpartition(b")")[2].split()[19].decode()
    except OSError:
        return ""


def handle_of(victim: dict[str, Any]) -> int | None:
    """A pidfd of this very run of the process; None when it is gone."""
    try:
        handle = os.pidfd_open(victim["pid"])
    except OSError:
        return None
    if start_ticks(victim["pid"]) == victim["start"]:
        return handle
    os.close(handle)
    return None


def held(lock: str) -> bool:
    """Whether some process holds this lock."""
    try:
        found = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(found, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(found)
    return False


class Holder:
    """One lease. Times of its end are wall time, but it never lasts longer than it was meant to."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        with open(folder + "/order.json", encoding="utf-8") as file:  # noqa: PTH123
            self.order: dict[str, Any] = json.load(file)
        found = map(handle_of, self.order["victims"])
        self.handles = [handle for handle in found if handle is not None]
        self.ends = time.monotonic() + self.order["lasts_s"]

    def there(self, name: str) -> bool:
        return os.path.exists(f"{self.folder}/{name}")  # noqa: PTH110

    def over(self) -> bool:
        late = time.time() >= self.order["until"] or time.monotonic() >= self.ends
        return late or self.there("undo")

    def run(self) -> None:
        if not self.there("struck.json") and not self.over():
            number = signal.SIGSTOP if self.order["stop"] else signal.SIGKILL
            at = time.time()
            hit = sum(self.send(handle, number) for handle in self.handles)
            write_json(self.folder + "/struck.json", {"at": at, "hit": hit})
            if self.order["stop"]:
                self.wait()
        if self.order["stop"]:
            for handle in self.handles:
                self.send(handle, signal.SIGCONT)
        if self.order["again"]:
            self.start_again()
        write_json(self.folder + "/undone.json", {"at": time.time()})

    def send(self, handle: int, number: signal.Signals) -> bool:
        try:
            signal.pidfd_send_signal(handle, number)
        except OSError:
            return False
        return True

    def wait(self) -> None:
        """Until it is over, or none of the victims is left."""
        left = set(self.handles)
        poll = select.poll()
        for handle in left:
            poll.register(handle, select.POLLIN)
        while left and not self.over():
            for handle, _ in poll.poll(1000 * LOOK_S):
                poll.unregister(handle)
                left.discard(handle)

    def start_again(self) -> None:
        """The daemon, as it was started before, unless somebody else starts it sooner."""
        again = self.order["again"]
        poll = select.poll()
        for handle in self.handles:
            poll.register(handle, select.POLLIN)
            poll.poll(1000 * SUPERVISOR_S)
        until, tries = time.monotonic() + SUPERVISOR_S, 0
        while os.path.exists(self.folder) and not held(again["lock"]):  # noqa: PTH110
            if time.monotonic() > until:
                if tries == TRIES_MAX:
                    return
                self.start(again)
                until, tries = time.monotonic() + START_S, tries + 1
            time.sleep(LOOK_S)

    def start(self, again: dict[str, Any]) -> None:
        """One try. What keeps it from being started now may be gone at the next one."""
        with contextlib.suppress(OSError), open(again["log"], "ab") as words:  # noqa: PTH123
            subprocess.Popen(
                again["argv"],
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                cwd=again["cwd"],
                start_new_session=True,
            )


def main() -> None:
    """Detaches first: whoever started this waits only for the parent's end."""
    if os.fork():
        os._exit(0)
    os.setsid()
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        # Ignored, they would be ignored by the daemon that is started, too.
        signal.signal(number, lambda *_: None)
    folder = sys.argv[1]
    lock = os.open(folder + "/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    # Another one holds it, or the home is gone and all that there was to do.
    with contextlib.suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.chdir("/")
        Holder(folder).run()


if __name__ == "__main__":
    main()
