"""Every kind of drill on real processes and the real Envoy: what is hit, what callers notice, and that it is undone.

How long things take is not what is asked here, for the machine has other things to do: goals are wide.
"""

import json
import os
import re
import shlex
from pathlib import Path

import pytest
from e2e_load import Load
from e2e_world import World, alive, until

from celadon.domain.drill import DrillKind

pytestmark = [pytest.mark.e2e, pytest.mark.long]

WIDE = "30s"

REDUNDANT = {
    "replicas": 2,
    "route": {"retry": {"when": "reset", "perTrySeconds": 2}},
    "redundancy": {"zones": ["a", "b"], "standby": 1, "hangSeconds": 1},
}


@pytest.fixture(scope="module")
def made():
    made = World()
    try:
        made.done("up", "--proxies", "2")
        made.done("deploy", "-f", made.service("score", **REDUNDANT))
        yield made
    finally:
        made.end()


def drill(made, kind, *options, service="score", code=0):
    """A drill as a script runs it: its report, and what was said on the way."""
    given = ["--before", "1s", "--rto", WIDE, *options, "--output", "json"]
    ran = made.run("drill", "run", kind, service, *given, timeout=90)
    assert ran.returncode == code, (ran.returncode, ran.stdout, ran.stderr)
    return json.loads(ran.stdout) if ran.stdout else {}, ran.stderr


def passed(made, kind, *options, service="score"):
    """A drill that shows what the service is built for: no caller is lost, and nothing of the failure is left."""
    told, said = drill(made, kind, *options, service=service)
    assert (told["verdict"], told["measured"]["failed"]) == ("pass", 0), told
    assert told["measured"]["requests"] >= 20
    assert told["undone"]
    until(lambda: leftovers(made) == [])
    return told, said


def leftovers(made):
    """Files of drills that are still there; of one that is over there are none. Folders may go while one looks."""
    return [Path(folder, name) for folder, _, names in os.walk(made.home / "drills") for name in names]


def state(pid):
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0].decode()


def pids(told):
    return [one["pid"] for one in told["victims"]]


@pytest.mark.parametrize(("kind", "hit"), [("kill-replica", 1), ("kill-zone", 2), ("kill-first-priority", 2)])
def test_killed_replicas_cost_no_request_that_may_be_repeated(made, kind, hit, figure):
    running = {replica["pid"] for replica in made.replicas()}
    told, said = passed(made, kind)
    assert len(pids(told)) == hit
    assert set(pids(told)) <= running
    assert not any(map(alive, pids(told)))
    assert f"SIGKILL to {'replica' if hit == 1 else 'every replica'}" in said
    figure("gap_ms", told["measured"]["gap_ms"])


def test_either_zone_may_be_lost_also_the_one_with_the_standby_in_it(made):
    made.done("deploy", "-f", made.service("wide", **{**REDUNDANT, "replicas": 4}))
    hit = []
    for _ in range(4):
        until(lambda: all(one["state"] == "ready" for one in made.replicas("wide")))
        told, _ = passed(made, "kill-zone", "--rate", "150", service="wide")
        hit.append(frozenset(one["index"] for one in told["victims"]))
    assert sorted(map(len, hit)) == [2, 2, 3, 3]
    assert hit[0] == hit[2] != hit[1] == hit[3]


def test_a_hung_replica_costs_no_request_that_may_be_repeated_and_goes_on_afterwards(made, figure):
    told, said = passed(made, "hang-replica")
    assert "SIGSTOP to replica" in said
    assert {state(pid) for pid in pids(told)} <= {"S", "R"}
    assert pids(told)[0] in {replica["pid"] for replica in made.replicas()}
    figure("gap_ms", told["measured"]["gap_ms"])


def test_one_of_two_proxies_may_die(made, figure):
    told, said = passed(made, "kill-proxy")
    assert "SIGKILL to the proxy" in said
    assert not alive(pids(told)[0])
    figure("gap_ms", told["measured"]["gap_ms"])


def test_a_killed_daemon_is_started_again_and_ends_its_own_drill(made, figure):
    before, replicas = made.daemon_pid(), made.replicas()
    told, said = passed(made, "kill-daemon")
    assert made.daemon_pid() != before
    assert not alive(before)
    assert [r["pid"] for r in made.replicas()] == [r["pid"] for r in replicas]
    assert "SIGKILL to the daemon" in said
    assert told["measured"]["back_s"] > 0
    assert (told["measured"]["acknowledged"] > 0, told["measured"]["lost"]) == (True, 0)
    figure("back_s", told["measured"]["back_s"])


def test_a_full_disk_decides_nothing_and_costs_nothing(made):
    told, said = passed(made, "fill-disk", "--seconds", "2s")
    assert told["measured"]["refused_writes"] > 0
    assert (told["measured"]["acknowledged"] > 0, told["measured"]["lost"]) == (True, 0)
    assert "no page more for the journal" in said
    assert made.view()["fault"] is None
    assert made.done("deploy", "-f", "score.json")


def test_nothing_is_promoted_and_nothing_taken_back_while_counters_stand_still(made):
    slow = {"release": {"watch": {"seconds": 12, "minRequests": 5, "deadlineSeconds": 100}}}
    made.done("deploy", "-f", made.service("blind", **slow, **REDUNDANT))
    made.done("deploy", "-f", made.service("blind", answer={"score": 2}, **slow, **REDUNDANT), "--detach")
    until(lambda: made.phase("blind") == "watching")
    drill(made, "freeze-metrics", service="blind", code=6)
    told, _ = drill(made, "freeze-metrics", "--insist", "--seconds", "7s", service="blind")
    assert told["verdict"] == "pass", told
    ended = until(lambda: made.view("blind")["release"] is None and made.history("blind")[-1])
    assert ended["outcome"] == "promoted"
    assert ended["ended_at"] > told["ended_at"] - 1
    made.done("remove", "blind", "--yes")


def test_a_drill_that_would_take_the_last_one_is_refused_unless_a_person_insists(made):
    made.done("deploy", "-f", made.service("alone", replicas=1))
    _, said = drill(made, "kill-replica", service="alone", code=6)
    assert "0 of the 1 replicas that it needs would be ready" in said
    told, _ = drill(made, "kill-replica", "--insist", "--rto", "0s", service="alone", code=2)
    assert (told["verdict"], told["undone"]) == ("fail", True)
    assert told["measured"]["failed"] > 0
    told = made.done("drill", "history", "alone", "--output", "json")
    assert [one["verdict"] for one in json.loads(told)["drills"]] == ["fail"]
    made.done("remove", "alone", "--yes")


def test_what_is_wrong_with_a_drill_is_said_of_the_options_that_were_given(made):
    _, said = drill(made, "hang-replica", "--rate", "1", "--seconds", "2h", code=1)
    assert "--rate: 1 is too low" in said
    assert "--seconds: 7200 is too high" in said
    assert "from 0.5 to 3600 s" in said


def test_a_release_that_is_asked_for_ends_a_drill_and_begins_once_it_is_undone(made):
    """One that would last for as long as it may: a hang is over as soon as callers are served as before."""
    running = made.start("drill", "run", "freeze-metrics", "score", "--before", "1s", "--seconds", "60s")
    until(lambda: (drilled := made.view()["drill"]) and drilled["phase"] == "struck")
    _, said = drill(made, "kill-replica", code=6)
    assert "has not ended" in said
    with Load(port=made.port()) as load:
        made.done("deploy", "-f", made.service("score", answer={"score": 3}, **REDUNDANT), timeout=120)
    assert load.failed() == []
    told, _ = running.communicate(timeout=60)
    assert running.returncode == 3, told
    assert "inconclusive: it gave way to what was asked meanwhile: deploy" in told
    assert re.search("undone +yes", told)


def struck(made):
    """The process that a drill has stopped, once it has."""

    def stopped():
        drill = made.view()["drill"]
        return drill and drill["phase"] == "struck" and drill["victims"][0]["pid"]

    victim = until(stopped)
    until(lambda: state(victim) == "T")
    return victim


def test_a_lease_is_undone_at_its_end_also_without_a_daemon(made):
    made.done("drill", "run", "hang-replica", "score", "--before", "1s", "--seconds", "6s", "--detach")
    victim = struck(made)
    assert re.search(r"drill +\d+  hang-replica  \w{12}/\d  struck", made.done("status", "score"))
    made.kill(made.daemon_pid())
    until(lambda: state(victim) == "S")
    assert made.answers() is None
    made.up()
    last = until(lambda: made.view()["drill"] is None and made.view()["last_drill"])
    assert last["undone"]
    assert last["verdict"] in {"pass", "fail"}


def test_the_commands_of_the_page_run_in_their_order(made):
    page = (Path(__file__).parents[2] / "docs" / "drills.md").read_text()
    block = re.search(r"```sh\n(.*?)```", page, re.DOTALL)
    said = [made.done(*shlex.split(line.replace("fraud", "score"))[1:]) for line in block[1].splitlines()]
    assert len(said) == 3
    assert all(kind.value in said[0] and f"`{kind.value}`" in page for kind in DrillKind)
    assert re.search(r"pass: 0 of \d+ requests failed", said[1])
    assert "kill-replica" in said[2]


def test_every_kind_is_run_here():
    text = Path(__file__).read_text()
    assert [kind.value for kind in DrillKind if f'"{kind.value}"' not in text] == []
