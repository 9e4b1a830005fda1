"""A revision is proved by its own answers and by nobody else's."""

import asyncio
import json
import socket
import threading
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from celadon.domain.facts import ProofState
from celadon.domain.names import Address, Digest, RevisionId, ServiceKey
from celadon.observe.golden import TRIES, GoldenProber

FRAUD = ServiceKey(name="fraud")
GREEN = RevisionId("b" * 12)
GOLDEN = Digest("sha256:" + "d" * 64)

LINES = [
    {"name": "one", "method": "GET", "path": "/one", "expect": {"status": 200}},
    {
        "name": "two",
        "method": "POST",
        "path": "/two?x=1",
        "body": {"a": [1]},
        "expect": {"exact": {"a": [1]}},
    },
]


def golden_file(tmp_path, lines):
    path = tmp_path / "golden.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def echo(_server, body):
    return 200, GREEN, body or b"{}"


@contextmanager
def server(answer=echo, port=0):
    """A real HTTP server; `answer(server, body)` gives status, revision and body. `asked` lists what came."""

    class Asked(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            self.server.reached.set()
            self.server.asked.append((self.command, self.path, self.headers.get("content-type")))
            status, revision, data = answer(self.server, body)
            self.send_response(status)
            if revision:
                self.send_header("x-celadon-revision", revision)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Asked) as running:
        running.asked, running.reached = [], threading.Event()
        running.address = Address(host="127.0.0.1", port=running.server_port)
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()


@asynccontextmanager
async def prober(**times):
    woken = asyncio.Queue()
    built = GoldenProber(woken.put_nowait, **times)
    await built.start()

    async def proved():
        async with asyncio.timeout(20):
            assert await woken.get() == FRAUD
        return built.observe(FRAUD)

    built.proved = proved
    try:
        yield built
    finally:
        await built.close()


def prove(tmp_path, address, lines=LINES, within_s=None, **times):
    async def story():
        async with prober(**times) as one:
            one.prove(FRAUD, GREEN, GOLDEN, golden_file(tmp_path, lines), address, within_s=within_s)
            assert one.observe(FRAUD).state is ProofState.RUNNING
            return await one.proved()

    return asyncio.run(story())


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def test_a_revision_whose_answers_are_right_has_passed(tmp_path):
    with server() as green:
        fact = prove(tmp_path, green.address)
    assert (fact.state, fact.asked, fact.mismatches, fact.fault) == (ProofState.PASSED, 2, (), "")
    assert (fact.revision, fact.golden) == (GREEN, GOLDEN)
    assert green.asked == [("GET", "/one", None), ("POST", "/two?x=1", "application/json")], "in order"


def test_wrong_answers_fail_the_proof_by_name(tmp_path):
    with server(lambda _server, _body: (200, GREEN, b'{"a":[2]}')) as green:
        fact = prove(tmp_path, green.address)
    assert (fact.state, fact.asked, fact.fault) == (ProofState.FAILED, 2, "")
    assert [mismatch.name for mismatch in fact.mismatches] == ["two"]


def test_the_answers_of_another_revision_prove_nothing(tmp_path):
    with server(lambda _server, body: (200, "a" * 12, body)) as blue:
        fact = prove(tmp_path, blue.address, patience_s=0.3)
    assert (fact.state, fact.mismatches) == (ProofState.FAILED, ())
    assert f"reached revision {'a' * 12} while {GREEN}" in fact.fault
    assert len(blue.asked) > 1, "it was asked again before that was said"


def test_a_preview_that_moves_to_green_in_time_is_no_fault(tmp_path):
    def answer(running, body):
        return (200, GREEN if len(running.asked) > 2 else "a" * 12, body or b"{}")

    with server(answer) as moving:
        fact = prove(tmp_path, moving.address)
    assert (fact.state, fact.asked) == (ProofState.PASSED, 2)


def test_an_answer_without_a_revision_is_a_fault(tmp_path):
    with server(lambda _server, _body: (503, None, b"no healthy upstream")) as proxy:
        fact = prove(tmp_path, proxy.address, patience_s=0.3)
    assert fact.state is ProofState.FAILED
    assert "503 for no revision" in fact.fault


def test_an_address_where_nobody_listens_is_a_fault_after_some_patience(tmp_path):
    fact = prove(tmp_path, Address(host="127.0.0.1", port=free_port()), patience_s=0.3)
    assert (fact.state, fact.mismatches) == (ProofState.FAILED, ())
    assert "gave no answer" in fact.fault


def test_a_green_that_begins_to_listen_in_time_is_proved(tmp_path):
    async def story():
        port = free_port()
        async with prober() as one:
            one.prove(
                FRAUD, GREEN, GOLDEN, golden_file(tmp_path, LINES), Address(host="127.0.0.1", port=port)
            )
            await asyncio.to_thread(lambda: None)
            with server(port=port):
                return await one.proved()

    assert asyncio.run(story()).state is ProofState.PASSED


def test_a_503_that_passes_is_asked_again_and_one_that_stays_is_an_answer(tmp_path):
    def at_first(running, body):
        return (503 if len(running.asked) < 3 else 200, GREEN, body or b"{}")

    with server(at_first) as green:
        assert prove(tmp_path, green.address).state is ProofState.PASSED
    with server(lambda _server, _body: (503, GREEN, b"busy")) as green:
        fact = prove(tmp_path, green.address, LINES[:1])
    assert (fact.state, len(fact.mismatches), fact.fault) == (ProofState.FAILED, 1, "")


def test_a_green_that_does_not_answer_in_time_has_failed(tmp_path):
    release = threading.Event()

    def never(_server, _body):
        release.wait(20)
        return 200, GREEN, b"{}"

    with server(never) as green:
        fact = prove(tmp_path, green.address, LINES[:1], request_s=0.3)
        release.set()
    assert fact.state is ProofState.FAILED
    assert "no answer within 0.3 s" in fact.mismatches[0].found


def test_an_answer_that_callers_would_not_wait_for_is_none_but_the_first_may_be_slow(tmp_path):
    slow = [0.5, 0.0, *[0.5] * TRIES]

    def late(_server, _body):
        threading.Event().wait(slow.pop(0))
        return 200, GREEN, b'{"score": 1}'

    with server(late) as green:
        assert prove(tmp_path, green.address, LINES[:1], within_s=0.4).state is ProofState.PASSED
        fact = prove(tmp_path, green.address, LINES[:1], within_s=0.4)
    assert (fact.state, slow) == (ProofState.FAILED, [])
    assert "`route` gives an answer 0.4 s to begin" in fact.mismatches[0].found


def test_an_endless_answer_is_cut(tmp_path):
    with server(lambda _server, _body: (200, GREEN, b" " * (17 * 2**20))) as green:
        fact = prove(tmp_path, green.address, LINES[:1])
    assert "more than" in fact.mismatches[0].found


def test_a_hopeless_revision_is_not_asked_everything(tmp_path):
    lines = [{**LINES[0], "name": f"n{number}"} for number in range(50)]
    with server(lambda _server, _body: (500, GREEN, b"")) as green:
        fact = prove(tmp_path, green.address, lines)
    assert len(fact.mismatches) == fact.asked == 20


def test_without_golden_requests_readiness_is_all_that_is_asked():
    async def story():
        async with prober() as one:
            one.prove(FRAUD, GREEN, None, None, Address(host="127.0.0.1", port=1))
            return await one.proved()

    fact = asyncio.run(story())
    assert (fact.state, fact.asked, fact.golden) == (ProofState.PASSED, 0, None)


@pytest.mark.parametrize("content", [None, b"{", b"\xff\xfe"])
def test_golden_requests_that_can_not_be_read_are_a_fault(tmp_path, content):
    path = tmp_path / "golden.jsonl"
    if content is not None:
        path.write_bytes(content)

    async def story():
        async with prober() as one:
            one.prove(FRAUD, GREEN, GOLDEN, path, Address(host="127.0.0.1", port=1))
            return await one.proved()

    fact = asyncio.run(story())
    assert fact.state is ProofState.FAILED
    assert fact.fault


def test_a_proof_is_begun_once_until_it_is_forgotten(tmp_path):
    async def story(green):
        path = golden_file(tmp_path, LINES[:1])
        async with prober() as one:
            for _ in range(3):
                one.prove(FRAUD, GREEN, GOLDEN, path, green.address)
            first = await one.proved()
            one.prove(FRAUD, GREEN, GOLDEN, path, green.address)
            assert one.observe(FRAUD) is first
            assert len(green.asked) == 1
            one.forget(FRAUD)
            assert one.observe(FRAUD) is None
            one.forget(FRAUD)
            one.prove(FRAUD, GREEN, GOLDEN, path, green.address)
            await one.proved()
            assert len(green.asked) == 2

    with server() as green:
        asyncio.run(story(green))


def test_a_proof_of_another_revision_takes_the_place_of_the_one_under_way(tmp_path):
    other = RevisionId("c" * 12)

    async def story(green):
        path = golden_file(tmp_path, LINES[:1])
        async with prober(patience_s=60.0) as one:
            one.prove(FRAUD, other, GOLDEN, path, green.address)
            assert await asyncio.to_thread(green.reached.wait, 20)
            one.prove(FRAUD, GREEN, GOLDEN, path, green.address)
            fact = await one.proved()
            assert (fact.revision, fact.state) == (GREEN, ProofState.PASSED)

    with server() as green:
        asyncio.run(story(green))


def test_the_environment_can_not_send_the_proof_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{free_port()}")
    with server() as green:
        assert prove(tmp_path, green.address).state is ProofState.PASSED
