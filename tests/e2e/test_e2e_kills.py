"""kill -9 of Envoy, of replicas, and of everything at once: who notices, for how long, and what comes back by itself."""

import json
import re
import time

import e2e_models
import pytest
from e2e_load import Load, ask
from e2e_world import alive, until, world

pytestmark = pytest.mark.e2e


SERVICES = {
    "score": ("score", "/score", b"{}"),
    "pure": ("pure", "/score", b"{}"),
    "times": ("times", "/v1/models/times:predict", b'{"instances": [[1.0, 2.0]]}'),
}


@pytest.fixture(scope="module")
def made():
    with world() as made:
        made.done("deploy", "-f", made.service("score", replicas=2))
        made.done("deploy", "-f", made.service("pure", replicas=2, route={"retry": {"when": "reset"}}))
        e2e_models.times(made.work / "times.onnx")
        spec = made.service("times", model="./times.onnx", golden=[e2e_models.GOLDEN], replicas=2)
        made.done("deploy", "-f", spec)
        yield made


def pids(made, name):
    return [replica["pid"] for replica in made.replicas(name)]


def all_ready(made, name, wanted=2):
    return [r["state"] for r in made.replicas(name)] == ["ready"] * wanted


def test_a_killed_envoy_serves_again_within_a_second_and_status_says_so(made, figure):
    before = pids(made, "score")
    envoy = made.envoy_pid()
    with Load(port=made.port("score")) as load:
        until(lambda: len(load.ended) > 20)
        killed_at = time.monotonic()
        made.kill(envoy)
        until(lambda: made.envoy_pid() not in {None, envoy} and made.view()["route"]["confirmed"])
        until(lambda: load.ended[-1].sent_at > killed_at + 1.5)
    failed = load.failed()
    figure("failed", len(failed))
    figure("gap_ms", round(load.longest_gap_s() * 1000))
    assert load.longest_gap_s() < 1.0
    assert [f for f in failed if f.at > killed_at + 1.0 or f.ended_at < killed_at] == []
    assert pids(made, "score") == before
    assert re.search(r"Envoy was restarted: .*(SIGKILL|signal 9|-9|killed)", made.done("status", "score"))
    assert ask(made.port("score")).revision == made.live("score")


@pytest.mark.parametrize(("name", "path", "body"), [("pure", "/slow/0.2", b"{}"), SERVICES["times"]])
def test_a_killed_replica_costs_no_request_that_may_be_repeated(made, name, path, body, figure):
    victim = pids(made, name)[0]
    retried = retries(made, name)
    with Load(port=made.port(name), path=path, body=body) as load:
        kill_under_load(made, name, victim, load)
    figure("requests", len(load.ended))
    figure("retries", retries(made, name) - retried)
    assert load.failed() == []
    assert name == "times" or retries(made, name) - retried >= 3
    told = made.replicas(name)[0]
    assert (told["exits"], told["last_exit"]["code"]) == (1, -9)
    assert "1 exit in a row" in made.done("status", name)


def test_a_killed_replica_of_a_command_costs_only_what_it_was_answering(made, figure):
    """By default only what no byte of was sent is repeated, so a request that the replica had fails."""
    victim = pids(made, "score")[0]
    with Load(port=made.port("score"), path="/slow/0.2") as load:
        killed_at = kill_under_load(made, "score", victim, load)
    failed = load.failed()
    figure("failed_all", len(failed))
    assert failed
    assert [f for f in failed if not f.sent_at < killed_at + 0.02 < f.ended_at + 0.02] == []
    assert {(f.status, f.body[:30]) for f in failed} == {(503, b"upstream connect error or disc")}


def kill_under_load(made, name, victim, load):
    """Kills one of two replicas and returns when, once it was started again and has answered some more."""
    until(lambda: len(load.ended) > 20)
    killed_at = time.monotonic()
    made.kill(victim)
    until(lambda: all_ready(made, name) and victim not in pids(made, name))
    count = len(load.exchanges)
    until(lambda: len(load.ended) > count)
    assert not alive(victim)
    return killed_at


def retries(made, name):
    """How many requests of the live revision Envoy has repeated, by its own counter."""
    stats = made.envoy(f"/stats?filter=^cluster\\.default/{name}/{made.live(name)}\\.upstream_rq_retry$")
    return sum(int(line.rpartition(" ")[2]) for line in stats.splitlines())


def everything(made):
    """What a person sees of every service, as far as it must not change."""
    return {
        name: (
            made.live(name),
            len(made.history(name)),
            until(lambda name=name: made.view(name)["route"]["confirmed"]),
        )
        for name in SERVICES
    }


def all_serve(made):
    for name, path, body in SERVICES.values():
        until(lambda name=name: all_ready(made, name))
        until(lambda name=name, path=path, body=body: ask(made.port(name), path, body).status == 200)


@pytest.mark.parametrize("rebooted", [False, True])
def test_after_everything_was_killed_up_alone_brings_all_of_it_back(made, rebooted):
    """As after a loss of power, except that the kernel lost nothing. A reboot gives the machine a new boot id."""
    before, old = everything(made), made.processes()
    made.stop_everything()
    if rebooted:
        forget_boot(made)
    made.up()
    all_serve(made)
    assert everything(made) == before
    assert not set(old) & set(made.processes())
    ended = [replica["last_exit"]["stderr"] for name in SERVICES for replica in made.replicas(name)]
    assert len(ended) == 6
    assert all("the machine was started again" in str(lines) for lines in ended) is rebooted
    assert [replica["exits"] for name in SERVICES for replica in made.replicas(name)] == [
        0
    ] * 6 or not rebooted


def forget_boot(made):
    """The identities that launchers left behind name another boot, as they do after a reboot."""
    locks = [*made.home.glob("run/*/*/*/*/lock"), *made.home.glob("envoy/*.lock")]
    assert len(locks) == 7
    for lock in locks:
        identity = json.loads(lock.read_text())
        assert "boot" in identity
        lock.write_text(json.dumps({**identity, "boot": "00000000-0000-4000-8000-000000000000"}))
