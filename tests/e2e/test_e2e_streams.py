"""Long answers: whole through the route, whatever is released, retired or removed meanwhile."""

import hashlib
import json
import threading
import time

import pytest
from e2e_load import Load, ask
from e2e_world import until, world

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def made():
    with world() as made:
        made.done("deploy", "-f", made.service(release={"holdSeconds": 0.5}, drainSeconds=30))
        made.done("deploy", "-f", made.service("other"))
        yield made


class Answer(threading.Thread):
    """One long request, under way while the test goes on."""

    def __init__(self, port, path):
        super().__init__()
        self.port, self.path = port, path
        self.start()

    def run(self):
        self.found = ask(self.port, self.path, method="GET", within_s=40)

    def whole(self):
        self.join()
        assert self.found.status == 200, self.found
        return self.found


def sound(stream, lines):
    """A stream came whole: as many lines as were meant, their digest, and the end mark."""
    *said, last = stream.body.decode().splitlines(keepends=True)
    assert len(said) == lines
    assert last == f"end {hashlib.sha256(''.join(said).encode()).hexdigest()}\n"
    return {line.split(" ")[0] for line in said}


def test_long_answers_survive_switches_the_retirement_of_blue_and_the_removal_of_another_service(made):
    """One answer of 20 s and streams of 6 s are under way through all of it, on the connection they began on."""
    began, blue = time.monotonic(), made.live()
    slow = Answer(made.port(), "/slow/20")
    streams = [Answer(made.port(), "/stream/6") for _ in range(10)]
    with Load(port=made.port(), rate=30) as load:
        until(lambda: len(load.ended) > 10)
        file = made.service(answer={"score": 2}, release={"holdSeconds": 0.5}, drainSeconds=30)
        made.done("deploy", "-f", file)
        assert all(stream.is_alive() for stream in streams), "blue's streams were open at the switch"
        until(lambda: made.view()["predecessor"] is None)
        made.done("remove", "other", "--yes")
        assert all(stream.is_alive() for stream in streams), "and when blue was retired"
        found = [stream.whole() for stream in streams]
        assert {(stream.revision, *sound(stream, 120)) for stream in found} == {(blue, "1")}
        file = made.service(answer={"score": 3}, release={"holdSeconds": 0.5}, drainSeconds=30)
        made.done("deploy", "-f", file)
        answer = slow.whole()
    assert (json.loads(answer.body), answer.revision) == ({"waited_s": 20}, blue)
    assert time.monotonic() - began >= 20
    assert load.failed() == []
    until(lambda: len(made.view()["revisions"]) == 1)


def test_a_route_with_a_limit_cuts_what_takes_longer_and_only_then(made):
    file = made.service("limited", route={"timeoutSeconds": 0.5})
    made.done("deploy", "-f", file)
    assert ask(made.port("limited"), "/slow/0.2", method="GET").status == 200
    assert ask(made.port("limited"), "/slow/2", method="GET").status == 504


def test_a_replica_that_does_not_get_done_is_stopped_at_its_drain_deadline(made):
    """The only way in which an accepted request may lose its answer, and the spec says after how long."""
    short = {"release": {"holdSeconds": 0.1}, "drainSeconds": 1}
    made.done("deploy", "-f", made.service("brief", **short))
    answer = Answer(made.port("brief"), "/slow/30")
    until(lambda: ": 1" in made.envoy(r"/stats?filter=^cluster\.default/brief/.*rq_active$"))
    with Load(port=made.port("brief"), rate=30) as load:
        made.done("deploy", "-f", made.service("brief", answer={"score": 2}, **short))
        until(lambda: len(made.view("brief")["revisions"]) == 1, 10)
    answer.join()
    assert answer.found.status == 503
    assert load.failed() == []
