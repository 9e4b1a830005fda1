"""Clients of TensorFlow Serving's REST API find what they know."""

import base64

import pytest

MODEL = "/v1/models/tiny"


def predict(client, body, path=f"{MODEL}:predict"):
    answer = client.post(path, json=body)
    return answer.status_code, answer.json()


def test_row_form_is_answered_in_row_form(doubles):
    assert predict(doubles, {"instances": [[1, 2], [3, 4.5]]}) == (200, {"predictions": [[2, 4], [6, 9]]})


def test_column_form_is_answered_in_column_form(doubles):
    assert predict(doubles, {"inputs": [[1, 2]]}) == (200, {"outputs": [[2, 4]]})
    assert predict(doubles, {"inputs": {"x": [[1, 2]]}}) == (200, {"outputs": [[2, 4]]})


def test_rows_may_name_the_only_input(doubles):
    assert predict(doubles, {"instances": [{"x": [1, 2]}]}) == (200, {"predictions": [[2, 4]]})


def test_several_inputs_and_outputs_are_objects_in_row_form(two_by_two):
    rows = [{"a": [1], "b": [2]}, {"a": [5], "b": [3]}]
    assert predict(two_by_two, {"instances": rows}) == (
        200,
        {"predictions": [{"sum": [3], "greater": [False]}, {"sum": [8], "greater": [True]}]},
    )


def test_several_inputs_and_outputs_are_objects_in_column_form(two_by_two):
    columns = {"a": [[1], [5]], "b": [[2], [3]]}
    assert predict(two_by_two, {"inputs": columns}) == (
        200,
        {"outputs": {"sum": [[3], [8]], "greater": [[False], [True]]}},
    )


def test_maps_of_scores_are_answered_as_objects(classes):
    assert predict(classes, {"instances": [[0.25, 0.75]]}) == (
        200,
        {"predictions": [{"label": 1, "scores": {"cat": 0.25, "dog": 0.75}}]},
    )
    assert predict(classes, {"inputs": [[0.25, 0.75]]}) == (
        200,
        {"outputs": {"label": [1], "scores": [{"cat": 0.25, "dog": 0.75}]}},
    )


def test_strings_travel_as_text_or_as_base64(strings):
    wrapped = {"b64": base64.b64encode("é".encode()).decode()}
    assert predict(strings, {"instances": [["a", wrapped]]}) == (200, {"predictions": [["a", "é"]]})
    assert predict(strings, {"instances": [["a", {"b64": "/w=="}]]})[0] == 400
    assert predict(strings, {"instances": [["a", {"b64": 5}]]})[0] == 400


def test_infinity_in_an_answer_is_still_json(reciprocal):
    assert predict(reciprocal, {"instances": [[0], [2]]}) == (200, {"predictions": [["Infinity"], [0.5]]})


def test_an_output_without_rows_is_answered_in_column_form_only(total):
    assert predict(total, {"inputs": [[1, 2], [3, 4]]}) == (200, {"outputs": 10})
    status, answer = predict(total, {"instances": [[1, 2]]})
    assert status == 400
    assert "column form" in answer["error"]


def test_the_served_version_answers_under_its_number(doubles):
    path = f"{MODEL}/versions/1"
    assert predict(doubles, {"instances": [[1, 2]]}, f"{path}:predict")[0] == 200
    assert doubles.get(path).json() == doubles.get(MODEL).json()


def test_status_says_available(doubles):
    status = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert doubles.get(MODEL).json() == {"model_version_status": [status]}


def test_metadata_describes_the_signature(doubles):
    answer = doubles.get(f"{MODEL}/metadata").json()
    assert answer["model_spec"] == {"name": "tiny", "signature_name": "", "version": "1"}
    signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
    shape = {"dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}], "unknown_rank": False}
    assert signature["inputs"] == {"x": {"dtype": "DT_FLOAT", "tensor_shape": shape, "name": "x"}}
    assert signature["method_name"] == "tensorflow/serving/predict"


def test_paths_are_known_in_any_case_as_in_the_original(doubles):
    assert predict(doubles, {"instances": [[1, 2]]}, "/V1/Models/tiny:Predict")[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/v1/models/other", 404, "Servable not found"),
        ("POST", "/v1/models/other:predict", 404, "Servable not found"),
        ("POST", f"{MODEL}/versions/2:predict", 404, "Specific(tiny, 2)"),
        ("GET", f"{MODEL}/versions/2/metadata", 404, "Specific(tiny, 2)"),
        ("POST", f"{MODEL}/labels/stable:predict", 400, "label"),
        ("GET", f"{MODEL}/labels/stable", 400, "label"),
        ("GET", f"{MODEL}:predict", 400, "Malformed request"),
        ("POST", "/v1/models", 400, "Malformed request"),
        ("GET", "/v1/nothing", 400, "Malformed request"),
        ("POST", f"{MODEL}:classify", 501, "not implemented"),
        ("POST", f"{MODEL}:regress", 501, "not implemented"),
    ],
)
def test_what_is_not_served_gets_the_errors_of_the_original(doubles, method, path, status, said):
    answer = doubles.request(method, path)
    assert answer.status_code == status
    assert said in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "'instances'"),
        ({"instances": [[1, 2]], "inputs": [[1, 2]]}, "either"),
        ({"instances": []}, "at least one row"),
        ({"instances": 5}, "at least one row"),
        ({"instances": [[1, 2, 3]]}, "shape [1, 3] does not fit ['N', 2]"),
        ({"instances": [[1, "a"]]}, "found 'a'"),
        ({"instances": [[1, None]]}, "found None"),
        ({"instances": [[1, 2], [3]]}, "ragged"),
        ({"instances": [{"y": [1, 2]}]}, "missing 'x'; unknown 'y'"),
        ({"instances": [{"x": [1, 2]}, {}]}, "same keys"),
        ({"instances": [[1, 2]], "signature_name": "other"}, "'other' not found"),
        ({"inputs": {"x": [[1, 2]], "z": 1}}, "unknown 'z'"),
        ({"inputs": 1}, "shape []"),
    ],
)
def test_a_request_that_does_not_fit_the_model_is_told_why(doubles, body, said):
    status, answer = predict(doubles, body)
    assert status == 400
    assert said in answer["error"]


def test_a_model_that_raises_is_the_revisions_fault(fails_above):
    assert predict(fails_above, {"inputs": [[1, 2]] * 3})[0] == 200
    status, answer = predict(fails_above, {"inputs": [[1, 2]] * 4})
    assert status == 500
    assert "the model failed" in answer["error"]
    assert predict(fails_above, {"inputs": [[1, 2]] * 3})[0] == 200
