"""The files of one replica under home/run, and whether its launcher is alive.

run/NAMESPACE/SERVICE/REVISION/INDEX/ holds
  lock          held by the launcher for life; says who that is (pid, start time, boot id, token of the launch)
  launch.json   what the daemon started, without any secret, so that a later daemon can go on with it
  child.json    pid and port of the replica, once it runs
  stop.json     it was asked to stop, and with which grace
  exit.json     how it ended, by the launcher
  history.json  exits in a row, the last one, and whether the present launch was ever ready, by the daemon
  launcher.log  what the launcher itself had to complain of
  work/         the working directory, new at every start
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celadon.domain.names import ReplicaId, RevisionId, ServiceKey
from celadon.domain.problem import LastingFault
from celadon.platform.process.launcher import start_ticks, write_json

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDir:
    """Where one replica's files are."""

    replica: ReplicaId
    path: Path

    @property
    def work(self) -> Path:
        return self.path / "work"

    def read(self, name: str) -> dict[str, Any] | None:
        """One of the JSON files; None when it is not there."""
        try:
            content = (self.path / name).read_bytes()
        except FileNotFoundError:
            return None
        try:
            value = json.loads(content)
        except ValueError as error:
            raise LastingFault(
                f"{self.path / name} is damaged: {error}", "stop the replica and start it again"
            ) from error
        assert isinstance(value, dict), self.path / name
        return value

    def write(self, name: str, value: object) -> None:
        """Replace one of the JSON files whole."""
        write_json(str(self.path / name), value)

    def clear(self) -> None:
        """Forget the last launch, keep the history."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("launch.json", "child.json", "stop.json", "exit.json", "launcher.log"):
            (self.path / name).unlink(missing_ok=True)
        if self.work.exists():
            shutil.rmtree(self.work)

    def remove(self) -> None:
        """Remove everything, and the folders above that are empty then."""
        shutil.rmtree(self.path, ignore_errors=True)
        for folder in list(self.path.parents)[:3]:
            try:
                folder.rmdir()
            except OSError:
                return  # Not empty: another replica, revision or service lives there.


def run_dir(home: Path, replica: ReplicaId) -> RunDir:
    """Deterministic: whoever wants to run this replica meets the same lock."""
    service = replica.service
    path = home / "run" / service.namespace / service.name / replica.revision / str(replica.index)
    return RunDir(replica=replica, path=path)


def run_dirs(home: Path) -> Iterator[RunDir]:
    """Every replica of which there are files."""
    for path in sorted((home / "run").glob("*/*/*/*")):
        namespace, name, revision, index = path.parts[-4:]
        if not index.isdecimal():
            continue
        service = ServiceKey(namespace=namespace, name=name)
        yield RunDir(
            replica=ReplicaId(service=service, revision=RevisionId(revision), index=int(index)), path=path
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A living launcher. pidfd: stays with this very process even if its pid is used again. token: its launch."""

    pid: int
    pidfd: int
    token: str


def held(run: RunDir) -> bool:
    """Whether some process holds the replica's lock."""
    try:
        lock = os.open(run.path / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def holder(run: RunDir) -> Holder | None:
    """The launcher that holds the lock, if the lock is held and says truly by whom."""
    if not held(run):
        return None
    try:
        identity = json.loads((run.path / "lock").read_bytes())
        pidfd = os.pidfd_open(int(identity["pid"]))
    except (ValueError, ProcessLookupError):
        return None
    try:
        same = start_ticks(identity["pid"]) == identity["start"] and identity["boot"] == boot_id()
    except OSError:
        same = False
    if not same:
        os.close(pidfd)
        return None
    return Holder(pid=identity["pid"], pidfd=pidfd, token=identity["token"])


def boot_id() -> str:
    """Names the time since the machine was started last."""
    return BOOT_ID.read_text().strip()


def lost_by_reboot(run: RunDir) -> bool:
    """Whether the machine was started again since the replica's launcher wrote its identity."""
    identity = run.read("lock")
    return identity is not None and identity.get("boot") != boot_id()
