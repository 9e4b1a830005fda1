"""A real model server in a process of its own, on a port that was free."""

import contextlib
import re
import signal
import subprocess
import sys
import threading
import time

import httpx2

DEADLINE_S = 30


class ServerProcess:
    """`lines` is what it wrote to stderr so far; `base` where it listens, once it does."""

    def __init__(self, model, *flags, name="tiny"):
        command = [
            sys.executable,
            "-m",
            "celadon.serving",
            "serve",
            "--model",
            str(model),
            "--name",
            name,
            "--port",
            "0",
            *map(str, flags),
        ]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.lines = []
        self._news = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_for_line(self, pattern):
        def found():
            return next((match for line in self.lines if (match := re.search(pattern, line))), None)

        with self._news:
            self._news.wait_for(lambda: found() or self._ended, DEADLINE_S)
            match = found()
        assert match, (pattern, self.lines)
        return match

    @property
    def base(self):
        return self.wait_for_line(r"listening on (http://\S+)")[1]

    def ready(self):
        self.wait_for_line(r": ready: ")
        return self

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self):
        code = self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        return code

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        self.process.stderr.close()


@contextlib.contextmanager
def serving(model, *flags, name="tiny"):
    server = ServerProcess(model, *flags, name=name)
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def client_of(server):
    with httpx2.Client(base_url=server.base, timeout=DEADLINE_S, trust_env=False) as client:
        yield client


def until(condition, what, deadline_s=DEADLINE_S):
    """Waits for a condition that only asking can tell; the pause leaves the processor to the server that is asked."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        pause.wait(0.01)
    return value
