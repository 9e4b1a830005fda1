"""What is killed while releases go on: replicas, the proxy, the daemon, one at a time, drawn by a seed."""

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.celadon_home import CeladonHome
from bench.processes import PartyError, wait_until
from bench.soak_service import Service

BACK_S = 60.0
KINDS = ("replica", "envoy", "daemon")


@dataclass(slots=True, kw_only=True)
class Killer:
    """Kills until told to stop. storm: daemon and proxy, too, and not replicas alone. apart_s: least and most seconds
    between two kills.
    """

    home: CeladonHome
    services: Sequence[Service]
    seed: int
    apart_s: tuple[float, float]
    storm: threading.Event = field(default_factory=threading.Event)
    counts: Counter[str] = field(default_factory=Counter)
    away: list[tuple[float, float]] = field(default_factory=list)
    """When the proxy was away, monotonic seconds: nobody could be answered."""
    daemon_back_s: list[float] = field(default_factory=list)

    def run(self, enough: threading.Event) -> None:
        draws = random.Random(self.seed)
        deck: list[str] = []
        while not enough.wait(draws.uniform(*self.apart_s)):
            # Dealt and not drawn, so that even a short storm has some of each.
            deck = deck or draws.sample(KINDS, len(KINDS))
            match deck.pop() if self.storm.is_set() else "replica":
                case "envoy":
                    self.envoy()
                case "daemon":
                    self.daemon()
                case _:
                    self.replica(draws)

    def replica(self, draws: random.Random) -> None:
        """One of two that are ready, so that nobody may notice. Where no service has two just now, none is killed."""
        found = [(one, pids) for one in self.services if len(pids := one.ready()) > 1]
        if found:
            _, pids = draws.choice(found)
            _kill(draws.choice(pids))
            self.counts["replica"] += 1

    def envoy(self) -> None:
        pid, began = self.home.envoy_pid(), time.monotonic()
        _kill(pid)
        wait_until(lambda: self._proxy_is_another_than(pid), "Envoy answers again", deadline_s=BACK_S)
        self.away.append((began, time.monotonic()))
        self.counts["envoy"] += 1

    def daemon(self) -> None:
        """It is started again at once, as a supervisor does."""
        pid, began = int(self.home.get("/v1/health")["pid"]), time.monotonic()
        _kill(pid)
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the daemon is gone")
        self.home.start()
        self.daemon_back_s.append(round(time.monotonic() - began, 2))
        self.counts["daemon"] += 1

    def _proxy_is_another_than(self, pid: int) -> bool:
        with contextlib.suppress(PartyError, OSError):
            return self.home.envoy_pid() != pid and self.home.retries() >= 0
        return False


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
