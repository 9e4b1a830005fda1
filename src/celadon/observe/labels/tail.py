"""Reads on in files of lines that are appended to, across rotations and restarts."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from celadon.domain.names import RevisionId, ServiceKey
from celadon.observe.labels.lines import REVISION

CHUNK = 2**20
LINE_MAX = 16_384
"""A line that is longer is skipped."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which file was read, and how far."""

    inode: int
    offset: int


def files(folder: Path, service: ServiceKey) -> Iterator[tuple[Path, RevisionId]]:
    """The files of predictions of a service's replicas, each with the revision that writes it."""
    for path in sorted(folder.glob(f"{service.namespace}.{service.name}.*.jsonl")):
        _, _, revision, index, _ = path.name.split(".")
        if REVISION.fullmatch(revision) and index.isdecimal():
            yield path, RevisionId(revision)


def end(path: Path) -> Place | None:
    """Behind everything that is there now; None for a file that can not be read."""
    with _Opened(path) as file:
        return Place(file.inode, file.size) if file else None


def read_on(path: Path, place: Place | None) -> tuple[list[bytes], Place | None, bool]:
    """Up to a chunk of lines after a place; where the next ones are, and whether there are more already.

    place None: at the very beginning. A file that was rotated meanwhile is read to its end first.
    """
    with _Opened(path) as now:
        if now is None:
            return [], place, False
        if place is not None and place.inode == now.inode:
            return _lines(now, place.offset if place.offset <= now.size else 0)
        with _Opened(path.with_name(f"{path.name}.1")) as old:
            if old is not None:
                start = place.offset if place is not None and place.inode == old.inode else 0
                lines, there, _ = _lines(old, start)
                if there.offset > start:
                    return lines, there, True
        return _lines(now, 0)


@dataclass(slots=True)
class _Opened:
    """An open file, or None where there is none that may be read: links and pipes are nobody's log."""

    path: Path
    descriptor: int = -1
    inode: int = 0
    size: int = 0

    def __enter__(self) -> "_Opened | None":
        with suppress(OSError):
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self.descriptor = os.open(self.path, flags)
            about = os.fstat(self.descriptor)
            self.inode, self.size = about.st_ino, about.st_size
            return self if stat.S_ISREG(about.st_mode) else None
        return None

    def __exit__(self, *_: object) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


def _lines(file: _Opened, offset: int) -> tuple[list[bytes], Place, bool]:
    text = os.pread(file.descriptor, CHUNK, offset)
    whole, newline, rest = text.rpartition(b"\n")
    taken = len(whole) + len(newline)
    if len(rest) > LINE_MAX:
        taken = len(text)
    lines = [line for line in whole.split(b"\n") if 0 < len(line) <= LINE_MAX]
    return lines, Place(file.inode, offset + taken), len(text) == CHUNK
