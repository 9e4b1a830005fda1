"""A model that cannot be served, or must not be, is refused before anything loads it, with exit code 2 and a sentence."""

import bz2
import gzip
import io
import itertools
import json
import os
import pickle
import subprocess
import sys
import zipfile
import zlib

import onnx
import pytest
import serving_models
from serving_process import serving

from celadon.serving.artifact import examine
from celadon.serving.refusal import ModelRefusedError

TENSOR = onnx.TensorProto


class Bomb:
    """Leaves a file behind if anybody ever unpickles it."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


def inspected(model):
    done = subprocess.run(
        [sys.executable, "-m", "celadon.serving", "inspect", str(model)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def problems(model):
    code, out, err = inspected(model)
    assert (code, err) == (2, "")
    found = json.loads(out)["problems"]
    assert all(problem.keys() == {"path", "found", "hint"} and all(problem.values()) for problem in found)
    return found


def test_serve_refuses_with_2_and_one_paragraph(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model at all, just words")
    with serving(tmp_path) as server:
        assert server.wait() == 2
    assert len(server.lines) == 1
    assert "model.onnx: not an ONNX model" in server.lines[0]


def test_a_pickle_is_refused_by_content_and_by_name_and_never_loaded(tmp_path):
    mark = tmp_path / "ran"
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb(mark)))
    contents = [
        *(pickle.dumps(Bomb(mark), protocol) for protocol in range(6)),
        zipped.getvalue(),
        gzip.compress(pickle.dumps(Bomb(mark))),
        zlib.compress(pickle.dumps(Bomb(mark))),
        bz2.compress(pickle.dumps(Bomb(mark))),
    ]
    names = [tmp_path / name for name in ("model.onnx", "model.pkl", "model.pt", "model.joblib")]
    for path, content in itertools.product(names, contents):
        path.write_bytes(content)
        with pytest.raises(ModelRefusedError, match="pickle"):
            examine(path)
    assert "pickle" in problems(names[1])[0]["found"]
    serving_models.doubles(names[1])
    assert "pickle" in problems(names[1])[0]["found"]
    assert not mark.exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("saved_model.pb", "SavedModel"),
        ("model.pkl", "pickle"),
        ("fraud.onnx", "rename fraud.onnx"),
        ("readme.txt", "put the model into it"),
    ],
)
def test_a_folder_without_a_model_is_told_what_it_has(tmp_path, name, said):
    (tmp_path / name).write_bytes(b"x")
    problem = problems(tmp_path)[0]
    assert said in problem["found"] + problem["hint"]


def test_a_path_that_is_not_there_is_said(tmp_path):
    assert "no such file" in problems(tmp_path / "nothing")[0]["found"]


def test_damaged_and_empty_files_are_refused(tmp_path):
    model = serving_models.doubles(tmp_path / "model.onnx")
    whole = model.read_bytes()
    for content in (
        b"",
        whole[: len(whole) // 2],
        onnx.ModelProto(ir_version=9).SerializeToString(),
        b"\x89HDF\r\n",
        b"GGUF1234",
    ):
        model.write_bytes(content)
        assert problems(model)


def test_external_data_is_read_from_the_models_own_folder(tmp_path):
    serving_models.external(tmp_path / "model.onnx")
    code, out, _ = inspected(tmp_path)
    assert code == 0
    assert json.loads(out)["external_data"] == ["weights.bin"]


def test_external_data_in_a_folder_below_is_fine(tmp_path):
    (tmp_path / "data").mkdir()
    serving_models.external(tmp_path / "model.onnx", "data/weights.bin")
    assert inspected(tmp_path / "model.onnx")[0] == 0


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("../weights.bin", "leaves the folder"),
        ("a/../../weights.bin", "leaves the folder"),
        ("{outside}/weights.bin", "leaves the folder"),
        ("linked.bin", "link that leaves the folder"),
        ("linked/weights.bin", "link that leaves the folder"),
        ("missing.bin", "missing"),
        ("", "no file"),
        (".", "missing"),
        ("*/_ORT_MEM_ADDR_/*", "missing"),
    ],
)
def test_external_data_that_leaves_the_folder_or_is_missing_is_refused(tmp_path, location, said):
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    serving_models.external(outside / "model.onnx")
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(b"12345678")
    (folder / "linked.bin").symlink_to(outside / "weights.bin")
    (folder / "linked").symlink_to(outside)
    model = serving_models.external(folder / "model.onnx", location.format(outside=outside), write=False)
    assert said in problems(model)[0]["found"]
    assert said in problems(folder)[0]["found"]


def test_a_model_file_that_is_a_link_out_of_its_folder_is_refused(tmp_path):
    target = serving_models.doubles(tmp_path / "outside" / "model.onnx")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "model.onnx").symlink_to(target)
    assert "a link to" in problems(tmp_path / "folder")[0]["found"]


def test_external_data_that_is_cut_short_is_refused(tmp_path):
    for extent in ({"length": 9}, {"offset": 4}, {"offset": -1}, {"length": "x"}):
        model = serving_models.external(tmp_path / "model.onnx", **extent)
        assert "external data 'weights.bin'" in problems(model)[0]["path"]


def test_external_data_inside_the_body_of_a_loop_is_looked_at_too(tmp_path):
    model = serving_models.counts(tmp_path / "model.onnx")
    proto = onnx.load(model)
    body = next(attribute.g for attribute in proto.graph.node[0].attribute if attribute.name == "body")
    tensor = body.initializer.add(
        name="stolen", data_type=TENSOR.UINT8, dims=[8], data_location=TENSOR.EXTERNAL
    )
    tensor.external_data.add(key="location", value="/etc/hostname")
    model.write_bytes(proto.SerializeToString())
    assert "leaves the folder" in problems(model)[0]["found"]


def test_all_problems_of_the_external_data_are_said_at_once(tmp_path):
    model = serving_models.external(tmp_path / "model.onnx", "one.bin", write=False)
    proto = onnx.load(model, load_external_data=False)
    other = proto.graph.initializer.add(
        name="v", data_type=TENSOR.FLOAT, dims=[2], data_location=TENSOR.EXTERNAL
    )
    other.external_data.add(key="location", value="../two.bin")
    model.write_bytes(proto.SerializeToString())
    assert len(problems(model)) == 2


def test_operators_opsets_and_types_that_cannot_run_are_refused(tmp_path):
    path, shape = tmp_path / "model.onnx", ["N", 2]
    io_of = [("x", TENSOR.FLOAT, shape)], [("y", TENSOR.FLOAT, shape)]
    stranger = onnx.helper.make_node("Stranger", ["x"], ["y"], domain="com.acme")
    serving_models.save(path, [stranger], *io_of, opsets={"": 17, "com.acme": 1})
    assert "com.acme:Stranger" in problems(path)[0]["found"]
    same = onnx.helper.make_node("Identity", ["x"], ["y"])
    serving_models.save(path, [same], *io_of, opsets={"": 999})
    assert "999" in problems(path)[0]["found"]
    assert "opset" in problems(path)[0]["hint"]
    serving_models.save(path, [same], *io_of, ir_version=99)
    assert "IR version" in problems(path)[0]["found"]
    serving_models.identity(path, TENSOR.BFLOAT16)
    assert [problem["path"] for problem in problems(path)] == ["input x", "output y"]


def test_a_file_that_cannot_be_read_is_the_worlds_failure(tmp_path):
    model = serving_models.doubles(tmp_path / "model.onnx")
    with serving(model, "--warmup", tmp_path) as server:
        assert server.wait() == 1
    assert str(tmp_path) in server.lines[-1]


def test_a_taken_port_is_the_worlds_failure_and_named(tmp_path, doubles):
    model = serving_models.doubles(tmp_path / "model.onnx")
    with serving(model, "--port", doubles.base_url.port) as server:
        assert server.wait() == 1
    assert f"cannot listen on 127.0.0.1:{doubles.base_url.port}: Address already in use" in server.lines[-1]


@pytest.mark.parametrize(
    "flags",
    [["--port", "70000"], ["--threads", "0"], ["--version", "x"], ["--name", "a/b"], ["--unknown"]],
    ids=lambda flags: flags[0],
)
def test_wrong_flags_are_not_the_models_fault(tmp_path, flags):
    model = serving_models.doubles(tmp_path / "model.onnx")
    with serving(model, *flags) as server:
        assert server.wait() == 1


def test_a_linked_model_file_that_is_named_itself_is_served(tmp_path):
    target = serving_models.doubles(tmp_path / "store" / "abc")
    (tmp_path / "model.onnx").symlink_to(target)
    assert inspected(tmp_path / "model.onnx")[0] == 0


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "soon"])
def test_a_drain_time_is_a_number_of_seconds(tmp_path, seconds):
    model = serving_models.doubles(tmp_path / "model.onnx")
    with serving(model, f"--drain-seconds={seconds}") as server:
        assert server.wait() == 1
    assert "is not a number of seconds" in server.lines[-1]


def test_a_missing_extra_is_named_and_not_a_traceback(tmp_path):
    (tmp_path / "onnxruntime.py").write_text("raise ModuleNotFoundError(name='onnxruntime')")
    command = [sys.executable, "-m", "celadon.serving", "inspect", "model.onnx"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "celadon.serving: onnxruntime is not installed: install celadon[serving]\n"
