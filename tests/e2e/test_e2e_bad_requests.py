"""Bad requests through Envoy get the protocol's own 4xx, the server lives on, and real clients speak to it."""

import asyncio
import json

import e2e_models
import numpy as np
import pytest
import tritonclient.http as triton
from e2e_load import Load, ask, once, request
from e2e_world import world

pytestmark = pytest.mark.e2e

TFS = "/v1/models/times:predict"
OIP = "/v2/models/times/infer"
GOOD = {"instances": [[1.0, 2.0]]}
LARGEST = 64 * 1024


@pytest.fixture(scope="module")
def made():
    with world() as made:
        e2e_models.times(made.work / "times.onnx")
        file = made.service(
            "times", model="./times.onnx", golden=[e2e_models.GOLDEN], serving={"maxBodyBytes": LARGEST}
        )
        made.done("deploy", "-f", file)
        yield made


@pytest.fixture(autouse=True)
def lives_on(made):
    before = [replica["pid"] for replica in made.replicas("times")]
    yield
    assert [replica["pid"] for replica in made.replicas("times")] == before
    assert predict(made, GOOD).status == 200


def predict(made, value, path=TFS, **headers):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return ask(made.port("times"), path, body, **headers)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[1, 2]",
        b"\xff\xfe",
        b'{"instances": [[1, NaN]]}',
        b"[" * 20_000,
        {"instances": []},
        {"instances": [[1.0, 2.0, 3.0]]},
        {"instances": [[1.0], [2.0, 3.0]]},
        {"instances": [["one", "two"]]},
        {"instances": "everything"},
        {"inputs": {"x": [[1.0, 2.0]]}, "instances": [[1.0, 2.0]]},
        {"inputs": {"y": [[1.0, 2.0]]}},
        {"signature_name": "other", **GOOD},
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_malformed_prediction_gets_a_400_that_says_what_is_wrong(made, value):
    found = predict(made, value)
    assert found.status == 400, found
    assert list(json.loads(found.body)) == ["error"]
    assert found.revision == made.live("times")


def test_a_body_over_the_limit_gets_a_413(made):
    found = predict(made, b'{"instances": [' + b"[1.0, 2.0]," * LARGEST + b"[1.0, 2.0]]}")
    assert found.status == 413, found
    assert str(LARGEST) in json.loads(found.body)["error"]


@pytest.mark.parametrize(("path", "status"), [("/v1/models/other:predict", 404), ("/nowhere", 404)])
def test_what_is_not_there_gets_a_404(made, path, status):
    found = predict(made, GOOD, path)
    assert (found.status, "error" in json.loads(found.body)) == (status, True)


def test_a_method_that_a_path_does_not_take_gets_the_words_of_tensorflow_serving(made):
    found = ask(made.port("times"), TFS, b"", method="DELETE")
    assert (found.status, json.loads(found.body)) == (400, {"error": f"Malformed request: DELETE {TFS}"})


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -5\r\n\r\n", 400),
        (request("GET", "/", long="x" * 100_000), 431),
    ],
    ids=["no-http", "negative-length", "endless-header"],
)
def test_what_is_hardly_http_is_answered_by_the_proxy(made, raw, status):
    assert asyncio.run(once(made.port("times"), raw)).status == status


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]},
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1]}]},
        {"inputs": [{"name": "x", "datatype": "BF16", "shape": [1, 2], "data": [1, 2]}]},
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2], "data": [1, 2]}]},
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_malformed_inference_gets_a_400_that_says_what_is_wrong(made, value):
    found = predict(made, value, OIP)
    assert found.status == 400, found
    assert list(json.loads(found.body)) == ["error"]


def test_bad_requests_in_a_crowd_hurt_nobody_else(made):
    with Load(port=made.port("times"), path=TFS, body=json.dumps(GOOD).encode()) as load:
        found = [
            predict(made, value).status for value in (b"{", {"instances": [[1.0]]}, b"") for _ in range(10)
        ]
    assert found == [400] * 30
    assert load.ended
    assert load.failed() == []


def test_a_client_of_tensorflow_serving_gets_what_it_expects(made):
    assert json.loads(predict(made, {"instances": [[1.0, 2.0], [3.0, 4.0]]}).body) == {
        "predictions": [[2.0, 4.0], [6.0, 8.0]]
    }
    assert json.loads(predict(made, {"inputs": [[1.0, 2.0]]}).body) == {"outputs": [[2.0, 4.0]]}
    told = json.loads(ask(made.port("times"), "/v1/models/times", b"", method="GET").body)
    assert told["model_version_status"][0]["state"] == "AVAILABLE"
    versioned = predict(made, GOOD, "/v1/models/times/versions/1:predict")
    assert json.loads(versioned.body) == {"predictions": [[2.0, 4.0]]}


def test_the_triton_client_infers_through_the_route(made):
    values = np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32)
    with triton.InferenceServerClient(f"127.0.0.1:{made.port('times')}") as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("times")
        assert client.get_model_metadata("times")["inputs"][0]["name"] == "x"
        given = triton.InferInput("x", list(values.shape), "FP32")
        given.set_data_from_numpy(values, binary_data=False)
        wanted = triton.InferRequestedOutput("y", binary_data=False)
        found = client.infer("times", [given], outputs=[wanted])
    np.testing.assert_array_equal(found.as_numpy("y"), values * 2)


def test_an_answer_names_its_request_and_its_revision(made):
    found = predict(made, GOOD)
    assert found.request_id
    assert found.revision == made.live("times")
