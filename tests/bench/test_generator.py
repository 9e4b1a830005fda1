"""The Go programs at work. They need a Go toolchain, which the product itself does not."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from bench.backends import NAME_HEADER, Backend, BackendSettings, server_command
from bench.build import SOURCE
from bench.exchanges import Traffic, cut_streams, lost
from bench.generator import Demand, Generator
from bench.processes import answers, free_port, wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        shutil.which("go") is None and not Path("/usr/local/go/bin/go").exists(),
        reason="this machine has no Go",
    ),
]
SETTINGS = BackendSettings(delay_ms_median=5, delay_sigma=0.2, warm_ms=0, seed=1)
DEMAND = Demand(rate_per_s=100, connections=8, streams=4, stream_s=0.5)


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    served = Backend(SETTINGS, "blue", tmp_path)
    served.start()
    yield served
    served.stop()


def load_for(port: int, out: Path, seconds: float) -> Traffic:
    """A run under load has a length; nothing is waited for here."""
    with Generator(
        DEMAND, [port], core=min(os.sched_getaffinity(0)), out=out, name_header=NAME_HEADER
    ) as load:
        load.start()
        time.sleep(seconds)
        return load.stop()


def test_the_generators_own_promises_hold() -> None:
    go = shutil.which("go") or "/usr/local/go/bin/go"
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    done = subprocess.run(
        [go, "test", "./..."], cwd=SOURCE, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_server_that_stays_loses_nothing_and_every_answer_names_it(
    backend: Backend, tmp_path: Path
) -> None:
    found = load_for(backend.port, tmp_path / "out.csv", 1.0)
    assert (lost(found), cut_streams(found)) == (0, 0)
    assert {e.answered_by for e in (*found.requests, *found.streams)} == {"blue"}
    assert len(found.requests) > 80
    assert len(found.streams) >= 4


def test_a_killed_server_shows_as_lost_requests_and_cut_streams(tmp_path: Path) -> None:
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [*server_command(SETTINGS, "blue"), f"-port={port}"], stdout=log, stderr=log
        )
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), "the server answers")
        killer = threading.Timer(0.7, server.kill)
        killer.start()
        found = load_for(port, tmp_path / "out.csv", 1.0)
        killer.join()
    finally:
        server.kill()
        server.wait()
    assert lost(found) > 0
    assert cut_streams(found) > 0
    assert any(e.fault in {"cut", "reset"} for e in found.streams)


def test_a_server_told_to_stop_finishes_the_stream_it_accepted(tmp_path: Path) -> None:
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [*server_command(SETTINGS, "blue"), f"-port={port}"], stdout=log, stderr=log
        )
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), "the server answers")
        with urlopen(f"http://127.0.0.1:{port}/stream?seconds=1", timeout=10) as stream:
            first = stream.readline()
            began = time.monotonic()
            server.send_signal(signal.SIGTERM)
            rest = stream.read()
        assert server.wait(10) == 0
    finally:
        server.kill()
        server.wait()
    assert first.startswith(b"blue part")
    assert rest.splitlines()[-1].startswith(b"end ")
    assert time.monotonic() - began > 0.5
