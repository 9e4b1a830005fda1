"""Settings change without a release, under load: more replicas, fewer, another port, another retry."""

import socket

import pytest
from e2e_load import Load, ask
from e2e_world import until, world

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def made():
    with world() as made:
        made.done("deploy", "-f", made.service())
        yield made


def ready(made):
    return [replica["index"] for replica in made.replicas() if replica["state"] == "ready"]


def test_more_and_fewer_replicas_cost_no_request_and_no_release(made):
    live = made.live()
    with Load(port=made.port(), path="/slow/0.1", rate=50) as load:
        until(lambda: len(load.ended) > 20)
        told = made.done("deploy", "-f", made.service(replicas=3))
        assert "its settings change without a release" in told
        until(lambda: ready(made) == [0, 1, 2])
        seen = len(load.ended)
        until(lambda: len(load.ended) > seen + 30)
        made.done("deploy", "-f", made.service(replicas=1))
        until(lambda: [replica["index"] for replica in made.replicas()] == [0])
    assert load.failed() == []
    assert (made.live(), len(made.history())) == (live, 1)


def test_another_port_is_served_before_long_and_the_old_one_is_let_go(made):
    old = made.port()
    pids = [replica["pid"] for replica in made.replicas()]
    made.done("deploy", "-f", made.service(route={"port": made.port("moved")}))
    until(lambda: ask(made.port("moved")).status == 200)
    until(lambda: ask(old).error)
    assert [replica["pid"] for replica in made.replicas()] == pids
    made.done("deploy", "-f", made.service())
    until(lambda: ask(old).status == 200)


def test_a_route_that_is_refused_leaves_the_old_one_in_force(made):
    """The port belongs to somebody else, so the settings can not come true; what serves goes on and says why."""
    with socket.socket() as taken, Load(port=made.port(), rate=30) as load:
        taken.bind(("127.0.0.1", made.port("taken")))
        taken.listen()
        made.done("deploy", "-f", made.service(route={"port": made.port("taken")}))
        until(lambda: made.view()["route"]["refused"])
        assert "Address already in use" in made.done("status", "score")
        seen = len(load.ended)
        until(lambda: len(load.ended) > seen + 20)
        made.done("deploy", "-f", made.service())
        until(lambda: not made.view()["route"]["refused"])
    assert load.failed() == []


def test_a_release_with_other_settings_brings_them_with_it_and_its_abort_takes_them_back(made):
    slow = {"watch": {"seconds": 300, "deadlineSeconds": 600}}
    with Load(port=made.port(), rate=30) as load:
        pipeline = made.start("deploy", "-f", made.service(answer={"score": 2}, replicas=2, release=slow))
        until(lambda: made.phase() == "watching")
        green = made.view()["release"]["green"]
        assert len(made.replicas(revision=green)) == 2
        made.done("abort", "score")
        assert pipeline.wait(30) == 7
        until(lambda: len(made.view()["revisions"]) == 1)
    assert load.failed() == []
    assert ready(made) == [0]


def test_what_is_removed_and_deployed_again_serves_again(made):
    made.done("remove", "score", "--yes")
    assert ask(made.port()).error
    made.done("deploy", "-f", made.service(answer={"score": 4}))
    assert ask(made.port()).status == 200
