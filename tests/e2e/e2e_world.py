"""A machine as a person has it: a home, a real daemon, the command line, services with real servers, and their end."""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path

from celadon.doors.cli.client import Client, DaemonGoneError

SCORE_SERVER = Path(__file__).with_name("score_server.py")
MORTAL = Path(__file__).with_name("mortal_daemon.py")

SPEC = {
    "apiVersion": "celadon.dev/v1alpha1",
    "kind": "ModelService",
    "metadata": {"name": ""},
    "spec": {
        "command": [sys.executable, "-S", "server.py", "{port}"],
        "ready": "/healthz",
        "golden": "./golden.jsonl",
        "drainSeconds": 5,
        "release": {
            "startSeconds": 20,
            "watch": {"seconds": 1, "minRequests": 5, "maxErrorPercent": 5, "deadlineSeconds": 60},
        },
    },
}

GOLDEN = {"path": "/score", "body": {"golden": True}, "expect": {"at": "score", "low": 0, "high": 9}}

CLAIMS = []
"""Ports of this test run, held until it ends: other runs on this machine look here too."""


def free_port():
    """A port that nothing listens on, outside the ranges that outgoing connections and replicas take theirs from."""
    while True:
        port = random.randrange(10_000, 15_000)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0celadon-e2e/port/{port}")
            with socket.socket() as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        CLAIMS.append(claim)
        return port


def until(condition, seconds=30.0, every_s=0.01):
    """Wait for a condition, with a deadline; what it returned is the answer."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(every_s)
    return found


def alive(pid):
    """Whether a process still runs; one that only waits for its parent to notice does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def merge(base, over):
    """`base` with `over` put over it; None takes a key away."""
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = value
    return merged


class World:
    """One home and everything that is done with it."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="cel-e2e-"))
        self.home = self.folder / "h"
        self.work = self.folder / "w"
        self.work.mkdir()
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("CELADON")}
        self.started = []
        self.ports = {}

    # what a person does

    def run(self, *arguments, timeout=60, **more):
        return subprocess.run(
            [sys.executable, "-m", "celadon", *map(str, arguments)],
            capture_output=True,
            check=False,
            text=True,
            cwd=self.work,
            env={**self.environment, "CELADON_HOME": str(self.home), **more},
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )

    def done(self, *arguments, code=0, **more):
        """A command that has to end with this code; all that it wrote."""
        ran = self.run(*arguments, **more)
        assert ran.returncode == code, (ran.returncode, ran.stdout, ran.stderr)
        return ran.stdout + ran.stderr

    def start(self, *arguments, **more):
        """A command that goes on while the test does."""
        process = subprocess.Popen(
            [sys.executable, "-m", "celadon", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=self.work,
            env={**self.environment, "CELADON_HOME": str(self.home), **more},
        )
        self.started.append(process)
        return process

    def up(self, **more):
        return self.done("up", **more)

    def service(self, name="score", *, answer=None, golden=GOLDEN, file=None, **over):
        """A service file with its server's files; returns its name. over: changes of `spec`."""
        files = self.work / f"{name}-files"
        files.mkdir(exist_ok=True)
        shutil.copy(SCORE_SERVER, files / "server.py")
        (files / "answer.json").write_text(json.dumps({"score": 1, **(answer or {})}))
        (self.work / "golden.jsonl").write_text(json.dumps(GOLDEN) + "\n")
        if isinstance(golden, str):
            over = {"golden": golden, **over}
        elif golden is not GOLDEN:
            over = {"golden": f"./{name}-golden.jsonl" if golden else None, **over}
            (self.work / f"{name}-golden.jsonl").write_text(
                "".join(json.dumps(g) + "\n" for g in golden or ())
            )
        route = {"port": self.port(name), "previewPort": self.port(f"{name} preview")}
        spec = merge(merge(SPEC["spec"], {"files": f"./{files.name}", "route": route}), over)
        if "model" in spec:
            spec = {key: value for key, value in spec.items() if key not in {"command", "files", "ready"}}
        document = {**SPEC, "metadata": {"name": name}, "spec": spec}
        path = self.work / (file or f"{name}.json")
        path.write_text(json.dumps(document, indent=2))
        return path.name

    def port(self, name="score"):
        if name not in self.ports:
            self.ports[name] = free_port()
        return self.ports[name]

    # what can be seen

    @property
    def client(self):
        return Client(self.home / "celadon.sock")

    def view(self, name="score"):
        return self.client.get(f"/v1/services/{name}")

    def live(self, name="score"):
        return self.view(name)["live"]

    def replicas(self, name="score", revision=None):
        """Replicas of what is live, or of a revision."""
        view = self.view(name)
        wanted = revision or view["live"]
        return [r for of in view["revisions"] if of["revision"] == wanted for r in of["replicas"]]

    def phase(self, name="score"):
        return (self.view(name)["release"] or {}).get("phase")

    def history(self, name="score"):
        return self.client.get(f"/v1/services/{name}/releases")["releases"]

    def daemon_pid(self):
        return self.client.get("/v1/health")["pid"]

    def answers(self):
        try:
            return self.client.get("/v1/health")
        except DaemonGoneError:
            return None

    def envoy_pid(self):
        """The proxy itself, found by what runs and not by what celadon says; not one that only looks at a file."""
        for pid in self.processes():
            with contextlib.suppress(OSError):
                program, *arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if program.endswith(b"/envoy") and b"--mode" not in arguments:
                    return pid
        return None

    def envoy(self, path):
        """What the proxy itself says of a path of its admin interface."""
        with contextlib.closing(HTTPConnection("envoy")) as connection:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(str(self.home / "envoy" / "admin.sock"))
            connection.request("GET", path)
            return connection.getresponse().read().decode()

    def processes(self):
        """Every process that names this home in its arguments, its environment or its working directory."""
        mark = str(self.home).encode()
        found = []
        for place in Path("/proc").iterdir():
            if not place.name.isdecimal() or int(place.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                told = [(place / name).read_bytes() for name in ("cmdline", "environ")]
                told.append(os.fsencode((place / "cwd").readlink()))
                if any(mark in text for text in told) and alive(int(place.name)):
                    found.append(int(place.name))
        return found

    # its end

    def kill(self, pid, number=signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def leave(self):
        """Take all of it down as a person does. Returns what was still running afterwards, which is nothing."""
        for process in self.started:
            with process:
                process.kill()
        if self.home.exists() and self.processes():
            if self.answers() is None:
                self.up()
            self.done("down", "--yes", timeout=90)
        deadline = time.monotonic() + 5
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return [(pid, Path(f"/proc/{pid}/cmdline").read_bytes()) for pid in left if alive(pid)]

    def end(self):
        """Leave, and see to it that nothing is left even of a test that failed."""
        try:
            left = self.leave()
        finally:
            self.remove()
        assert left == []

    def stop_everything(self):
        """SIGKILL to every process of this home, until there is none."""

        def gone():
            left = self.processes()
            for pid in left:
                self.kill(pid)
            return not left

        until(gone, 10)

    def remove(self):
        """Everything of this world goes, by force."""
        self.stop_everything()
        for root, folders, _ in os.walk(self.folder):
            for name in folders:
                (Path(root) / name).chmod(0o700)
        shutil.rmtree(self.folder)


@contextlib.contextmanager
def world():
    """A world that is up, and gone afterwards."""
    made = World()
    try:
        made.up()
        yield made
    finally:
        made.end()
