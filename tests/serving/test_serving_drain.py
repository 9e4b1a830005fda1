"""SIGTERM costs no accepted request its answer."""

import json
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import serving_models
from serving_process import client_of, serving, until

PREDICT = "/v1/models/tiny:predict"
LONG, SHORT = 12_000, 10
"""Turns of the model: about a second, and about a millisecond. One runs at a time, so the short ones wait behind the long one."""


@pytest.fixture
def slow(tmp_path):
    return serving_models.counts(tmp_path / "model.onnx")


def in_flight(client):
    text = client.get("/metrics").text
    return int(float(text.split("\nceladon_serving_requests_in_flight ")[1].split()[0])) - 1


def ask(server, turns):
    with client_of(server) as client:
        return client.post(PREDICT, json={"inputs": turns})


def refused(server):
    host, port = server.base.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_flight_are_finished_and_then_it_ends_with_0(slow, sig):
    with serving(slow) as server, client_of(server.ready()) as client, ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(ask, server, LONG)]
        until(lambda: in_flight(client) == 1, "one request in flight")
        answers += [pool.submit(ask, server, SHORT) for _ in range(3)]
        until(lambda: in_flight(client) == 4, "four requests in flight")
        server.process.send_signal(sig)
        until(lambda: refused(server), "new connections are refused")
        assert server.process.poll() is None
        for answer in answers:
            assert answer.result().status_code == 200
            assert answer.result().headers["connection"] == "close"
        assert server.wait() == 0
    assert not any("Traceback" in line for line in server.lines), server.lines


def test_an_idle_server_ends_at_once_and_with_0(slow):
    with serving(slow) as server, client_of(server.ready()) as client:
        assert client.get("/healthz/ready").status_code == 200
        begun = time.monotonic()
        server.terminate()
        assert server.wait() == 0
        assert time.monotonic() - begun < 5


def test_a_kept_connection_is_answered_once_more_and_told_to_close(slow):
    with serving(slow) as server, client_of(server.ready()) as client, ThreadPoolExecutor(1) as pool:
        busy = pool.submit(ask, server, LONG)
        until(lambda: in_flight(client) == 1, "one request in flight")
        server.terminate()
        answer = until(
            lambda: (seen := client.get("/healthz/ready")).status_code == 503 and seen,
            "it says that it is not ready",
        )
        assert answer.headers["connection"] == "close"
        assert busy.result().status_code == 200
        assert server.wait() == 0


def test_no_request_of_a_steady_stream_is_lost_once_it_was_sent(tmp_path):
    """Each connection sends the next request as soon as it has its answer, until it is told to close."""
    model = serving_models.doubles(tmp_path / "model.onnx")
    body = json.dumps({"instances": [[1, 2]]}).encode()
    request = b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (
        PREDICT.encode(),
        len(body),
        body,
    )

    def stream(raw, outcomes, begun):
        with raw, raw.makefile("rb") as answers:
            while True:
                raw.sendall(request)
                status = answers.readline()
                headers = list(iter(answers.readline, b"\r\n")) if status else []
                if b"200 OK" not in status or b"{" not in answers.read(21):
                    outcomes.append(status)
                    return
                begun.set()
                if b"connection: close\r\n" in headers:
                    outcomes.append("told to close")
                    return

    with serving(model) as server:
        host, port = server.ready().base.removeprefix("http://").split(":")
        outcomes, begun = [], [threading.Event() for _ in range(8)]
        threads = [
            threading.Thread(
                target=stream, args=(socket.create_connection((host, int(port)), timeout=20), outcomes, event)
            )
            for event in begun
        ]
        for thread in threads:
            thread.start()
        assert all(event.wait(20) for event in begun)
        server.terminate()
        for thread in threads:
            thread.join()
        assert server.wait() == 0
    assert outcomes == ["told to close"] * 8


def test_the_drain_ends_at_its_deadline_and_says_what_it_cut(slow):
    with serving(slow, "--drain-seconds", "0.5") as server, client_of(server.ready()) as client:
        raw = socket.create_connection((client.base_url.host, client.base_url.port), timeout=20)
        with raw:
            body = b'{"inputs": 2000000}'
            raw.sendall(
                b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s"
                % (PREDICT.encode(), len(body), body)
            )
            until(lambda: in_flight(client) == 1, "one request in flight")
            begun = time.monotonic()
            server.terminate()
            assert server.wait() == 1
            assert time.monotonic() - begun < 5
    assert server.lines[-1] == "celadon.serving: the drain deadline of 0.5 s passed; requests cut: 1"
    assert not any("Traceback" in line for line in server.lines), server.lines


def test_a_client_that_says_nothing_does_not_hold_up_the_end(slow):
    with serving(slow) as server:
        host, port = server.ready().base.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20):
            begun = time.monotonic()
            server.terminate()
            assert server.wait() == 0
            assert time.monotonic() - begun < 5


def test_a_server_that_is_still_warming_up_ends_with_0(slow, tmp_path):
    golden = tmp_path / "golden.jsonl"
    golden.write_text(json.dumps({"body": {"inputs": 10**9}}))
    with serving(slow, "--warmup", golden) as server:
        assert server.base
        server.terminate()
        assert server.wait() == 0
    assert not any("Traceback" in line for line in server.lines), server.lines
