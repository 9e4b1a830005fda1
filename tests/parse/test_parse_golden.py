"""Golden files become requests, or all of their problems at once."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celadon.domain.golden import Expectation, predict_path
from celadon.domain.names import ServiceKey
from celadon.domain.problem import ProblemsError
from celadon.parse.golden import read_golden, weak

PREDICT = predict_path(ServiceKey(name="fraud"))


def one(line, default=PREDICT):
    (request,) = read_golden(json.dumps(line), "g.jsonl", default)
    return request


def problems(text, default=None):
    with pytest.raises(ProblemsError) as caught:
        read_golden(text, "g.jsonl", default)
    return caught.value.problems


def test_a_model_is_asked_for_a_prediction_unless_a_line_says_otherwise():
    request = one({"body": {"instances": [[1]]}, "expect": {"at": "predictions", "shape": [1, None]}})
    assert (request.method, request.path) == ("POST", "/v1/models/fraud:predict")
    assert request.expect == (Expectation(at="predictions", shape=(1, None)),)
    assert one({"path": "/metrics"}).method == "GET"
    assert one({"path": "/x", "body": 1}).method == "POST"


def test_lines_are_counted_with_the_blank_ones():
    requests = read_golden('\n{"path": "/a"}\r\n\n{"path": "/b", "name": "b"}\n', "g.jsonl")
    assert [(request.line, request.name) for request in requests] == [(2, "line 2"), (4, "b")]


def test_one_expectation_and_a_list_of_it_are_the_same():
    assert one({"expect": {"argmax": 2}}).expect == one({"expect": [{"argmax": [2]}]}).expect


def test_a_line_that_expects_only_a_status_is_allowed_and_said():
    text = (
        '{"name": "a"}\n{"name": "b", "expect": {"status": 404}}\n{"name": "c", "expect": {"finite": true}}'
    )
    assert weak(read_golden(text, "g.jsonl", PREDICT)) == ("a", "b")


@pytest.mark.parametrize(
    ("line", "path", "found"),
    [
        ("{", "", "is not JSON"),
        ("[1]", "", "is not a JSON object"),
        ('{"body": NaN}', "", "NaN is not JSON"),
        ('{"body": [1e999]}', "", "is too large a number"),
        ('{"path": "/a", "path": "/b"}', "", '"path" is written twice'),
        ('{"body": ' + "[" * 5000 + "]" * 5000 + "}", "", "nested too deep"),
        ('{"body": ' + "9" * 5000 + "}", "", "integer string"),
        ("{}", "/path", "is missing"),
        ('{"path": "x"}', "/path", "can not be used"),
        ('{"path": "/a b"}', "/path", "can not be used"),
        ('{"path": "/x", "method": "get"}', "/method", "can not be used"),
        ('{"path": "/x", "headers": {"Host": "a"}}', "/headers", "Host belongs to the connection"),
        ('{"path": "/x", "headers": {"A": "a\\r\\nB: c"}}', "/headers", "A holds a line break"),
        ('{"path": "/x", "headers": {"A b": "a"}}', "/headers", "is not a header name"),
        ('{"path": "/x", "headers": {"A": 1}}', "/headers/A", "1 is not text"),
        ('{"path": "/x", "expect": {"status": 99}}', "/expect/0/status", "out of range"),
        ('{"path": "/x", "expect": {"statu": 200}}', "/expect/0/statu", "is not an option here"),
        ('{"path": "/x", "expect": {"shape": [-1]}}', "/expect/0/shape/0", "out of range"),
        ('{"path": "/x", "expect": {"argmax": -1}}', "/expect/0/argmax/0", "out of range"),
        ('{"path": "/x", "expect": {"low": 2, "high": 1}}', "/expect/0/low", "2 is above high, 1"),
        ('{"path": "/x", "expect": {"near": [1]}}', "/expect/0/tolerance", "is missing"),
        ('{"path": "/x", "expect": {"tolerance": 1}}', "/expect/0/near", "is missing"),
        ('{"path": "/x", "expect": {"near": ["a"], "tolerance": 1}}', "/expect/0/near", "neither a number"),
        ('{"path": "/x", "expect": {"near": [true], "tolerance": 1}}', "/expect/0/near", "neither a number"),
        ('{"path": "/x", "expect": {"exact": null}}', "/expect/0/exact", "null is null"),
        ('{"path": "/x", "expect": 200}', "/expect", "200 is not a list"),
    ],
)
def test_is_refused_where_it_is_wrong(line, path, found):
    first = problems(line)[0] if path in ("", "/path") else None
    matching = [problem for problem in problems(line) if problem.path == f"g.jsonl:1{path}"]
    assert matching, problems(line)
    assert found in (first or matching[0]).found


def test_all_problems_of_all_lines_come_at_once():
    found = problems('{"pth": "/x"}\n\n{"path": "/x", "expect": {"statu": 1, "low": "a"}}\n{')
    assert {problem.path for problem in found} == {
        "g.jsonl:1/path",
        "g.jsonl:1/pth",
        "g.jsonl:3/expect/0/low",
        "g.jsonl:3/expect/0/statu",
        "g.jsonl:4",
    }
    assert any("did you mean `path`?" in problem.hint for problem in found)


def test_two_requests_of_one_name_are_refused():
    (problem,) = problems('{"path": "/", "name": "a"}\n{"path": "/", "name": "a"}')
    assert (problem.path, problem.found) == ("g.jsonl:2/name", '"a" is also the name of line 1')


def test_a_file_of_blank_lines_is_refused():
    (problem,) = problems("\n \n")
    assert problem.found == "holds no golden request"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["status", "at", "shape", "low", "high", "finite", "argmax", "near", "tolerance", "exact"]
)


@given(expect=st.dictionaries(KEYS, VALUES, max_size=5) | VALUES, body=VALUES, headers=VALUES)
def test_whatever_is_written_is_a_request_or_problems(expect, body, headers):
    for line in ({"expect": expect}, {"body": body}, {"headers": headers}):
        with suppress(ProblemsError):
            read_golden(json.dumps(line), "g.jsonl", PREDICT)


@given(text=st.text(max_size=40))
def test_whatever_text_there_is_is_read_or_refused(text):
    with suppress(ProblemsError):
        read_golden(text, "g.jsonl", PREDICT)
