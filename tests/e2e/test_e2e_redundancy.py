"""Losses that a service was planned for: a zone, all of the first set, a hang. Nobody who may ask again notices."""

import signal
import time

import pytest
from e2e_load import Load, ask
from e2e_world import alive, until, world

pytestmark = pytest.mark.e2e

PLAN = {"zones": ["a", "b"], "standby": 1, "hangSeconds": 0.8}
RETRY = {"when": "reset", "perTrySeconds": 1.5}


@pytest.fixture(scope="module")
def made():
    with world() as made:
        spec = made.service(
            replicas=4,
            redundancy=PLAN,
            route={"retry": RETRY},
            answer={"says": ["CELADON_ZONE"]},
        )
        made.done("deploy", "-f", spec)
        yield made


def first_set(made):
    return [replica for replica in made.replicas() if replica["arm"] == "main"]


def spread(made):
    """Where every replica stands, once all of them are ready."""
    there = made.replicas()
    if len(there) != 5 or any(replica["state"] != "ready" for replica in there):
        return None
    return [(replica["arm"], replica["zone"]) for replica in there]


AS_PLANNED = [("main", "a"), ("main", "b"), ("main", "a"), ("main", "b"), ("standby", "a")]


def lose(made, victims, number=signal.SIGKILL):
    """All at once."""
    for victim in victims:
        made.kill(victim["pid"], number)
    return time.monotonic()


def answered_long_after(load, at, seconds=1.0):
    until(lambda: load.ended and load.ended[-1].sent_at > at + seconds)


def requests_of(made, replica):
    """How many requests Envoy has given to a replica."""
    mark = f"default/score/{made.live()}::{replica['address']}::rq_total::"
    lines = made.envoy("/clusters").splitlines()
    return sum(int(line.removeprefix(mark)) for line in lines if line.startswith(mark))


def test_replicas_are_dealt_over_zones_and_the_standby_gets_nothing_while_the_first_set_stands(made):
    assert until(lambda: spread(made)) == AS_PLANNED
    told = made.done("status", "score")
    assert "4 of 4 ready, 1 of 1 standing by" in told
    assert told.count("zone a") == 3
    with Load(port=made.port()) as load:
        until(lambda: len(load.ended) > 60)
    assert load.failed() == []
    standby = made.replicas()[-1]
    assert requests_of(made, standby) == 0
    assert all(requests_of(made, replica) for replica in first_set(made))


def test_a_zone_that_is_lost_costs_no_request_that_may_be_repeated(made, figure):
    victims = [replica for replica in made.replicas() if replica["zone"] == "b"]
    assert len(victims) == 2
    with Load(port=made.port(), path="/slow/0.1") as load:
        until(lambda: len(load.ended) > 20)
        at = lose(made, victims)
        answered_long_after(load, at)
    figure("gap_ms", round(load.longest_gap_s() * 1000))
    assert load.failed() == []
    assert until(lambda: spread(made)) == AS_PLANNED
    assert not any(alive(victim["pid"]) for victim in victims)


def test_when_all_of_the_first_set_is_lost_at_once_the_standby_answers(made, figure):
    standby = made.replicas()[-1]
    before = requests_of(made, standby)
    with Load(port=made.port(), path="/slow/0.1") as load:
        until(lambda: len(load.ended) > 20)
        at = lose(made, first_set(made))
        answered_long_after(load, at)
    figure("gap_ms", round(load.longest_gap_s() * 1000))
    figure("failed", len(load.failed()))
    assert load.failed() == []
    assert requests_of(made, standby) > before
    assert until(lambda: spread(made)) == AS_PLANNED
    assert made.replicas()[-1]["pid"] == standby["pid"]


def test_what_a_replica_holds_that_hangs_is_answered_elsewhere_in_the_time_that_was_stated(made, figure):
    victim = first_set(made)[0]
    with Load(port=made.port(), path="/slow/0.1") as load:
        until(lambda: len(load.ended) > 20)
        at = lose(made, [victim], signal.SIGSTOP)
        answered_long_after(load, at, 2.0)
        made.kill(victim["pid"], signal.SIGCONT)
    longest = max(found.ended_at - found.sent_at for found in load.ended)
    figure("gap_ms", round(load.longest_gap_s() * 1000))
    figure("longest_ms", round(longest * 1000))
    assert load.failed() == []
    assert longest < RETRY["perTrySeconds"] + 1.0
    assert until(lambda: spread(made)) == AS_PLANNED


def test_other_zones_are_moved_into_under_load_and_a_restarted_daemon_finds_them(made):
    spec = made.service(
        replicas=4,
        redundancy={**PLAN, "zones": ["b", "c"]},
        route={"retry": RETRY},
        answer={"says": ["CELADON_ZONE"]},
    )
    moved = [("main", "b"), ("main", "c"), ("main", "b"), ("main", "c"), ("standby", "b")]
    live = made.live()
    with Load(port=made.port()) as load:
        made.done("deploy", "-f", spec)
        until(lambda: spread(made) == moved, 60)
    assert load.failed() == []
    assert made.live() == live
    made.done("stop")
    made.up()
    assert until(lambda: spread(made)) == moved
    assert ask(made.port()).status == 200
