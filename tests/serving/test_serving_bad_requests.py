"""Whatever a client sends, it gets an error it can read, and the server lives on."""

import socket

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PREDICT = "/v1/models/tiny:predict"
INFER = "/v2/models/tiny/infer"
GOOD = {"instances": [[1, 2]]}
BOTH = pytest.mark.parametrize("path", [PREDICT, INFER])


def still_serves(client):
    assert client.post(PREDICT, json=GOOD).json() == {"predictions": [[2, 4]]}


@BOTH
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b'{"instances": [[NaN, 1]]}',
        b'{"instances": [[1e999, 1]]}',
        b"\xff\xfe",
        b"\x00" * 10,
        b'{"a":' * 5000,
    ],
)
def test_a_malformed_body_is_a_400_in_the_protocols_form(doubles, path, body):
    answer = doubles.post(path, content=body)
    assert answer.status_code == 400
    assert answer.json().keys() == {"error"}
    still_serves(doubles)


@BOTH
def test_a_deeply_nested_body_is_a_400(doubles, strings, path):
    deep = b"[" * 900 + b"]" * 900
    for client in (doubles, strings):
        answer = client.post(
            path,
            content=b'{"instances": %s, "inputs": [{"name":"x","shape":[1,2],"datatype":"FP32","data":%s}]}'
            % (deep, deep),
        )
        assert answer.status_code == 400
        assert client.post(path, content=b'{"instances": %s}' % deep).status_code == 400
    still_serves(doubles)


@BOTH
def test_a_body_over_the_limit_is_a_413_by_its_length_and_by_its_chunks(doubles, path):
    big = b" " * 100_001
    for content in (big, iter([big[:60_000], big[60_000:]])):
        answer = doubles.post(path, content=content)
        assert answer.status_code == 413
        assert "100000 bytes" in answer.json()["error"]
    still_serves(doubles)


def test_a_body_of_exactly_the_limit_is_read(doubles):
    body = orjson.dumps(GOOD).ljust(100_000)
    assert doubles.post(PREDICT, content=body).status_code == 200
    assert doubles.post(PREDICT, content=iter([body[:50], body[50:]])).status_code == 200


def test_a_large_refused_body_on_a_kept_connection_does_not_disturb_the_next_request(doubles):
    for _ in range(3):
        assert doubles.post(PREDICT, content=b" " * 5_000_000).status_code == 413
        still_serves(doubles)


@BOTH
def test_a_compressed_body_is_a_415(doubles, path):
    answer = doubles.post(path, content=b"x", headers={"content-encoding": "gzip"})
    assert answer.status_code == 415
    assert "content-encoding" in answer.json()["error"]


def test_a_binary_body_is_refused_before_it_is_read_as_json(doubles):
    answer = doubles.post(INFER, content=b"{}\0\0", headers={"inference-header-content-length": "2"})
    assert answer.status_code == 400
    assert "binary tensors are not offered" in answer.json()["error"]


def test_paths_that_nobody_serves_are_a_404(doubles):
    for path in ("/", "/favicon.ico", "/v3", "/%ff%fe", "/v2/%0a"):
        answer = doubles.get(path)
        assert answer.status_code == 404
        assert answer.json().keys() == {"error"}


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -5\r\n\r\n",
        b"X" * 100_000,
    ],
)
def test_what_is_not_http_does_not_end_the_server(doubles, garbage):
    with socket.create_connection((doubles.base_url.host, doubles.base_url.port), timeout=5) as raw:
        raw.sendall(garbage)
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(4096):
            pass
    still_serves(doubles)


def test_a_client_that_leaves_in_the_middle_does_not_end_the_server(doubles):
    for _ in range(3):
        with socket.create_connection((doubles.base_url.host, doubles.base_url.port), timeout=5) as raw:
            raw.sendall(b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{" % PREDICT.encode())
    still_serves(doubles)


def test_a_request_id_comes_back_and_one_that_could_break_a_header_does_not(doubles):
    assert doubles.get("/healthz/live", headers={"x-request-id": "a-1"}).headers["x-request-id"] == "a-1"
    assert doubles.post("/v1/nothing", headers={"x-request-id": "a-2"}).headers["x-request-id"] == "a-2"
    assert "x-request-id" not in doubles.get("/healthz/live", headers={"x-request-id": "a" * 300}).headers
    assert "x-request-id" not in doubles.get("/healthz/live").headers


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([PREDICT, INFER]),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "instances",
                        "inputs",
                        "outputs",
                        "name",
                        "shape",
                        "datatype",
                        "data",
                        "parameters",
                        "x",
                        "b64",
                        "id",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=15,
    ),
)
def test_no_json_makes_the_server_fail(doubles, path, body):
    answer = doubles.post(path, content=orjson.dumps(body))
    assert answer.status_code in {200, 400}
    assert answer.status_code == 200 or answer.json().keys() == {"error"}
