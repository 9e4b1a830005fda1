"""The fence of one machine: a file lock that a daemon holds for life, so that a home has one daemon at a time."""

import fcntl
import os
from pathlib import Path

from celadon.domain.problem import LastingFault

NAME = "daemon.lock"


class HomeLock:
    """Holds the lock of a home from construction until `release` or the end of the process.

    The descriptor is closed on exec, so that no child inherits the lock. A stale file is harmless: the kernel
    drops the lock with its holder, however that ended. Raises LastingFault when another daemon holds it.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / NAME
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            what = f"the home folder {home} can not be used: {error.strerror}"
            raise LastingFault(what, "choose a folder that this user can write") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._descriptor)
            what = f"another daemon (pid {holder}) runs on {home}"
            raise LastingFault(what, "use that one, or stop it with `celadon stop`") from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next daemon in."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
