"""What people write wrong is all said at once, before anything is sent or started; and what `init` writes is right."""

import json
import os
import pty
import subprocess
import sys

import onnx
import pytest
from onnx import TensorProto, helper

WRONG = """\
apiVersion: celadon.dev/v1alpha1
kind: ModelService
metadata: {name: score}
spec:
  command: [python, server.py]
  ready: healthz
  replica: 2
  route: {port: 99999}
"""


def test_every_mistake_of_a_file_is_said_at_once_without_a_daemon(home):
    (home.work / "wrong.yaml").write_text(WRONG)
    ran = home.run("deploy", "-f", "wrong.yaml")
    assert ran.returncode == 1
    assert ran.stdout == ""
    lines = ran.stderr.splitlines()
    paths = [line.partition(":")[0] for line in lines[1:] if not line.startswith("  ")]
    assert lines[0] == f"{len(paths)} problems"
    assert paths == [f"wrong.yaml#1/spec/{path}" for path in ("command", "ready", "replica", "route/port")]
    assert "  hint: did you mean `replicas`?" in lines


def test_sources_that_are_missing_and_golden_requests_that_are_wrong_are_said_together(home):
    spec = home.work / home.service()
    (home.work / "golden.jsonl").write_text('{"path": "/score", "expect": {"near": 1}}\nno json\n')
    spec.write_text(spec.read_text().replace("./score-files", "./nowhere"))
    ran = home.run("plan", "-f", spec.name)
    assert ran.returncode == 1
    for found in ("score.yaml#1/spec/files: ", "golden.jsonl:1/expect/0/tolerance: ", "golden.jsonl:2: "):
        assert found in ran.stderr


def test_a_plan_shows_every_default_also_without_a_daemon_and_says_what_it_can_not_know(home):
    spec = home.service()
    told = home.done("plan", "-f", spec)
    assert f"change     not known: no daemon answers on {home.socket}" in told
    assert "spec/route/hostnames                      [*]  default" in told
    planned = home.asked("plan", "-f", spec)["services"][0]
    assert planned["difference"] is None
    assert {"path": "spec/release/gate", "value": False, "is_default": False} not in planned["options"][:3]
    assert planned["options"][0] == {"path": "metadata/name", "value": "score", "is_default": False}


@pytest.fixture
def model(home):
    graph = helper.make_graph(
        [helper.make_node("Sigmoid", ["x"], ["risk"])],
        "risk",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info("risk", TensorProto.FLOAT, [None, 3])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, home.work / "Risk_Model.onnx")
    return "Risk_Model.onnx"


def test_init_writes_a_service_that_plans_as_it_is_and_overwrites_nothing(home, model):
    told = home.done("init", model)
    assert "wrote risk-model.yaml and golden.jsonl" in told
    first = json.loads((home.work / "golden.jsonl").read_text().splitlines()[0])
    assert first["path"] == "/v1/models/risk-model:predict"
    assert {"at": "predictions", "shape": [1, 3], "finite": True, "low": 0, "high": 1} in first["expect"]
    assert [sorted(e) for e in first["expect"] if "near" in e] == [["at", "near", "tolerance"]]
    planned = home.asked("plan", "-f", "risk-model.yaml")["services"][0]
    assert planned["model"]["inputs"] == [{"name": "x", "dtype": "FP32", "shape": [None, 3]}]
    again = home.run("init", model)
    assert again.returncode == 1
    assert again.stderr.count("is there already") == 2
    assert home.run("init", model, "--force").returncode == 0


def test_a_file_that_is_no_model_is_refused_with_its_reason(home):
    (home.work / "broken.onnx").write_bytes(b"\x80\x04pickled")
    ran = home.run("init", "broken.onnx")
    assert ran.returncode == 1
    assert ran.stderr.startswith("broken.onnx")
    assert not (home.work / "broken.yaml").exists()


@pytest.mark.e2e
def test_a_terminal_gets_a_tree_that_is_redrawn_and_a_pipe_gets_lines(up):
    spec = up.service()
    seen = in_terminal(up, "deploy", "-f", spec)
    assert "\x1b[" in seen
    assert "replica 0" in seen
    assert "score-1 promoted" in seen
    assert "\x1b[" not in up.done("status", "score")
    assert "\x1b[" not in in_terminal(up, "status", "score", NO_COLOR="1")


def in_terminal(home, *arguments, **more):
    """What a command writes to a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    environment = home.environment(TERM="xterm", COLUMNS="100", LINES="40", **more)
    process = subprocess.Popen(
        [sys.executable, "-m", "celadon", *arguments],
        stdout=theirs,
        stderr=theirs,
        cwd=home.work,
        env=environment,
    )
    os.close(theirs)
    written = b""
    with process, os.fdopen(ours, "rb", buffering=0) as terminal:
        try:
            while data := terminal.read(65536):
                written += data
        except OSError:
            pass  # Linux says so when the other side of a terminal has gone.
        assert process.wait(30) == 0, written
    return written.decode()
