"""CPU and memory limits by control groups, version 2 or 1, below the daemon's own group.

Replicas never leave the group that the daemon is in: whatever limits the daemon as a whole goes on limiting them.
Where no group can be made the limit is not applied, and a note says so. An address-space limit is no substitute:
runtimes reserve far more than they use.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from celadon.domain.names import ReplicaId
from celadon.domain.spec import Resources

PERIOD_US = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """groups: folders that the replica joins before it starts. notes: limits that could not be applied."""

    groups: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


def make_limits(home: Path, replica: ReplicaId, resources: Resources) -> Limits:
    """Control groups for one replica, made and set."""
    wanted: dict[str, str] = {}
    if resources.cpus is not None:
        wanted["cpu"] = f"{resources.cpus:g} CPUs"
    if resources.memory_bytes is not None:
        wanted["memory"] = f"{resources.memory_bytes / 2**20:.0f} MiB of memory"
    groups: dict[Path, None] = {}
    notes = []
    for controller, text in wanted.items():
        try:
            groups[_group(home, replica, controller, resources)] = None
        except OSError as error:
            why = error.strerror or str(error)
            notes.append(f"limit of {text} not applied: no {controller} control group can be made ({why})")
    return Limits(groups=tuple(groups), notes=tuple(notes))


def _group(home: Path, replica: ReplicaId, controller: str, resources: Resources) -> Path:
    """The replica's group in the hierarchy that has this controller; raises OSError with the last reason."""
    owner = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:8]
    service = replica.service
    name = f"celadon-{owner}-{service.namespace}-{service.name}-{replica.revision}-{replica.index}"
    refused = OSError("this machine has no such controller, or it is not delegated to the daemon's user")
    for parent in _parents(controller):
        group = parent / name
        try:
            group.mkdir(exist_ok=True)
            for file, value in _values(group, controller, resources):
                (group / file).write_text(value)
        except OSError as error:
            refused = error
            if group.is_dir() and not (group / "cgroup.procs").read_text():
                group.rmdir()
        else:
            return group
    raise refused


def _values(group: Path, controller: str, resources: Resources) -> Iterator[tuple[str, str]]:
    """What to write into which file of a group; version 2 is told by `cgroup.controllers`."""
    second = (group / "cgroup.controllers").exists()
    if controller == "cpu":
        assert resources.cpus is not None
        quota_us = max(1000, round(resources.cpus * PERIOD_US))
        if second:
            yield "cpu.max", f"{quota_us} {PERIOD_US}"
        else:
            yield "cpu.cfs_period_us", str(PERIOD_US)
            yield "cpu.cfs_quota_us", str(quota_us)
    else:
        assert controller == "memory", controller
        yield "memory.max" if second else "memory.limit_in_bytes", str(resources.memory_bytes)
        if second and (group / "memory.swap.max").exists():
            yield "memory.swap.max", "0"
        if not second and (group / "memory.memsw.limit_in_bytes").exists():
            yield "memory.memsw.limit_in_bytes", str(resources.memory_bytes)


def _parents(controller: str) -> Iterator[Path]:
    """Folders below which this controller's groups can be made: our own group, then on version 2 the one above.

    In version 2 a group that holds processes, such as our own, can not hand controllers to groups below it, but
    the delegated slice above it usually does.
    """
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, own = line.split(":", 2)
        own = own.lstrip("/")
        if not controllers:
            root = _mounted("cgroup2", None)
            for folder in [] if root is None else [root / own, (root / own).parent]:
                handed = folder / "cgroup.subtree_control"
                if handed.exists() and controller in handed.read_text().split():
                    yield folder
        elif controller in controllers.split(","):
            root = _mounted("cgroup", controller)
            if root is not None:
                yield root / own


def _mounted(kind: str, option: str | None) -> Path | None:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, found, options, *_ = line.split()
        if found == kind and (option is None or option in options.split(",")):
            return Path(where)
    return None
