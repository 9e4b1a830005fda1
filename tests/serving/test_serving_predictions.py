"""While a release compares revisions, what was predicted is logged; nothing of it is felt by a caller."""

import contextlib
import json
import stat

import numpy as np
import pytest
import serving_models
from onnx import TensorProto, helper
from serving_process import client_of, serving, until

from celadon.serving.model import MapsSpec
from celadon.serving.predictions import PredictionLog, compact
from celadon.serving.tensors import ELEMENT_TYPES, TensorSpec

PREDICT = "/v1/models/tiny:predict"
DRAWN = {"x-celadon-share": "500", "x-request-id": "r-1"}
FLOAT = TensorSpec(name="y", element=ELEMENT_TYPES["float"], shape=("N", 2))
MAPS = MapsSpec(name="m", element=ELEMENT_TYPES["float"], keys=("cat", "dog"))


def scores(path):
    shape = ["N", 3]
    return serving_models.save(
        path,
        [helper.make_node("Softmax", ["x"], ["y"], axis=1)],
        [("x", TensorProto.FLOAT, shape)],
        [("y", TensorProto.FLOAT, shape)],
    )


@contextlib.contextmanager
def logging_to(monkeypatch, path, model):
    monkeypatch.setenv("CELADON_PREDICTIONS", str(path))
    with serving(model, "--revision", "abc") as server, client_of(server.ready()) as client:
        yield server, client


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def metric(client, outcome):
    text = client.get("/metrics").text
    return float(text.split(f'celadon_serving_predictions_total{{outcome="{outcome}"}} ')[1].split()[0])


def test_a_drawn_request_is_logged_with_its_id_its_share_and_its_class(tmp_path, monkeypatch):
    path = tmp_path / "p.jsonl"
    with logging_to(monkeypatch, path, scores(tmp_path / "model.onnx")) as (_, client):
        told = {**DRAWN, "x-celadon-group": "eu", "x-celadon-mirrored": "1"}
        assert client.post(PREDICT, json={"instances": [[0, 5, 1]]}, headers=told).status_code == 200
        body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [9, 0, 0]}]}
        headers = {**DRAWN, "x-request-id": "r-2"}
        assert client.post("/v2/models/tiny/infer", json=body, headers=headers).status_code == 200
        first, second = until(lambda: found if len(found := lines(path)) == 2 else None, "both lines")
    assert first.pop("at") == pytest.approx(second.pop("at"), abs=60)
    answer = {"shape": "float32[1,3]", "class": "1", "numbers": [0.975559]}
    assert first == {
        "id": "r-1", "revision": "abc", "share": 500, "group": "eu", "mirrored": True, "answer": answer
    }  # fmt: skip
    assert (second["id"], second["mirrored"], second["answer"]["class"]) == ("r-2", False, "0")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "headers",
    [
        {"x-request-id": "r-1"},
        {"x-celadon-share": "500"},
        {**DRAWN, "x-celadon-share": "lots"},
        {**DRAWN, "x-celadon-share": "10001"},
    ],
)
def test_what_no_router_drew_is_not_logged(tmp_path, monkeypatch, headers):
    path = tmp_path / "p.jsonl"
    with logging_to(monkeypatch, path, scores(tmp_path / "model.onnx")) as (_, client):
        assert client.post(PREDICT, json={"instances": [[0, 5, 1]]}, headers=headers).status_code == 200
        assert client.post(PREDICT, json={"instances": [[0]]}, headers=DRAWN).status_code == 400
        last = {**DRAWN, "x-request-id": "last"}
        assert client.post(PREDICT, json={"instances": [[0, 5, 1]]}, headers=last).status_code == 200
        until(lambda: lines(path), "the last line")
    assert [line["id"] for line in lines(path)] == ["last"]


def test_a_full_disk_costs_lines_that_are_counted_and_no_answer(tmp_path, monkeypatch):
    model = scores(tmp_path / "model.onnx")
    with logging_to(monkeypatch, "/dev/full", model) as (server, client):
        for _ in range(3):
            assert client.post(PREDICT, json={"instances": [[0, 5, 1]]}, headers=DRAWN).status_code == 200
        until(lambda: metric(client, "lost") == 3, "three lines lost")
        assert metric(client, "logged") == 0
    said = [line for line in server.lines if "predictions can not be logged" in line]
    assert len(said) == 1


def test_lines_that_wait_are_written_before_the_server_ends(tmp_path, monkeypatch):
    path = tmp_path / "p.jsonl"
    with logging_to(monkeypatch, path, scores(tmp_path / "model.onnx")) as (server, client):
        assert client.post(PREDICT, json={"instances": [[0, 5, 1]]}, headers=DRAWN).status_code == 200
        server.terminate()
        assert server.wait() == 0
    assert len(lines(path)) == 1


def test_a_line_that_was_cut_short_does_not_spoil_the_next(tmp_path, monkeypatch):
    path = tmp_path / "p.jsonl"
    path.write_text('{"id": "cu')
    with logging_to(monkeypatch, path, scores(tmp_path / "model.onnx")) as (_, client):
        assert client.post(PREDICT, json={"instances": [[0, 5, 1]]}, headers=DRAWN).status_code == 200
        until(lambda: path.read_text().count("\n") == 2, "a whole line after the cut one")
    assert json.loads(path.read_text().splitlines()[1])["id"] == "r-1"


def test_a_file_never_grows_beyond_its_size_and_one_older_is_kept(tmp_path):
    path, written = tmp_path / "p.jsonl", []
    log = PredictionLog(
        path, "abc", written.append, lambda _: pytest.fail("a line was lost"), file_bytes_max=400
    )
    for number in range(9):
        log.note(b"500", b"r-%d" % number, b"", [(FLOAT, np.array([[0.1, 0.9]], np.float32))])
        until(lambda wanted=number + 1: sum(written) == wanted, "the line is written")
    log.close()
    old = path.with_name("p.jsonl.1")
    assert max(path.stat().st_size, old.stat().st_size) <= 400
    ids = [line["id"] for line in lines(old) + lines(path)]
    assert ids == [f"r-{number}" for number in range(9 - len(ids), 9)]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["p.jsonl", "p.jsonl.1"]


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (np.array([3]), {"shape": "int64[1]", "class": "3"}),
        (np.array([[True]]), {"shape": "bool[1,1]", "class": "true"}),
        (np.array(["cat"], object), {"shape": "object[1]", "class": "cat"}),
        (np.array([0.123456789]), {"shape": "float64[1]", "numbers": [0.123457]}),
        (np.array([[0.5], [2.0]], np.float32), {"shape": "float32[2,1]", "numbers": [0.5, 2.0]}),
        (
            np.array([[0.2, 0.8], [0.9, 0.1]], np.float32),
            {"shape": "float32[2,2]", "class": ["1", "0"], "numbers": [0.8, 0.9]},
        ),
        (np.array(2.5), {"shape": "float64[]", "numbers": [2.5]}),
        (np.zeros((0, 3)), {"shape": "float64[0,3]", "class": [], "numbers": []}),
    ],
)
def test_an_answer_is_kept_small(output, said):
    assert compact([(FLOAT, output)]) == said


def test_a_class_beside_its_scores_is_what_is_claimed():
    row = [{"cat": 0.25, "dog": 0.75}]
    assert compact([(MAPS, row)]) == {"shape": "maps[1,2]", "class": "dog"}
    both = compact([(FLOAT, np.array([[0.5, 0.5]], np.float32)), (FLOAT, np.array([7]))])
    assert both == {"shape": "float32[1,2] int64[1]", "class": "7"}


def test_of_a_large_answer_a_digest_and_a_few_numbers_are_kept():
    large = np.arange(12_000, dtype=np.float32).reshape(1, 3, 4000)
    said = compact([(FLOAT, large)])
    assert len(said["numbers"]) == 16
    assert said["numbers"][0] == 0.0
    assert said["numbers"][-1] == 11_999.0
    assert (
        said["digest"] == compact([(FLOAT, large.copy())])["digest"] != compact([(FLOAT, -large)])["digest"]
    )
    assert len(json.dumps(said)) < 400
    many = compact([(FLOAT, np.arange(100))])
    assert (len(many["class"]), many["rows"]) == (16, 100)


def test_what_is_no_number_is_null(tmp_path, monkeypatch):
    path = tmp_path / "p.jsonl"
    with logging_to(monkeypatch, path, serving_models.reciprocal(tmp_path / "model.onnx")) as (_, client):
        assert client.post(PREDICT, json={"instances": [[0]]}, headers=DRAWN).status_code == 200
        (line,) = until(lambda: lines(path), "the line")
    assert line["answer"] == {"shape": "float32[1,1]", "numbers": [None]}
