"""Starting and ending the processes of a benchmark, each with its output in a file."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

STOP_DEADLINE_S = 20.0


class PartyError(Exception):
    """A party of the benchmark did not do what it must for a figure to mean anything."""


def free_port() -> int:
    """A port of loopback that nobody listens on at this moment."""
    (port,) = free_ports(1)
    return port


def free_ports(count: int) -> list[int]:
    """So many different ones: each is held until all are found, or one could be given twice."""
    with contextlib.ExitStack() as held:
        found = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in found]


def spawn(
    command: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask politely, then insist."""
    process.terminate()
    try:
        process.wait(STOP_DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(
    condition: Callable[[], bool], what: str, *, deadline_s: float = 20.0, every_s: float = 0.005
) -> None:
    until = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > until:
            raise PartyError(f"not within {deadline_s:.0f} s: {what}")
        time.sleep(every_s)


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False
