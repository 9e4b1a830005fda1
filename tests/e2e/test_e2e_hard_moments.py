"""What is lost at the worst moment: green in its watch, blue when it is needed, the daemon with Envoy, a launcher."""

import time
from pathlib import Path

import pytest
from e2e_load import Load, ask
from e2e_world import alive, until, world

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def made():
    with world() as made:
        made.done("deploy", "-f", made.service())
        made.score = 1
        yield made


def next_one(made, release=None, **answer):
    made.score += 1
    return made.service(
        answer={"score": made.score % 9, "number": made.score, **answer}, release=release or {}
    )


def watched(made, file):
    """A pipeline whose release is being watched, and its green."""
    pipeline = made.start("deploy", "-f", file)
    until(lambda: made.phase() == "watching")
    return pipeline, made.view()["release"]["green"]


def ends(pipeline, code):
    said, _ = pipeline.communicate(timeout=40)
    assert pipeline.returncode == code, said
    return said


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_green_that_is_gone_in_its_watch_is_taken_back(made):
    blue = made.live()
    with Load(port=made.port()) as load:
        pipeline, green = watched(made, next_one(made, {"watch": {"seconds": 60}, "startSeconds": 60}))
        for _ in range(3):
            made.kill(made.replicas(revision=green)[0]["pid"])
            until(lambda: made.phase() != "watching" or made.replicas(revision=green)[0]["state"] == "ready")
        ends(pipeline, 2)
    assert load.failed(but=[green]) == []
    assert (made.live(), ask(made.port()).revision) == (blue, blue)
    assert made.history()[-1]["cause"] == "verdict"


def test_blue_lost_while_green_fails_is_started_again_and_then_gets_everything_back(made):
    blue = made.live()
    with Load(port=made.port()) as load:
        pipeline, green = watched(
            made, next_one(made, {"watch": {"seconds": 60, "minRequests": 30}}, fails=True)
        )
        made.kill(made.replicas(revision=blue)[0]["pid"])
        ends(pipeline, 2)
        seen = len(load.ended)
        until(lambda: len(load.ended) > seen + 20)
    assert load.failed(but=[green]) == []
    assert made.live() == blue
    assert {found.revision for found in load.ended[-10:]} == {blue}


def test_the_daemon_and_envoy_killed_together_in_a_watch_cost_a_moment_and_not_the_release(made, figure):
    with Load(port=made.port()) as load:
        pipeline, green = watched(made, next_one(made, {"watch": {"seconds": 2}}))
        killed_at = time.monotonic()
        made.kill(made.daemon_pid())
        made.kill(made.envoy_pid())
        until(lambda: [f for f in load.ended if f.sent_at > killed_at + 0.01 and f.status == 200])
        made.up()
        ends(pipeline, 0)
    figure("failed", len(load.failed()))
    assert load.longest_gap_s() < 1.0
    assert [f for f in load.failed() if f.at > killed_at + 1.0 or f.ended_at < killed_at] == []
    assert made.live() == green


def test_envoy_is_kept_without_a_daemon(made, figure):
    made.done("stop")
    with Load(port=made.port()) as load:
        until(lambda: len(load.ended) > 20)
        envoy = made.envoy_pid()
        made.kill(envoy)
        until(lambda: made.envoy_pid() not in {None, envoy})
        seen = len(load.exchanges)
        until(lambda: len(load.ended) > seen + 20 and load.ended[-1].status == 200)
    made.up()
    figure("gap_ms", round(load.longest_gap_s() * 1000))
    assert load.longest_gap_s() < 1.0


def test_envoys_launcher_killed_costs_no_request(made):
    envoy = made.envoy_pid()
    launcher = parent(envoy)
    with Load(port=made.port()) as load:
        until(lambda: len(load.ended) > 20)
        made.kill(launcher)
        until(lambda: keeper(made) not in {None, launcher})
        made.done("deploy", "-f", next_one(made))
    assert load.failed() == []
    assert made.envoy_pid() == envoy


def keeper(made):
    """The living launcher of Envoy."""
    for pid in made.processes():
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if any(word.endswith(b"traffic/envoy/launcher.py") for word in words):
            return pid
    return None


def test_a_replicas_launcher_killed_takes_the_replica_with_it_and_both_are_started_again(made):
    made.done("deploy", "-f", made.service("pair", replicas=2))
    victim = made.replicas("pair")[0]["pid"]
    made.kill(parent(victim))
    until(lambda: not alive(victim))
    until(lambda: [r["state"] for r in made.replicas("pair")] == ["ready"] * 2)
    assert made.replicas("pair")[0]["pid"] != victim
    assert ask(made.port("pair")).status == 200


def test_a_removal_that_the_daemon_did_not_survive_ends_after_it_is_back(made):
    made.done("deploy", "-f", made.service("gone", drainSeconds=2))
    replica = made.replicas("gone")[0]["pid"]
    made.done("remove", "gone", "--yes", "--detach")
    made.kill(made.daemon_pid())
    made.up()
    until(lambda: not alive(replica))
    until(lambda: "gone" not in [view["service"] for view in made.client.get("/v1/services")["services"]])
    assert ask(made.port("gone")).error


def test_two_releases_at_once_on_one_daemon_do_not_touch_each_other_nor_a_third(made):
    for name in ("left", "right"):
        made.done("deploy", "-f", made.service(name))
    ports = {name: made.port(name) for name in ("left", "right", "score")}
    loads = [Load(port=port, rate=30) for port in ports.values()]
    with loads[0], loads[1], loads[2]:
        pipelines = [
            made.start("deploy", "-f", made.service("left", answer={"score": 2})),
            made.start("deploy", "-f", made.service("right", answer={"score": 2, "fails": True})),
        ]
        said = [pipeline.communicate(timeout=40)[0] for pipeline in pipelines]
    assert [pipeline.returncode for pipeline in pipelines] == [0, 2], said
    bad = made.history("right")[-1]["green"]
    assert [load.failed(but=[bad]) for load in loads] == [[], [], []]
