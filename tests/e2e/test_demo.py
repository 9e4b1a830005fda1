"""The demo with real everything: what it promises, and that nothing of it is left, however it ends."""

import ast
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from celadon.doors.demo import digit_server

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(300)]

PLANNED = ["promoted", "rolled_back", "rolled_back"]
COMPARED = {"wrong": "rolled_back", "unfair": "rolled_back", "slower": "rolled_back", "same": "promoted"}
ENDS_S = 280.0
FIELDS = {"label", "outcome", "reason", "switch_ms", "green_requests", "bad_answers", "misread", "seconds"}


@pytest.fixture
def folder():
    """Where the demo makes its folder: a short path, since it has to hold a socket."""
    made = Path(tempfile.mkdtemp(prefix="d-"))
    (made / "t").mkdir()
    yield made
    for pid in residents(made):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(made)


def residents(folder):
    """Processes that were started with a path in this folder, or that work in it."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            typed = (entry / "cmdline").read_bytes() if entry.name.isdecimal() else b""
            if str(folder).encode() in typed or (
                typed and str((entry / "cwd").readlink()).startswith(str(folder))
            ):
                found.append(int(entry.name))
    return found


def assert_nothing_is_left(folder):
    """Neither a file in the folder for temporary ones, nor a process; a daemon that was told to end may take a moment."""
    assert list((folder / "t").iterdir()) == []
    deadline = time.monotonic() + 5
    while residents(folder) and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    assert residents(folder) == []


def environment(folder):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CELADON_")}
    return {**kept, "TMPDIR": str(folder / "t"), "HOME": str(folder / "person")}


def celadon(*arguments):
    return [sys.executable, "-m", "celadon", *arguments]


def demo(folder, *arguments):
    done = subprocess.run(
        celadon("demo", "--output", "json", *arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=ENDS_S,
        env=environment(folder),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def assert_as_planned(told):
    assert told["requests_failed"] == 0
    assert [release["outcome"] for release in told["releases"][:3]] == PLANNED
    assert [release["label"] for release in told["releases"][:3]] == ["better", "failing", "slow"]
    assert all(set(release) == FIELDS for release in told["releases"])
    better, failing, slow, *_ = told["releases"]
    assert "errors" in failing["reason"]
    assert "latency" in slow["reason"]
    assert better["bad_answers"] == 0
    assert told["bad_answers"] == failing["bad_answers"] > 0
    statuses = {group["label"]: set(group["statuses"]) for group in told["revisions"][:4]}
    assert statuses == {"first": {"200"}, "better": {"200"}, "failing": {"200", "500"}, "slow": {"200"}}
    assert all(release["switch_ms"] > 0 and release["green_requests"] > 0 for release in told["releases"])
    assert told["requests_total"] == sum(group["requests"] for group in told["revisions"])
    assert told["retries"] == 0
    read = {group["label"]: group["right_share"] for group in told["revisions"]}
    assert read["better"] > read["first"]


def test_good_revisions_are_promoted_bad_ones_are_taken_back_and_nothing_is_left(folder):
    told, words = demo(folder)
    assert_as_planned(told)
    assert "$ celadon deploy -f digits.yaml --model better.onnx" in words
    assert_compared(told, words)
    assert_nothing_is_left(folder)


def assert_compared(told, words):
    """Every answer had status 200; only what was compared with blue's told a bad green from a good one."""
    ends = {release["label"]: release for release in told["releases"][3:]}
    assert {label: release["outcome"] for label, release in ends.items()} == COMPARED
    of_these = told["revisions"][4:]
    assert {status for group in of_these for status in group["statuses"]} == {"200"}
    assert "green is worse by wrong" in ends["wrong"]["reason"]
    assert "wrong answers in brush" in words
    assert all(release["green_requests"] > 0 and release["bad_answers"] == 0 for release in ends.values())
    read = {group["label"]: group["right_share"] for group in of_these}
    assert read["wrong"] < read["wrong's blue"]
    assert read["unfair"] > read["unfair's blue"]


def test_the_same_with_a_server_that_knows_nothing_of_celadon_and_it_can_be_kept(folder):
    told, words = demo(folder, "--runtime", "command", "--keep")
    assert_as_planned(told)
    home = re.search(r"CELADON_HOME=(\S+)", words)[1]
    port = int(re.search(r"route: \{port: (\d+)\}", words)[1])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/read", json.dumps({"image": [0.5] * 64}))
    assert connection.getresponse().status == 200
    connection.close()
    down = celadon("--home", home, "down", "--yes")
    subprocess.run(down, check=True, capture_output=True, timeout=ENDS_S, env=environment(folder))
    shutil.rmtree(Path(home).parent)
    assert_nothing_is_left(folder)


def test_the_other_server_is_written_with_the_standard_library_alone():
    tree = ast.parse(Path(digit_server.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whoever_leaves_in_the_middle_leaves_nothing_behind(folder, number):
    arguments = celadon("demo", "--runtime", "command")
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment(folder)) as running:
        giving_up = threading.Timer(ENDS_S, running.kill)
        giving_up.start()
        for line in running.stdout:
            if "proving" in line and "digits-2" in line:
                running.send_signal(number)
                break
        running.stdout.read()
        assert running.wait(timeout=ENDS_S) == 7
        giving_up.cancel()
    assert_nothing_is_left(folder)


def test_a_reader_that_goes_away_leaves_nothing_behind(folder):
    arguments = celadon("demo", "--runtime", "command")
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment(folder)) as running:
        giving_up = threading.Timer(ENDS_S, running.kill)
        giving_up.start()
        next(line for line in running.stdout if "digits-1" in line)
        running.stdout.close()
        assert running.wait(timeout=ENDS_S) != 0
        giving_up.cancel()
    assert_nothing_is_left(folder)


def test_a_missing_extra_is_named_before_anything_is_begun(folder):
    without = "import sys; sys.modules['skl2onnx'] = None; from celadon.doors.cli import main; main(['demo'])"
    done = subprocess.run(
        [sys.executable, "-c", without],
        capture_output=True,
        text=True,
        check=False,
        timeout=ENDS_S,
        env=environment(folder),
    )
    assert done.returncode == 1
    assert "skl2onnx" in done.stderr
    assert "pip install 'celadon[demo]'" in done.stderr
    assert_nothing_is_left(folder)
