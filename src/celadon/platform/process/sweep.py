"""Removes what is left of a replica whose launcher was killed before it could clean up."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from celadon.platform.process.launcher import remove_group
from celadon.platform.process.listeners import marked
from celadon.platform.process.order import MARK

SWEEP_S = 3.0


def sweep(token: str, groups: Sequence[str]) -> tuple[int, ...]:
    """Kill every process of a launch and wait until they are gone; returns those that would not die.

    The replica's first process dies with its launcher. Others are told by the token in their environment and by
    their control group, so that none keeps the port.
    """
    deadline = time.monotonic() + SWEEP_S
    while rest := _left(token, groups):
        for pid in rest:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            return rest
        time.sleep(0.01)
    for group in groups:
        remove_group(group)
    return ()


def _left(token: str, groups: Sequence[str]) -> tuple[int, ...]:
    members = [Path(group, "cgroup.procs") for group in groups]
    grouped = {int(pid) for path in members if path.exists() for pid in path.read_text().split()}
    return tuple(sorted(grouped.union(marked(f"{MARK}={token}"))))
