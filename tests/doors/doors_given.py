"""A real daemon in a home of its own, the command line as people run it, and a small server that can misbehave."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

SERVER = """
import http.server, json, os, sys

told = json.load(open("answer.json"))
print("serving", told, flush=True)

class Score(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200 if told.get("ready", True) else 503, {})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        fails = told.get("fails") and not body.get("golden")
        self.answer(500 if fails else 200, {"score": told["score"]})

    def answer(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass

if told.get("dies"):
    sys.exit("no licence for today")
http.server.ThreadingHTTPServer.request_queue_size = 128
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Score).serve_forever()
"""

SPEC = """\
apiVersion: celadon.dev/v1alpha1
kind: ModelService
metadata: {{name: {name}}}
spec:
  command: ["{python}", server.py, "{{port}}"]
  files: ./{files}
  ready: /healthz
  golden: ./golden.jsonl
  replicas: 1
  route: {{port: {port}, previewPort: {preview}}}
  drainSeconds: 2
  release:
    startSeconds: 20
    gate: {gate}
    watch: {{seconds: 1, minRequests: 5, maxErrorPercent: 5, deadlineSeconds: {deadline}}}
"""


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class Home:
    """One daemon's folder, and everything a person does with it."""

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "h"
        self.work = folder / "work"
        self.work.mkdir()
        self.started = []

    @property
    def socket(self):
        return self.path / "celadon.sock"

    def environment(self, **more):
        plain = {key: value for key, value in os.environ.items() if not key.startswith("CELADON")}
        return {**plain, "CELADON_HOME": str(self.path), **more}

    def start(self, *arguments, **more):
        return self.begin(sys.executable, "-m", "celadon", *arguments, **more)

    def begin(self, *command, **more):
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.work,
            env=self.environment(**more),
        )
        self.started.append(process)
        return process

    def run(self, *arguments, timeout=60, stdin="", **more):
        return subprocess.run(
            [sys.executable, "-m", "celadon", *arguments],
            capture_output=True,
            check=False,
            text=True,
            cwd=self.work,
            env=self.environment(**more),
            timeout=timeout,
            input=stdin,
        )

    def done(self, *arguments, **more):
        """A command that has to succeed; what it wrote."""
        ran = self.run(*arguments, **more)
        assert ran.returncode == 0, (ran.stdout, ran.stderr)
        return ran.stdout

    def asked(self, *arguments):
        return json.loads(self.done(*arguments, "--output", "json"))

    def service(self, name="score", *, gate=False, deadline=60, **answer):
        """A service file with its server; the same name again is the same file with another answer."""
        files = self.work / f"{name}-files"
        files.mkdir(exist_ok=True)
        (files / "server.py").write_text(SERVER)
        (files / "answer.json").write_text(json.dumps({"score": 1, **answer}))
        golden = {"path": "/score", "body": {"golden": True}, "expect": {"at": "score", "low": 0, "high": 9}}
        (self.work / "golden.jsonl").write_text(json.dumps(golden) + "\n")
        spec = self.work / f"{name}.yaml"
        ports = self.ports(name)
        spec.write_text(
            SPEC.format(
                name=name,
                python=sys.executable,
                files=files.name,
                port=ports[0],
                preview=ports[1],
                gate=str(gate).lower(),
                deadline=deadline,
            )
        )
        return spec.name

    def ports(self, name):
        kept = self.work / f"{name}.ports"
        if not kept.exists():
            kept.write_text(json.dumps(free_ports(2)))
        return json.loads(kept.read_text())

    def url(self, name="score"):
        return f"http://127.0.0.1:{self.ports(name)[0]}/score"

    def end(self):
        for process in self.started:
            with process:
                process.kill()
        if self.socket.exists():
            self.run("down", "--yes", timeout=40)
        for pid in processes_naming(str(self.path)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for folder, _, _ in os.walk(self.folder):
            Path(folder).chmod(0o700)
        shutil.rmtree(self.folder)


def processes_naming(text):
    """Processes of this test alone: its home's path is in their command lines."""
    for found in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if text.encode() in found.read_bytes() and int(found.parts[2]) != os.getpid():
                yield int(found.parts[2])


def post(url):
    """One request of a client: its status."""
    request = urllib.request.Request(url, data=b"{}", headers={"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@contextlib.contextmanager
def traffic(url):
    """A client that asks all the time; yields the list of statuses it got."""
    statuses, enough = [], threading.Event()

    def ask():
        while not enough.wait(0.02):
            statuses.append(post(url))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        enough.set()
        thread.join()


def until(condition, seconds=30):
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.02)
    return found


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def ask(path, method, url, body=None):
    connection = Unix(path)
    try:
        connection.request(method, url, body if isinstance(body, bytes) else json.dumps(body or {}).encode())
        answer = connection.getresponse()
        raw = answer.read()
        return answer.status, json.loads(raw) if raw else None
    finally:
        connection.close()
