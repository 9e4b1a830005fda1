"""What Envoy needs of the kernel for every file that it follows, and whether there is enough of it.

Envoy aborts when it gets none, and again after every start, and with it every service is gone. So it is found out
before Envoy is given another file to follow.
"""

import ctypes
import errno
import os
from pathlib import Path

LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")

SPARE = 8
"""Left for other programs of this user, and for what Envoy opens while it is told of new files."""

_LIBC = ctypes.CDLL(None, use_errno=True)


def lacking(files: int) -> str | None:
    """Why Envoy could not follow so many more files, None when it can. Each takes one inotify instance of the user."""
    held: list[int] = []
    try:
        for _ in range(files + SPARE if files else 0):
            watcher = _LIBC.inotify_init1(os.O_CLOEXEC)
            if watcher < 0:
                return _too_few(files) if ctypes.get_errno() == errno.EMFILE else None
            held.append(watcher)
    finally:
        for watcher in held:
            os.close(watcher)
    return None


def _too_few(files: int) -> str:
    try:
        limit = LIMIT.read_text(encoding="ascii").strip()
    except OSError:
        limit = "too few"
    return (
        f"Envoy can not follow {files} more files: this machine gives all programs of one user {limit} inotify"
        " instances (raise it: sysctl -w fs.inotify.max_user_instances=1024)"
    )
