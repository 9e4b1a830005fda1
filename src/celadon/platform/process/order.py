"""What exactly is run for one launch: arguments, working directory, environment, limits."""

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celadon.domain.launch import Launch
from celadon.domain.problem import LastingFault
from celadon.domain.revision import CommandRuntime, ModelRuntime
from celadon.platform.process.limits import make_limits
from celadon.platform.process.logs import prune_logs
from celadon.platform.process.predictions import predictions_path, prune_predictions
from celadon.platform.process.rundir import RunDir, run_dirs
from celadon.platform.process.secret import resolve

INHERITED = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "TMPDIR",
    "TZ",
    "USER",
)
"""What a replica gets of the daemon's environment; a revision's identity does not cover it."""

MARK = "CELADON_LAUNCH"
"""Environment variable with the token of the launch: every process of a replica can be told by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Where the platform keeps things, and how much output it keeps per replica."""

    home: Path
    log_bytes_max: int
    log_files: int


def make_order(shelf: Shelf, run: RunDir, launch: Launch, token: str) -> dict[str, Any]:
    """Everything the launcher has to know. Lays out the run folder; the secrets are in the answer alone.

    Raises Fault when the replica can not be started as it should be.
    """
    run.clear()
    values, changed = resolve(shelf.home, launch.revision.secrets)
    argv = command_line(launch)
    copy_files(launch, run.work)
    limits = make_limits(shelf.home, launch.replica, launch.revision.resources)
    log = log_path(shelf.home, run)
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    prune_logs(log.parent, launch.replica.service, {other.replica for other in run_dirs(shelf.home)})
    predictions = predictions_path(shelf.home, launch.replica)
    prune_predictions(shelf.home, {other.replica for other in run_dirs(shelf.home)})
    env = environment(launch, token, predictions) | values
    run.write(
        "launch.json",
        {
            "token": token,
            "argv": argv,
            "cwd": str(run.work),
            "env": sorted(env),
            "ready": launch.revision.ready,
            "zone": launch.zone,
            "notes": limits.notes + changed,
            "groups": [str(group) for group in limits.groups],
        },
    )
    return {
        "argv": argv,
        "cwd": str(run.work),
        "env": env,
        "secrets": sorted(values),
        "ports": port_range(),
        "log": str(log),
        "log_bytes": shelf.log_bytes_max,
        "log_files": shelf.log_files,
        "groups": [str(group) for group in limits.groups],
        "grace_s": launch.drain_s,
    }


def command_line(launch: Launch) -> list[str]:
    """The arguments, with `{port}` where the port goes. Our own server is one preset among them."""
    match launch.revision.runtime:
        case CommandRuntime(command=command):
            return list(command)
        case ModelRuntime(serving=serving):
            if importlib.util.find_spec("onnxruntime") is None:
                raise LastingFault(
                    "`model:` needs celadon's model server, and its parts are not installed",
                    "pip install 'celadon[serving]'",
                )
            assert launch.tree is not None, launch.replica
            options = {
                "model": launch.tree,
                "name": launch.replica.service.name,
                "version": serving.version,
                "host": "127.0.0.1",
                "port": "{port}",
                "revision": launch.revision.id,
                "threads": serving.threads,
                "max-body-bytes": serving.max_body_bytes,
                "drain-seconds": f"{launch.drain_s:g}",
                **({} if launch.warmup is None else {"warmup": launch.warmup}),
            }
            pairs = (text for key, value in options.items() for text in (f"--{key}", str(value)))
            return [sys.executable, "-m", "celadon.serving", "serve", *pairs]


def copy_files(launch: Launch, work: Path) -> None:
    """A working directory of the replica's own, so that nothing it writes reaches the verified tree."""
    work.mkdir(mode=0o700)
    if isinstance(launch.revision.runtime, ModelRuntime) or launch.tree is None:
        return
    shutil.copytree(launch.tree, work, symlinks=True, copy_function=_copy_writable, dirs_exist_ok=True)
    for folder, _, _ in os.walk(work):
        Path(folder).chmod(0o700)


def _copy_writable(source: str, target: str) -> None:
    shutil.copyfile(source, target, follow_symlinks=False)
    if not Path(target).is_symlink():
        Path(target).chmod(0o600 | (Path(source).stat().st_mode & 0o100))


def environment(launch: Launch, token: str, predictions: Path) -> dict[str, str]:
    """A small base, the owner's own, and who the replica is; never the daemon's whole environment."""
    base = {name: os.environ[name] for name in INHERITED if name in os.environ}
    base.setdefault("PATH", os.defpath)
    own = {
        MARK: token,
        "CELADON_SERVICE": str(launch.replica.service),
        "CELADON_REVISION": launch.revision.id,
        "CELADON_REPLICA": str(launch.replica.index),
        "CELADON_PREDICTIONS": str(predictions),
        **({"CELADON_ZONE": launch.zone} if launch.zone else {}),
    }
    # A replica's output is read line by line as it comes; Python would keep it back in blocks.
    return base | {"PYTHONUNBUFFERED": "1"} | dict(launch.revision.env) | own


def log_path(home: Path, run: RunDir) -> Path:
    """Logs outlive their replica, so that one can still read why it ended."""
    replica = run.replica
    folder = home / "logs" / replica.service.namespace / replica.service.name
    return folder / f"{replica.revision}-{replica.index}.log"


def port_range() -> tuple[int, int]:
    """Ports [low, high) that the kernel gives to no outgoing connection."""
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    if low >= 12_000:
        return max(10_240, low - 12_768), low
    if high <= 64_000:
        return high + 1, 65_536
    return 10_240, 65_536
