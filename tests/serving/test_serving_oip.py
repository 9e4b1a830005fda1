"""Clients of the Open Inference Protocol find what they know; tritonclient is one that we did not write."""

import numpy as np
import pytest
import tritonclient.http as triton

MODEL = "/v2/models/tiny"
X = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}


def infer(client, body, path=f"{MODEL}/infer"):
    answer = client.post(path, json=body)
    return answer.status_code, answer.json()


@pytest.fixture
def outside():
    clients = []

    def connect(client):
        clients.append(triton.InferenceServerClient(client.base_url.netloc.decode()))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def tensor(name, array, datatype):
    tensor = triton.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=False)
    return tensor


def asked(*names):
    return [triton.InferRequestedOutput(name, binary_data=False) for name in names]


def test_tritonclient_sees_a_live_and_ready_server_and_model(doubles, outside):
    client = outside(doubles)
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "1")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["name"] == "celadon"
    assert client.get_model_metadata("tiny") == {
        "name": "tiny",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
    }


def test_tritonclient_infers_and_gets_its_id_back(doubles, outside):
    array = np.array([[1, 2], [3, 4.25]], dtype=np.float32)
    result = outside(doubles).infer(
        "tiny", [tensor("x", array, "FP32")], outputs=asked("y"), request_id="abc"
    )
    np.testing.assert_array_equal(result.as_numpy("y"), array * 2)
    assert result.get_response()["id"] == "abc"
    assert result.get_response()["model_version"] == "1"


def test_tritonclient_sends_and_gets_strings(strings, outside):
    array = np.array([["a", "é"]], dtype=object)
    result = outside(strings).infer("tiny", [tensor("x", array, "BYTES")], outputs=asked("y"))
    assert result.as_numpy("y").tolist() == [["a", "é"]]


def test_tritonclient_gets_maps_of_scores_as_a_tensor(classes, outside):
    array = np.array([[0.25, 0.75]], dtype=np.float32)
    result = outside(classes).infer("tiny", [tensor("x", array, "FP32")], outputs=asked("scores"))
    np.testing.assert_array_equal(result.as_numpy("scores"), array)
    assert result.get_output("scores")["parameters"] == {"map_keys": '["cat","dog"]'}


def test_tritonclient_gets_booleans(two_by_two, outside):
    one = np.array([[1]], dtype=np.float32)
    inputs = [tensor("a", one * 2, "FP32"), tensor("b", one, "FP32")]
    result = outside(two_by_two).infer("tiny", inputs, outputs=asked("greater", "sum"))
    assert result.as_numpy("greater").tolist() == [[True]]
    assert result.as_numpy("sum").tolist() == [[3]]


def test_tritonclient_asking_for_binary_tensors_is_told_what_to_do(doubles, outside):
    array = np.array([[1, 2]], dtype=np.float32)
    binary = triton.InferInput("x", [1, 2], "FP32")
    binary.set_data_from_numpy(array)
    for inputs, outputs in (([binary], asked("y")), ([tensor("x", array, "FP32")], None)):
        with pytest.raises(
            triton.InferenceServerException, match="binary tensors are not offered"
        ) as refused:
            outside(doubles).infer("tiny", inputs, outputs=outputs)
        assert refused.value.status() == "400"


def test_tritonclient_gets_the_models_failure_as_an_error(fails_above, outside):
    array = np.zeros((4, 2), dtype=np.float32)
    with pytest.raises(triton.InferenceServerException, match="the model failed"):
        outside(fails_above).infer("tiny", [tensor("x", array, "FP32")], outputs=asked("y"))


def test_requested_outputs_are_honoured_in_their_order(two_by_two):
    inputs = [{"name": name, "shape": [1, 1], "datatype": "FP32", "data": [1]} for name in "ab"]
    status, answer = infer(two_by_two, {"inputs": inputs, "outputs": [{"name": "greater"}]})
    assert (status, [output["name"] for output in answer["outputs"]]) == (200, ["greater"])
    status, answer = infer(two_by_two, {"inputs": inputs, "outputs": [{"name": "greater"}, {"name": "sum"}]})
    assert (status, [output["name"] for output in answer["outputs"]]) == (200, ["greater", "sum"])
    status, answer = infer(two_by_two, {"inputs": inputs})
    assert (status, [output["name"] for output in answer["outputs"]]) == (200, ["sum", "greater"])


def test_data_may_be_nested_as_its_shape_says(doubles):
    status, answer = infer(doubles, {"inputs": [X | {"shape": [2, 2], "data": [[1, 2], [3, 4]]}]})
    assert status == 200
    assert answer["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [2, 2], "data": [2, 4, 6, 8]}]


def test_unknown_parameters_are_let_through(doubles):
    body = {"inputs": [X | {"parameters": {"hint": 1}}], "parameters": {"priority": 1}}
    assert infer(doubles, body)[0] == 200
    assert "id" not in infer(doubles, body)[1]


def test_infinity_in_an_answer_is_still_json(reciprocal):
    status, answer = infer(reciprocal, {"inputs": [X | {"shape": [2, 1], "data": [0, "Infinity"]}]})
    assert (status, answer["outputs"][0]["data"]) == (200, ["Infinity", 0])


def test_version_paths_answer_for_the_served_version_only(doubles):
    assert infer(doubles, {"inputs": [X]}, f"{MODEL}/versions/1/infer")[0] == 200
    assert doubles.get(f"{MODEL}/versions/1").json()["versions"] == ["1"]
    assert doubles.get(f"{MODEL}/versions/1/ready").status_code == 200
    for path in (f"{MODEL}/versions/2", f"{MODEL}/versions/2/ready"):
        answer = doubles.get(path)
        assert answer.status_code == 404
        assert "version '2'" in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/other", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("GET", "/v2/nothing", 404),
        ("POST", "/v2/repository/index", 404),
        ("GET", f"{MODEL}/infer", 405),
        ("POST", "/v2/health/ready", 405),
    ],
)
def test_what_is_not_served_is_said(doubles, method, path, status):
    answer = doubles.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "'inputs' must be a list"),
        ({"inputs": [X], "id": 5}, "id must be a string"),
        ({"inputs": []}, "'x' is missing"),
        ({"inputs": [5]}, "inputs[0]"),
        ({"inputs": [X, X]}, "repeats"),
        ({"inputs": [X | {"name": "z"}]}, "unknown input 'z'"),
        ({"inputs": [X | {"datatype": "FP64"}]}, "datatype 'FP64'"),
        ({"inputs": [X | {"shape": [2, 2]}]}, "does not fill"),
        ({"inputs": [X | {"shape": [2, 1]}]}, "does not fit"),
        ({"inputs": [X | {"shape": [1, 2, 1]}]}, "does not fit"),
        ({"inputs": [X | {"shape": [-1, 2]}]}, "shape must be"),
        ({"inputs": [X | {"shape": "12"}]}, "shape must be"),
        ({"inputs": [X | {"data": [1, "2"]}]}, "found '2'"),
        ({"inputs": [X | {"data": [1, None]}]}, "found None"),
        ({"inputs": [X | {"data": [[1], [2]]}]}, "does not fill"),
        ({"inputs": [{key: X[key] for key in X if key != "data"}]}, "no data"),
        ({"inputs": [X], "outputs": [{"name": "z"}]}, "unknown output 'z'"),
        (
            {"inputs": [X], "outputs": [{"name": "y", "parameters": {"binary_data": True}}]},
            "binary_data=False",
        ),
        ({"inputs": [X], "outputs": [{"name": "y", "parameters": {"classification": 2}}]}, "classification"),
        ({"inputs": [X | {"parameters": {"shared_memory_region": "r"}}]}, "shared memory"),
        ({"inputs": [X], "parameters": 5}, "parameters"),
    ],
)
def test_a_request_that_does_not_fit_the_model_is_told_why(doubles, body, said):
    status, answer = infer(doubles, body)
    assert status == 400
    assert said in answer["error"]


def test_an_input_without_a_stated_shape_takes_every_shape(any_rank):
    for shape in ([], [1], [2, 1], [1, 1, 1]):
        data = [5] * (2 if 2 in shape else 1)
        status, answer = infer(any_rank, {"inputs": [X | {"shape": shape, "data": data}]})
        assert (status, answer["outputs"][0]["shape"], answer["outputs"][0]["data"]) == (200, shape, data)
    assert any_rank.get(MODEL).json()["inputs"][0]["shape"] == [-1]
