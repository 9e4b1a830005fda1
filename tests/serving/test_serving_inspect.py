"""Inspect says what a model takes and gives, and its recorded answers are those that the server gives."""

import hashlib
import json
import os
import subprocess
import sys

import onnx
import pytest
import serving_models
from serving_process import client_of, serving

TENSOR = onnx.TensorProto


def inspect(model, *flags):
    done = subprocess.run(
        [sys.executable, "-m", "celadon.serving", "inspect", str(model), *flags],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def test_a_model_is_described(tmp_path):
    path = serving_models.two_by_two(tmp_path / "model.onnx")
    found = inspect(tmp_path)
    assert found["format"] == "onnx"
    assert found["file"] == "model.onnx"
    assert found["opset"] == 17
    assert found["producer"]["name"] == "celadon tests"
    assert found["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found["inputs"] == [{"name": name, "dtype": "FP32", "shape": [None, 1]} for name in "ab"]
    assert found["outputs"][1] == {"name": "greater", "dtype": "BOOL", "shape": [None, 1]}
    assert "answer" not in found["examples"][0]


@pytest.mark.parametrize(
    "make",
    [
        serving_models.doubles,
        serving_models.two_by_two,
        serving_models.classes,
        serving_models.total,
        serving_models.reciprocal,
        serving_models.fails_above,
        serving_models.external,
        lambda path: serving_models.identity(path, TENSOR.STRING),
        lambda path: serving_models.identity(path, TENSOR.FLOAT16),
        lambda path: serving_models.identity(path, TENSOR.BOOL, ()),
        lambda path: serving_models.identity(path, shape=None),
    ],
)
def test_recorded_answers_are_those_of_the_server(tmp_path, make):
    make(tmp_path / "model.onnx")
    examples = inspect(tmp_path, "--record", "--name", "tiny", "--version", "7")["examples"]
    assert {example["protocol"] for example in examples} == {"tfs", "oip"}
    with serving(tmp_path, "--version", "7") as server, client_of(server.ready()) as client:
        for example in examples:
            answer = client.request(example["method"], example["path"], json=example["body"])
            assert {"status": answer.status_code, "body": answer.json()} == example["answer"]
            assert answer.status_code == 200


def test_examples_can_be_replayed_as_a_warm_up(tmp_path):
    model = serving_models.classes(tmp_path / "model.onnx")
    examples = inspect(model, "--record", "--name", "tiny")["examples"]
    (tmp_path / "golden.jsonl").write_text("".join(json.dumps(example) + "\n" for example in examples))
    with serving(model, "--warmup", tmp_path / "golden.jsonl") as server:
        server.wait_for_line(r"ready: tiny.*warmed up with 4 requests")


def test_a_free_dimension_that_takes_only_some_sizes_is_found(tmp_path):
    shape = ["N", "features"]
    weights = onnx.numpy_helper.from_array(serving_models.np.ones((8, 1), dtype="float32"), "w")
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    serving_models.save(
        tmp_path / "model.onnx",
        [node],
        [("x", TENSOR.FLOAT, shape)],
        [("y", TENSOR.FLOAT, ["N", 1])],
        initializers=[weights],
    )
    examples = inspect(tmp_path, "--record")["examples"]
    assert examples[-1]["answer"]["body"]["outputs"][0]["data"] == [8]


def test_a_model_that_runs_on_no_sample_says_so(tmp_path):
    serving_models.fails_above(tmp_path / "model.onnx", rows=0)
    found = inspect(tmp_path, "--record")
    assert found["examples"] == []
    assert "write golden requests by hand" in found["notes"][0]


def test_nothing_about_a_model_is_written_elsewhere_or_told_to_anybody(tmp_path):
    model = serving_models.doubles(tmp_path / "model.onnx")
    for name in ("home", "temporary"):
        (tmp_path / name).mkdir()
    places = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "temporary")}
    subprocess.run(
        [sys.executable, "-m", "celadon.serving", "inspect", str(model), "--record"],
        env={**os.environ, **places, "ORT_DISABLE_TELEMETRY": "0"},
        stdout=subprocess.DEVNULL,
        timeout=60,
        check=True,
    )
    assert [*(tmp_path / "home").rglob("*"), *(tmp_path / "temporary").rglob("*")] == []
