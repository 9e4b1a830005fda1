"""Every kind of drill on real processes and the real Envoy: what is hit, what callers notice, and that it is undone."""

import json

import pytest
from e2e_world import alive, until, world

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def made():
    with world() as made:
        retried = {"retry": {"when": "reset"}}
        made.done("deploy", "-f", made.service("score", replicas=2, route=retried))
        yield made


def drill(made, kind, *options, code=0, before="1s"):
    """A drill as a script runs it: what it printed, as JSON."""
    ran = made.run("drill", "run", kind, "score", "--before", before, *options, "--output", "json", timeout=90)
    assert ran.returncode == code, (ran.returncode, ran.stdout, ran.stderr)
    told = json.loads(ran.stdout) if ran.stdout else {}
    return told, ran.stderr


def test_a_killed_replica_costs_callers_nothing_and_is_told_in_plain_words(made, figure):
    victims = {replica["pid"] for replica in made.replicas()}
    told, said = drill(made, "kill-replica")
    assert told["verdict"] == "pass", told
    assert told["measured"]["failed"] == 0
    assert told["measured"]["requests"] >= 20
    assert [one["pid"] in victims and not alive(one["pid"]) for one in told["victims"]] == [True]
    assert "SIGKILL to replica" in said
    figure("gap_ms", told["measured"]["gap_ms"])
