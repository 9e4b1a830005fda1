"""Which processes listen on which TCP ports of this machine, as far as /proc shows it."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LISTEN = b"0A"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """What a replica's processes listen on. told: whether it has the port it was told, alone.

    seen: false when a process's files could not be looked at, so that nothing is known.
    ports: all ports of the replica. strangers: whether somebody else listens on the told port.
    """

    seen: bool
    told: bool
    ports: tuple[int, ...]
    strangers: bool


def listening(launcher: int, port: int) -> Listening:
    """Compare the listening sockets of this machine with those that the family of a launcher has open."""
    sockets = _listeners()
    seen, own = _open_sockets(_family(launcher))
    ports = tuple(sorted({where for inode, where in sockets if inode in own}))
    others = any(where == port and inode not in own for inode, where in sockets)
    return Listening(seen=seen, told=port in ports and not others, ports=ports, strangers=others)


def _listeners() -> list[tuple[bytes, int]]:
    """(inode, port) of all listening sockets. The kernel lists them before all connections."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            continue
        with open(table, "rb", buffering=4096) as file:  # noqa: PTH123
            next(file)
            for line in file:
                fields = line.split()
                if fields[3] != LISTEN:
                    break
                found.append((fields[9], int(fields[1].rpartition(b":")[2], 16)))
    return found


def _family(launcher: int) -> set[int]:
    """Every living descendant of a process."""
    parents: dict[int, list[int]] = {}
    for name in filter(str.isdecimal, os.listdir("/proc")):  # noqa: PTH208
        try:
            stat = Path("/proc", name, "stat").read_bytes()
        except OSError:
            continue  # It ended while we were looking.
        parents.setdefault(int(stat.rpartition(b")")[2].split()[1]), []).append(int(name))
    family: set[int] = set()
    fresh = parents.get(launcher, [])
    while fresh:
        family.update(fresh)
        fresh = [child for pid in fresh for child in parents.get(pid, []) if child not in family]
    return family


def _open_sockets(pids: Iterable[int]) -> tuple[bool, set[bytes]]:
    """(whether all could be looked at, inodes of the sockets they have open)."""
    seen, inodes = True, set()
    for pid in pids:
        folder = f"/proc/{pid}/fd"
        try:
            for fd in os.listdir(folder):  # noqa: PTH208
                target = os.readlink(f"{folder}/{fd}")  # noqa: PTH115
                if target.startswith("socket:["):
                    inodes.add(target[8:-1].encode())
        except (FileNotFoundError, ProcessLookupError):
            continue  # It ended, or closed the file, while we were looking.
        except PermissionError:
            seen = False
    return seen, inodes


def marked(mark: str) -> list[int]:
    """Living processes whose environment holds this entry, as far as we may look."""
    entry, found = mark.encode(), []
    for name in filter(str.isdecimal, os.listdir("/proc")):  # noqa: PTH208
        try:
            environ = Path("/proc", name, "environ").read_bytes()
        except OSError:
            continue  # Another user's, or it ended while we were looking.
        if entry in environ.split(b"\0"):
            found.append(int(name))
    return found
