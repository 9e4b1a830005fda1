"""The load generator as the driver holds it: a process on a core of its own, told when to start and stop."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.build import built
from bench.exchanges import Traffic, read_traffic
from bench.machine import on_core
from bench.processes import PartyError

DRAIN_DEADLINE_S = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What callers ask for: a fixed rate over kept connections, and long streams beside it."""

    rate_per_s: float
    connections: int
    streams: int
    stream_s: float


class Generator:
    """Connected when made, silent until `start`, read with `stop`. As a context it never outlives its bench."""

    def __init__(
        self,
        demand: Demand,
        ports: Sequence[int],
        *,
        core: int,
        out: Path,
        name_header: str,
        patience_s: float = 10.0,
    ) -> None:
        self._out = out
        command = [
            str(built("load")),
            f"-targets={','.join(f'127.0.0.1:{port}' for port in ports)}",
            f"-rate={demand.rate_per_s}",
            f"-connections={demand.connections}",
            f"-streams={demand.streams}",
            f"-stream-seconds={demand.stream_s}",
            f"-name-header={name_header}",
            f"-timeout={patience_s}s",
            f"-out={out}",
        ]
        with on_core(core):
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "GOMAXPROCS": "1"},
            )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "ready":
            self._process.wait()
            raise PartyError("the load generator could not connect")

    def start(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("start\n")
        self._process.stdin.flush()

    def stop(self) -> Traffic:
        """Sends nothing more, waits for every open answer, and reads all records."""
        said, _ = self._process.communicate("stop\n", timeout=DRAIN_DEADLINE_S)
        if self._process.returncode != 0:
            raise PartyError(f"the load generator ended with {self._process.returncode}")
        counts = json.loads(said.splitlines()[-1])
        return read_traffic(self._out, requests_issued=counts["requests"], streams_issued=counts["streams"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
