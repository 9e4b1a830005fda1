"""Reads what replicas wrote: the stamped lines of all replicas of a service, in order of time."""

import asyncio
import heapq
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from celadon.domain.names import ReplicaId, RevisionId, ServiceKey

FOLLOW_S = 0.2
STAMP = len("2026-01-31T23:59:59.123")
KEPT_MAX = 16
"""Logs of so many replicas that no longer run are kept per service."""


@dataclass(slots=True, kw_only=True)
class Tail:
    """A log file that is being followed: its identity and how far it was read."""

    replica: ReplicaId
    path: Path
    inode: int = 0
    position: int = 0

    def fresh(self) -> list[tuple[str, ReplicaId]]:
        """Lines that came since, also across rotations."""
        parts = _parts(self.path)
        seen = [_stat(part) for part in parts]
        place = next((n for n, one in enumerate(seen) if one is not None and one.st_ino == self.inode), None)
        if place is None:
            place, self.position = 0, 0
        lines = []
        for part in parts[place:]:
            lines += self._read(part)
        return lines

    def _read(self, path: Path) -> list[tuple[str, ReplicaId]]:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return []  # It is being rotated away; its lines are found at the next look.
        with file:
            inode = os.fstat(file.fileno()).st_ino
            if inode != self.inode:
                self.inode, self.position = inode, 0
            file.seek(self.position)
            whole, _, _ = file.read().rpartition(b"\n")
        self.position += len(whole) + 1 if whole else 0
        return (
            [(line, self.replica) for line in whole.decode("utf-8", "replace").split("\n")] if whole else []
        )


async def read_logs(
    folder: Path, service: ServiceKey, since: float | None, *, follow: bool
) -> AsyncIterator[tuple[ReplicaId, str]]:
    """Lines of a service's replicas. since: wall time; None for everything that is kept."""
    start = "" if since is None else datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    tails: dict[Path, Tail] = {}
    for path, replica in _logs(folder, service):
        if (seen := _stat(path)) is not None:
            tails[path] = Tail(replica=replica, path=path, inode=seen.st_ino, position=seen.st_size)
    for line, replica in heapq.merge(*(_old_lines(tail) for tail in tails.values()), key=_stamp):
        if line[:STAMP] >= start:
            yield replica, line
    while follow:
        for path, replica in _logs(folder, service):
            tails.setdefault(path, Tail(replica=replica, path=path))
        fresh = sorted((found for tail in tails.values() for found in tail.fresh()), key=_stamp)
        for line, replica in fresh:
            yield replica, line
        await asyncio.sleep(FOLLOW_S)


def prune_logs(folder: Path, service: ServiceKey, running: set[ReplicaId]) -> None:
    """Remove the oldest logs of replicas that no longer run, beyond those that are kept. Others may do so just now, too."""
    ended = [(path, _stat(path)) for path, replica in _logs(folder, service) if replica not in running]
    there = sorted((seen.st_mtime, path) for path, seen in ended if seen is not None)
    for _, path in there[:-KEPT_MAX]:
        for part in _parts(path):
            part.unlink(missing_ok=True)


def _logs(folder: Path, service: ServiceKey) -> Iterator[tuple[Path, ReplicaId]]:
    for path in sorted(folder.glob("*-*.log")):
        revision, _, index = path.stem.rpartition("-")
        if index.isdecimal():
            yield path, ReplicaId(service=service, revision=RevisionId(revision), index=int(index))


def _parts(path: Path) -> list[Path]:
    """A log and what was rotated away from it, oldest first."""
    rotated = sorted(path.parent.glob(path.name + ".*"), key=lambda part: -int(part.suffix[1:]))
    return [*rotated, path]


def _old_lines(tail: Tail) -> Iterator[tuple[str, ReplicaId]]:
    for part in _parts(tail.path):
        left = tail.position if part == tail.path else None
        try:
            file = part.open("rb")
        except FileNotFoundError:
            continue  # It was rotated away while we were reading.
        with file:
            for line in file:
                if left is not None:
                    left -= len(line)
                    if left < 0:
                        break
                yield line.decode("utf-8", "replace").rstrip("\n"), tail.replica


def _stamp(found: tuple[str, ReplicaId]) -> str:
    """Order by time alone: lines of one replica and one instant stay as they were written."""
    return found[0][:STAMP]


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None  # It has just been rotated or tidied away.
