"""A real celadon in a home of its own: the daemon as a process, asked over its socket and by its command line."""

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.backends import BackendSettings, server_command
from bench.processes import PartyError, spawn, wait_until

Json = dict[str, Any]

LOOK_S = 0.05
"""A poll costs the daemon about a millisecond, so looking more often would be part of what is measured."""

ENDED_S = 60.0
DOWN_S = 90.0


def document(
    service: str,
    backend: BackendSettings,
    name: str,
    *,
    ports: tuple[int, int],
    gate: bool,
    watch_s: float,
    hold_s: float,
) -> Json:
    """A service of one replica that runs the benchmarks' server under `name`, which is all that tells two revisions
    apart. ports: the service's own, and its preview's. What is not said here is celadon's default, retries too.
    """
    return {
        "apiVersion": "celadon.dev/v1alpha1",
        "kind": "ModelService",
        "metadata": {"name": service},
        "spec": {
            "command": [*server_command(backend, name), "-port={port}"],
            "env": {"GOMAXPROCS": "1"},
            "ready": "/healthz",
            "replicas": 1,
            "route": {"port": ports[0], "previewPort": ports[1]},
            "release": {
                "gate": gate,
                "watch": {"seconds": watch_s, "minRequests": 1, "maxLatencyMsP95": 60_000},
                "holdSeconds": hold_s,
            },
        },
    }


class Door(http.client.HTTPConnection):
    """HTTP on a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(path: Path, method: str, where: str, body: Mapping[str, Any] | None = None) -> Json:
    """One request on a connection of its own; anything but success ends the bench."""
    door = Door(path)
    try:
        door.request(method, where, json.dumps(body) if body is not None else None)
        answer = door.getresponse()
        raw = answer.read()
    finally:
        door.close()
    if answer.status >= http.HTTPStatus.BAD_REQUEST:
        raise PartyError(f"{method} {where}: {answer.status} {raw.decode()}")
    found = json.loads(raw or b"{}")
    assert isinstance(found, dict)
    return found


class CeladonHome:
    """One daemon, its Envoy and its replicas. What it starts inherits the cores of whoever calls `start`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "h"
        self.pid = 0
        """The daemon, once it was started."""
        self._files = folder
        self._revived: subprocess.Popen[bytes] | None = None
        # Where compiled modules are not kept, as build machines like it, every start of the daemon compiles them anew.
        self._environment = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith("CELADON") and k != "PYTHONDONTWRITEBYTECODE"
        }

    @property
    def socket(self) -> Path:
        return self.path / "celadon.sock"

    def command(self, *words: str) -> list[str]:
        """What a person would type."""
        return [sys.executable, "-m", "celadon", "--home", str(self.path), *words]

    def run(self, *words: str, timeout_s: float = 60.0) -> str:
        done = subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            check=False,
            env=self._environment,
            timeout=timeout_s,
        )
        if done.returncode != 0:
            raise PartyError(f"celadon {' '.join(words)}: {done.returncode} {done.stdout}{done.stderr}")
        return done.stdout

    def start(self, *options: str) -> None:
        """The daemon as it runs on anybody's machine."""
        self.pid = int(json.loads(self.run("up", *options, "--output", "json"))["pid"])

    def revive(self, *options: str) -> None:
        """Starts a daemon in the place of one that was killed, as an init system does, and returns at once."""
        command = self.command("up", *options, "--foreground")
        self._revived = spawn(command, self._files / "daemon.log", env=self._environment)
        self.pid = self._revived.pid

    def kill_daemon(self) -> None:
        """Gives it no time for anything; returns when the kernel has taken everything from it."""
        handle = os.pidfd_open(self.pid)
        os.kill(self.pid, signal.SIGKILL)
        select.select([handle], [], [])
        os.close(handle)
        if self._revived is not None:
            self._revived.wait()

    def get(self, where: str) -> Json:
        return ask(self.socket, "GET", where)

    def post(self, where: str, body: Mapping[str, Any]) -> Json:
        return ask(self.socket, "POST", where, body)

    def order(self, service: str, word: str) -> str:
        """Gives a command and returns the release it is about, without waiting for what comes of it."""
        release = self.post(f"/v1/services/{service}/commands", {"command": word})["release"]
        assert isinstance(release, str)
        return release

    def view(self, service: str) -> Json:
        return self.get(f"/v1/services/{service}")

    def deploy(self, *documents: Json) -> list[str]:
        """Accepted when it returns; the releases, in the order of the documents. JSON is YAML too."""
        file = self._files / "services.yaml"
        file.write_text("\n---\n".join(json.dumps(document) for document in documents))
        told = json.loads(self.run("deploy", "-f", str(file), "--detach", "--output", "json"))
        return [one["release_id"] for one in told["services"]]

    def until_ended(self, service: str, release: str) -> None:
        """Returns when this release was promoted, and raises when it came to any other end."""
        wait_until(
            lambda: self._outcome(service, release) is not None,
            f"{release} has ended",
            deadline_s=ENDED_S,
            every_s=LOOK_S,
        )
        if (outcome := self._outcome(service, release)) != "promoted":
            raise PartyError(f"{release} was {outcome}: {self.view(service)['last_release']['reason']}")

    def until_phase(self, service: str, release: str, phase: str) -> None:
        wait_until(
            lambda: self._phase(service, release) == phase,
            f"{release} is {phase}",
            deadline_s=ENDED_S,
            every_s=LOOK_S,
        )

    def _phase(self, service: str, release: str) -> str | None:
        moving = self.view(service)["release"]
        if moving is None or moving["release"] != release:
            if (outcome := self._outcome(service, release)) is not None:
                raise PartyError(f"{release} has ended too early: {outcome}")
            return None
        return str(moving["phase"])

    def _outcome(self, service: str, release: str) -> str | None:
        last = self.view(service)["last_release"]
        return last["outcome"] if last is not None and last["release"] == release else None

    def retries(self) -> int:
        """Requests that Envoy sent again, by its own count."""
        found = ask(
            self.path / "envoy" / "admin.sock", "GET", "/stats?format=json&filter=upstream_rq_retry%24"
        )
        return sum(int(stat["value"]) for stat in found["stats"] if stat["name"].startswith("cluster."))

    def processes(self) -> list[int]:
        """Everything of this home that runs, by its path in the command line."""
        found = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = file.read_bytes()
                if str(self.path).encode() in words and int(file.parts[2]) != os.getpid():
                    found.append(int(file.parts[2]))
        return found

    def envoy_pid(self) -> int:
        """The proxy itself, which is told from its launcher by the program it runs, and not one that proves a wish."""
        for pid in self.processes():
            process = Path(f"/proc/{pid}")
            with contextlib.suppress(OSError):
                proves = b"validate" in (process / "cmdline").read_bytes().split(b"\0")
                if (process / "exe").readlink().name == "envoy" and not proves:
                    return pid
        raise PartyError(f"no Envoy runs in {self.path}")

    def stop(self) -> None:
        """Drains and removes every service; what is left then is ended by force."""
        try:
            if self.socket.exists():
                self.run("down", "--yes", timeout_s=DOWN_S)
        finally:
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not self.processes(), "nothing of it runs any more")
