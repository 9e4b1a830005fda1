"""What the demo counts, and that its callers count honestly."""

import asyncio
import contextlib
import json
import time
from pathlib import Path

from celadon.doors.cli.demo import demo
from celadon.doors.demo.callers import Callers
from celadon.doors.demo.digits import Image
from celadon.doors.demo.exchange import Exchange, seen
from celadon.doors.demo.labels import LATE_S, Labeller
from celadon.doors.demo.report import Told, merged, report
from celadon.doors.demo.story import BETTER, FAILING, FIRST
from celadon.doors.demo.workshop import Workshop

IMAGE = Image(pixels=(0.0,) * 64, digit=3)


def answered(revision, status=200, *, right=True, latency_ms=5.0, at=10.0):
    read = right if status == 200 else None
    return Exchange(at=at, latency_ms=latency_ms, status=status, revision=revision, right=read)


def told(chapter, green, outcome, *, decisions=()):
    release = {
        "green": green,
        "outcome": outcome,
        "reason": {"text": "because"},
        "began_at": 5.0,
        "ended_at": 20.0,
    }
    return Told(chapter=chapter, release=release, decisions=decisions)


def counted(releases, exchanges):
    return report(told(FIRST, "f1", "promoted"), releases, exchanges, retries=0, seconds=1.0)


def test_failures_of_a_revision_that_was_taken_back_are_bad_answers():
    of = counted(
        [told(FAILING, "bad", "rolled_back")], [answered("f1"), answered("bad", 500), answered("bad")]
    )
    assert (of.requests_total, of.requests_failed, of.bad_answers) == (3, 0, 1)
    assert of.releases[0].bad_answers == 1
    assert of.releases[0].green_requests == 2
    assert of.deviations == ()


def test_every_other_failure_is_a_failed_request_and_is_said():
    nobody = Exchange(at=10.0, latency_ms=1.0, fault="ConnectionResetError")
    of = counted([told(BETTER, "good", "promoted")], [answered("good", 503), answered("f1", 500), nobody])
    assert (of.requests_failed, of.bad_answers) == (3, 0)
    assert "3 requests failed" in of.deviations[0]


def test_an_answer_that_can_not_be_read_is_a_failure():
    assert Exchange(at=0.0, latency_ms=1.0, status=200, revision="f1", right=None).failed


def test_an_outcome_that_was_not_planned_is_said():
    of = counted([told(BETTER, "good", "rolled_back")], [answered("f1")])
    assert "better was to end promoted and ended rolled_back: because" in of.deviations[0]


def test_the_switch_is_measured_from_record_to_record():
    decisions = [
        {"at": 7.0, "reason": {"code": "traffic_moves"}},
        {"at": 7.025, "reason": {"code": "route_confirmed"}},
    ]
    of = counted([told(BETTER, "good", "promoted", decisions=decisions)], [])
    assert of.releases[0].switch_ms == 25.0
    assert counted([told(BETTER, "good", "promoted")], []).releases[0].switch_ms is None


def test_wrong_readings_are_counted_beside_failures():
    of = counted([told(BETTER, "good", "promoted")], [answered("good"), answered("good", right=False)])
    assert (of.releases[0].misread, of.releases[0].bad_answers) == (1, 0)


def test_reports_of_different_callers_add_up():
    one = counted([told(BETTER, "good", "promoted")], [answered("good")])
    two = counted([told(FAILING, "bad", "rolled_back")], [answered("bad", 500), answered("f1", 503)])
    of = merged([one, two], seconds=7.0)
    assert (of.requests_total, of.requests_failed, of.bad_answers, of.seconds) == (3, 1, 1, 7.0)
    assert [released.label for released in of.releases] == ["better", "failing"]
    assert of.deviations == two.deviations


class Posted:
    """Stands in for the daemon: what a labeller posts is kept."""

    def __init__(self):
        self.posts = []

    def post(self, path, body):
        self.posts.append((path, body["feedback"]))


def labels_of(*exchanges):
    """What a labeller posts of these answers before the releases, as soon as it has posted anything, are done."""
    kept = Posted()
    labeller = Labeller(client=kept, exchanges=exchanges, services=frozenset({"wrong"}))

    async def releases():
        async with asyncio.timeout(10):
            while not kept.posts:
                await asyncio.wait([asyncio.ensure_future(asyncio.sleep(0.01))])

    asyncio.run(labeller.beside(releases()))
    return kept.posts


def test_labels_are_posted_late_by_the_id_of_the_request_for_those_who_wait_for_them():
    now = time.time()
    due = Exchange(at=now - LATE_S - 1, latency_ms=1.0, status=200, service="wrong", request="r1", digit=7)
    others = Exchange(at=due.at, latency_ms=1.0, status=200, service="same", request="r2", digit=8)
    failed = Exchange(at=due.at, latency_ms=1.0, status=500, service="wrong", request="r3", digit=9)
    early = Exchange(at=now + 60, latency_ms=1.0, status=200, service="wrong", request="r4", digit=1)
    assert labels_of(due, others, failed, early) == [
        ("/v1/services/wrong/feedback", [{"id": "r1", "label": "7"}])
    ]


def test_quantiles_are_latencies_that_somebody_saw():
    of = seen([answered("f1", latency_ms=float(ms), right=ms <= 5) for ms in range(1, 11)])
    assert (of.latency_ms_p50, of.latency_ms_p95, of.right_share) == (5.0, 10.0, 0.5)
    assert seen([]).latency_ms_p95 is None


async def calls(answer, requests):
    """What callers saw of a server that answers each request with the bytes of `answer`, closing after empty ones."""
    heads, serving = [], set()

    async def serve(reader, writer):
        serving.add(asyncio.current_task())
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length"))
                await reader.readexactly(int(length.partition(b":")[2]))
                heads.append(head)
                if not answer:
                    break
                writer.write(answer)
        except asyncio.IncompleteReadError:
            pass
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    workshop = Workshop(folder=Path(), runtime="command", path="/read")
    callers = Callers(workshop=workshop, images=[IMAGE], port=port, rate_per_s=200)
    callers.start()
    async with asyncio.timeout(10):
        while len(callers.exchanges) < requests:
            await asyncio.wait([asyncio.ensure_future(asyncio.sleep(0.01))])
    await callers.stop()
    await asyncio.wait(serving, timeout=10)
    server.close()
    await server.wait_closed()
    return heads, callers.exchanges


def test_callers_read_the_answer_and_who_gave_it():
    body = json.dumps({"digit": 3}).encode()
    head = f"HTTP/1.1 200 OK\r\nX-Celadon-Revision: abc\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    heads, exchanges = asyncio.run(calls(head + body, 5))
    assert len(heads) == len(exchanges)
    assert {(e.status, e.revision, e.right, e.failed) for e in exchanges} == {(200, "abc", True, False)}


def test_callers_send_a_request_once_whatever_becomes_of_it():
    heads, exchanges = asyncio.run(calls(b"", 5))
    assert len(heads) == len(exchanges)
    assert all(exchange.failed and exchange.fault for exchange in exchanges)


def test_the_page_of_the_demo_names_every_option_and_every_key():
    page = (Path(__file__).parents[2] / "docs" / "demo.md").read_text()
    of = counted([told(BETTER, "good", "promoted")], [answered("good")]).json()
    keys = {*of, *of["releases"][0], *of["revisions"][0]}
    options = {name for option in demo.params for name in option.opts}
    assert {name for name in keys | options if f"`{name}`" not in page} == set()
