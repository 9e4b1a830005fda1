"""The servers that every party stands in front of: the same program, the same settings, two names."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.build import built
from bench.processes import answers, end, free_port, spawn, wait_until

NAME_HEADER = "x-backend-name"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSettings:
    """Delays are log-normal around their median; `warm_ms` of processor time is burnt before the port opens."""

    delay_ms_median: float
    delay_sigma: float
    warm_ms: int
    seed: int


def server_command(settings: BackendSettings, name: str) -> list[str]:
    """The command without its port, for a party that gives out the ports itself."""
    return [
        str(built("server")),
        f"-name={name}",
        f"-name-header={NAME_HEADER}",
        f"-delay-ms={settings.delay_ms_median}",
        f"-delay-sigma={settings.delay_sigma}",
        f"-warm-ms={settings.warm_ms}",
        f"-seed={settings.seed}",
    ]


class Backend:
    """One server on a port that stays its own over restarts."""

    def __init__(self, settings: BackendSettings, name: str, home: Path) -> None:
        self.name = name
        self.port = free_port()
        self._command = [*server_command(settings, name), f"-port={self.port}"]
        self._log = home / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        self._process = spawn(self._command, self._log, env={"GOMAXPROCS": "1"})
        wait_until(lambda: answers(f"http://127.0.0.1:{self.port}/healthz"), f"{self.name} answers")

    def stop(self) -> None:
        """It finishes what it accepted before it ends."""
        if self._process is not None:
            end(self._process)
            self._process = None
