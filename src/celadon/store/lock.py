"""The fence of one machine: a file lock that a daemon holds for life, so that a home has one daemon at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from celadon.domain.problem import LastingFault


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock of a home, usually `HOME/daemon.lock`, until the context is left or the process ends.

    The descriptor is closed on exec, so that no child inherits the lock. A stale file is harmless: the kernel
    drops the lock with its holder, however that ended. Raises LastingFault when another daemon holds it.
    """
    descriptor = _open(path)
    try:
        _take(descriptor, path)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        what = f"the home folder {path.parent} can not be used: {error.strerror}"
        raise LastingFault(what, "choose a folder that this user can write") from error


def _take(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        what = f"another daemon (pid {holder}) runs on {path.parent}"
        raise LastingFault(what, "use that one, or stop it with `celadon stop`") from error
