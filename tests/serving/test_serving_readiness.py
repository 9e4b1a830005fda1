"""Ready means: warmed up, on the path that clients take. Live means: answers, whatever the model is busy with."""

import json
import socket

import pytest
import serving_models
from serving_process import client_of, serving, until

ENDLESS = 10**9
"""Turns of a model that is still computing whenever anybody looks."""


def warmup(path, *lines):
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    return path


def counting(turns, **more):
    return {"method": "POST", "path": "/v1/models/tiny:predict", "body": {"inputs": turns}} | more


def test_ready_is_said_on_every_path_that_people_ask(doubles):
    for path in (
        "/healthz/live",
        "/healthz/ready",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/tiny/ready",
    ):
        assert doubles.get(path).status_code == 200
        assert doubles.head(path).status_code == 200


def test_a_server_is_live_and_not_ready_while_it_warms_up(tmp_path):
    model = serving_models.counts(tmp_path / "model.onnx")
    endless = warmup(tmp_path / "golden.jsonl", counting(ENDLESS, expect={"status": 200}))
    with serving(model, "--warmup", endless) as server, client_of(server) as client:
        assert client.get("/healthz/live").status_code == 200
        assert client.get("/healthz/ready").status_code == 503
        assert client.get("/v2/health/ready").status_code == 503
        assert client.get("/v1/models/tiny").json()["model_version_status"][0]["state"] == "LOADING"


def test_a_server_is_ready_once_it_has_warmed_up(tmp_path):
    model = serving_models.counts(tmp_path / "model.onnx")
    short = warmup(tmp_path / "golden.jsonl", counting(10, expect={"status": 200}))
    with serving(model, "--warmup", short) as server, client_of(server) as client:
        server.wait_for_line("ready: tiny.*1 requests")
        assert client.get("/healthz/ready").status_code == 200
        assert client.get("/v1/models/tiny").json()["model_version_status"][0]["state"] == "AVAILABLE"


def test_warm_up_requests_are_counted_apart_from_those_of_clients(tmp_path):
    model = serving_models.counts(tmp_path / "model.onnx")
    lines = warmup(
        tmp_path / "golden.jsonl",
        counting(1),
        "",
        counting(2),
        {"method": "GET", "path": "/v2"},
        counting("wrong"),
    )
    with serving(model, "--warmup", lines) as server, client_of(server.ready()) as client:
        text = client.get("/metrics").text
    assert 'celadon_serving_requests_total{code="2xx",protocol="warmup"} 3.0' in text
    assert 'celadon_serving_requests_total{code="4xx",protocol="warmup"} 1.0' in text
    assert 'celadon_serving_requests_total{code="2xx",protocol="tfs"} 0.0' in text


def test_a_model_that_fails_its_warm_up_never_becomes_ready(tmp_path):
    model = serving_models.fails_above(tmp_path / "model.onnx")
    lines = warmup(
        tmp_path / "golden.jsonl",
        {"method": "POST", "path": "/v1/models/tiny:predict", "body": {"inputs": [[1, 2]] * 4}},
    )
    with serving(model, "--warmup", lines) as server:
        assert server.wait() == 2
    assert "warm-up request 1 of 1 (POST /v1/models/tiny:predict) was answered 500: " in server.lines[-1]
    assert not any(": ready: " in line for line in server.lines)


def test_a_warm_up_file_that_makes_no_sense_is_said_with_its_line(tmp_path):
    model = serving_models.doubles(tmp_path / "model.onnx")
    for line, said in (
        ("{", "line 2: not JSON"),
        ("[]", "line 2: an object"),
        ('{"headers": {"a": 1}}', "line 2: headers"),
        ({"path": "no-slash"}, "line 2: method and path"),
    ):
        lines = warmup(tmp_path / "golden.jsonl", {"method": "GET", "path": "/v2"}, line)
        with serving(model, "--warmup", lines) as server:
            assert server.wait() == 2
        assert said in server.lines[-1]
    with serving(model, "--warmup", tmp_path / "missing.jsonl") as server:
        assert server.wait() == 1
    assert "missing.jsonl" in server.lines[-1]


def test_health_is_answered_while_the_model_computes(tmp_path):
    model = serving_models.counts(tmp_path / "model.onnx")
    body = b'{"inputs": %d}' % ENDLESS
    request = b"POST /v1/models/tiny:predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )
    with serving(model) as server, client_of(server.ready()) as client:
        address = client.base_url.host, client.base_url.port
        with socket.create_connection(address, timeout=5) as raw:
            raw.sendall(request)
            until(
                lambda: "celadon_serving_requests_in_flight 2.0" in client.get("/metrics").text, "it computes"
            )
            assert client.get("/healthz/live").status_code == 200
            assert client.get("/healthz/ready").status_code == 200
            raw.setblocking(False)
            with pytest.raises(BlockingIOError):
                raw.recv(1)


def test_warm_up_lines_have_the_defaults_of_golden_requests(tmp_path):
    model = serving_models.counts(tmp_path / "model.onnx")
    lines = warmup(
        tmp_path / "golden.jsonl",
        {"body": {"inputs": 1}},
        {"path": "/v2"},
        {"body": {"inputs": 1}, "headers": {"Content-Encoding": "gzip"}},
        {"body": "text"},
    )
    with serving(model, "--warmup", lines) as server, client_of(server.ready()) as client:
        text = client.get("/metrics").text
    assert 'celadon_serving_requests_total{code="2xx",protocol="warmup"} 2.0' in text
    assert 'celadon_serving_requests_total{code="4xx",protocol="warmup"} 2.0' in text
    assert "celadon_serving_inference_duration_seconds_count 2.0" in text
