"""HAProxy: a blue-green swap by one command to its runtime API, which changes the map that selects the
backend. Nothing of it is durable: a restarted HAProxy reads the file as it was."""

import csv
import socket
import subprocess
import time
from pathlib import Path

from bench.backends import Backend, BackendSettings
from bench.build import tool
from bench.processes import PartyError, answers, end, free_port, spawn, wait_until
from bench.side import BLUE, GREEN

CONFIGURATION = """\
global
  nbthread 1
  maxconn 4096
  stats socket {home}/runtime.sock mode 600 level admin
  log stdout format raw local0
defaults
  mode http
  log global
  option httplog
  timeout connect 5s
  timeout client 3600s
  timeout server 60s
  timeout http-keep-alive 3600s
frontend front
  bind 127.0.0.1:{port}
  use_backend %[str(live),map({home}/live.map)]
backend blue
  http-reuse always
  server blue 127.0.0.1:{blue}
backend green
  http-reuse always
  server green 127.0.0.1:{green}
"""


def binary() -> str:
    return tool("haproxy", "/usr/sbin/haproxy")


def version() -> str:
    said = subprocess.run([binary(), "-v"], capture_output=True, text=True, check=True).stdout
    return said.split()[2]


class Haproxy:
    def __init__(self, home: Path, settings: BackendSettings) -> None:
        self.port = free_port()
        self._home = home
        self._backends = {name: Backend(settings, name, home) for name in (BLUE, GREEN)}
        self._process: subprocess.Popen[bytes] | None = None
        self._configuration = home / "haproxy.cfg"
        ports = {name: backend.port for name, backend in self._backends.items()}
        self._configuration.write_text(CONFIGURATION.format(home=home, port=self.port, **ports))

    def start(self) -> None:
        self._backends[BLUE].start()
        (self._home / "live.map").write_text(f"live {BLUE}\n")
        command = [binary(), "-f", str(self._configuration)]
        checked = subprocess.run([*command, "-c", "-q"], capture_output=True, check=False)
        if checked.returncode != 0:
            raise PartyError(f"HAProxy refuses its configuration: {checked.stderr.decode()}")
        self._process = spawn([*command, "-db"], self._home / "haproxy.log")
        wait_until(lambda: answers(f"http://127.0.0.1:{self.port}/healthz"), "HAProxy answers")

    def prepare(self) -> None:
        self._backends[GREEN].start()

    def validate(self, to: str) -> None:
        """The runtime API has nothing that would check a command before it is given."""

    def switch(self, to: str) -> int:
        command_ns = time.monotonic_ns()
        said = self._runtime(f"set map {self._home}/live.map live {to}")
        if said.strip():
            raise PartyError(f"HAProxy refuses to switch: {said}")
        return command_ns

    def settle(self, to: str) -> None:
        shown = self._runtime(f"show map {self._home}/live.map")
        if not shown.strip().endswith(f"live {to}"):
            raise PartyError(f"HAProxy does not show {to} as live: {shown}")

    def retire(self, name: str) -> None:
        wait_until(lambda: self._sessions(name) == 0, f"HAProxy has no session on {name}")
        self._backends[name].stop()
        self._backends[name].start()

    def retries(self) -> int:
        return sum(int(row["wretr"] or 0) for row in self._stat() if row["svname"] == "BACKEND")

    def shell_command(self, to: str) -> list[str]:
        """HAProxy brings no command of its own."""
        del to
        return []

    def stop(self) -> None:
        if self._process is not None:
            end(self._process)
        for backend in self._backends.values():
            backend.stop()

    def _sessions(self, name: str) -> int:
        rows = self._stat()
        return sum(int(row["scur"]) for row in rows if row["pxname"] == name and row["svname"] == "BACKEND")

    def _stat(self) -> list[dict[str, str]]:
        return list(csv.DictReader(self._runtime("show stat").lstrip("# ").splitlines()))

    def _runtime(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(f"{self._home}/runtime.sock")
            door.sendall(command.encode() + b"\n")
            parts = []
            while part := door.recv(65536):
                parts.append(part)
        return b"".join(parts).decode()
