"""`celadon plan` tells the whole way of a release before it begins, and the page on strategies shows nothing else."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml

from celadon.control.needs import EVERYTHING, Need, beyond
from celadon.doors.cli.ahead import ahead_lines, told
from celadon.doors.cli.steps import PERSON, in_place, steps
from celadon.parse.spec import read_documents
from celadon.release.plan import plan_of

PAGE = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)

HEAD = f"""\
apiVersion: celadon.dev/v1alpha1
kind: ModelService
metadata: {{name: fraud}}
spec:
  command: ["{sys.executable}", server.py, "{{port}}"]
  files: ./files
  ready: /healthz
  route: {{port: 8080}}
"""


def spec_of(release):
    """The spec of a service with this `release`."""
    document = yaml.safe_load(HEAD)
    document["spec"]["release"] = release
    (spec,) = read_documents([document], "fraud.yaml")
    return spec


def written(home, release):
    """A service file with this `release`."""
    (home.work / "files").mkdir(exist_ok=True)
    (home.work / "files" / "server.py").write_text("")
    path = home.work / "fraud.yaml"
    path.write_text(HEAD + f"  release: {json.dumps(release)}\n")
    return path.name


def ahead(release, rate_per_s=None, base=None):
    """What is said of it before it begins."""
    return "\n".join(line.text for line in ahead_lines(spec_of(release), rate_per_s, base))


@pytest.mark.parametrize("block", BLOCKS)
def test_every_release_of_the_page_is_accepted_and_has_a_plan(block):
    assert plan_of(spec_of(yaml.safe_load(block)["release"]).release).stages


def test_the_command_of_the_page_shows_what_the_page_shows(home):
    (command,) = re.findall(r"```sh\nceladon (.*?)\n```", PAGE)
    (shown,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    written(home, {"strategy": {"canary": {}}})
    assert shown in home.done(*shlex.split(command))


def test_every_strategy_has_its_own_steps():
    for release, said in (
        ({}, ["move every request to green", "watch for 60 s"]),
        ({"strategy": {"canary": {}}}, ["give green 5 % of the requests for 60 s", "errors are proved fine"]),
        (
            {
                "strategy": {
                    "canary": {
                        "stages": [{"percent": 50, "mirrorPercent": 10, "gate": True}, {"percent": 100}]
                    }
                }
            },
            ["wait for a person", "give green 50 % of the requests and copies of 10 % for 60 s"],
        ),
        (
            {"strategy": {"abTest": {"seconds": 600, "match": {"cookies": {"beta": []}}}}},
            [
                "give green 50 % of the requests that match for 10 min",
                "report what was found; blue stays live",
            ],
        ),
        (
            {"strategy": {"shadow": {"seconds": 600, "percent": 30, "maxRequests": 9}}},
            ["give green copies of 30 % of the requests, whose answers nobody gets for 10 min or 9 copies"],
        ),
    ):
        found = steps(spec_of(release))
        for part in said:
            assert any(part in step for step in found), (part, found)


@pytest.mark.parametrize(
    ("replicas", "survives", "said"),
    [
        (4, "zone", "start replicas that are in another zone again in theirs"),
        (2, "nothing", "those that run stay where they are"),
    ],
)
def test_other_zones_move_replicas_only_where_some_may_be_lost(replicas, survives, said):
    document = yaml.safe_load(HEAD)
    document["spec"] |= {"replicas": replicas, "redundancy": {"zones": ["a", "b"], "survives": survives}}
    (spec,) = read_documents([document], "fraud.yaml")
    (step,) = in_place(spec, {"changes": [{"path": "spec/redundancy/zones"}]})
    assert said in step


def test_a_first_revision_goes_live_at_once_and_its_steps_say_so():
    canary = spec_of({"strategy": {"canary": {"control": True}}, "gate": True})
    assert [step.partition(",")[0] for step in steps(canary, first=True)] == [
        "start 1 replica of green",
        "prove green by its readiness alone",
        PERSON,
        "move every request to green; with nothing to go back to it is not watched",
    ]


def test_a_budget_shows_its_ladder_before_the_start_also_without_a_rate():
    release = {"exposure": {"badAnswers": 50, "requestsPerSecond": 200}}
    said = ahead(release)
    assert "at most 50 bad answers in 99 % of the releases, at up to 200 requests a second" in said
    assert re.search(r"5 %\s+10 s\s+every request\s+39", said)
    assert "callers hurt" in said
    rungs = told(spec_of(release), None, None)["ladder"]["rungs"]
    assert [rung["share"] for rung in rungs] == [500, 1000, 2500, 10_000]


def test_a_budget_that_can_not_be_kept_is_refused_with_the_number_that_can(home):
    ran = home.run("plan", "-f", written(home, {"exposure": {"badAnswers": 2, "requestsPerSecond": 200}}))
    assert ran.returncode == 1
    assert ran.stderr.startswith("fraud.yaml#1/spec/release/exposure/badAnswers: 2 can not be kept")
    assert "hint: allow 4 or more" in ran.stderr


def test_too_little_traffic_is_said_with_everything_that_would_do():
    strategy = {"canary": {"stages": [{"percent": 5}, {"percent": 100}]}}
    said = ahead({"strategy": strategy}, 40, 0.01)
    assert "can not be counted on to decide before its deadline" in said
    for part in (
        "a larger share",
        "maxRatio: ",
        "extraPercent: ",
        "deadlineSeconds: ",
        "a shadow",
        "recorded requests",
    ):
        assert part in said
    found = told(spec_of({"strategy": strategy}), 40, 0.01)["forecast"]
    assert found["late"]
    amounts = {way["means"]: way["amount"] for way in found["ways"]}
    for better in (
        {"strategy": strategy, "watch": {"deadlineSeconds": amounts["deadline"]}},
        {"strategy": strategy, "judge": {"errors": {"maxRatio": amounts["ratio"]}}},
        {"strategy": strategy, "judge": {"errors": {"extraPercent": 100 * amounts["extra"]}}},
        {"strategy": {"canary": {"stages": [{"percent": amounts["share"] / 100}, {"percent": 100}]}}},
    ):
        assert "is promoted after" in ahead(better, 40, 0.01)


def test_callers_who_stay_on_their_side_count_once():
    said = ahead({"strategy": {"canary": {}}, "sticky": {"header": "x-user"}}, 100)
    assert "100 callers a second" in said
    assert "new callers a second" in said


def test_without_a_rate_a_plan_says_how_to_give_one():
    assert "`--rate 200`" in ahead({"strategy": {"canary": {}}})
    assert ahead({}) == ""


def test_what_can_not_be_compared_is_said_with_what_it_costs():
    assert "nothing is compared" in ahead({}, 100)
    assert "blue never fails" in ahead({"strategy": {"canary": {}}}, 100, 0.0)


@pytest.mark.parametrize(("option", "value"), [("--rate", "many"), ("--rate", "-1"), ("--errors", "70%")])
def test_a_load_that_is_none_is_a_problem(home, option, value):
    ran = home.run("plan", "-f", written(home, {}), option, value)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"{option}: `{value}` is not")


@pytest.mark.e2e
def test_the_daemon_refuses_a_budget_that_can_not_be_kept_and_shows_one_that_can_before_it_starts(up):
    spec = up.work / up.service()
    plain = spec.read_text()
    spec.write_text(plain + "    exposure: {badAnswers: 2, requestsPerSecond: 200}\n")
    ran = up.run("deploy", "-f", spec.name)
    assert ran.returncode == 1
    assert "2 can not be kept" in ran.stderr
    assert up.asked("status")["services"] == []
    spec.write_text(plain + "    exposure: {badAnswers: 50, requestsPerSecond: 200}\n")
    told = up.done("deploy", "-f", spec.name)
    assert told.index("at most 50 bad answers") < told.index("score-1 accepted")


def test_what_the_proxy_in_use_can_not_do_is_refused_with_the_option_that_asks_for_it():
    test = {"abTest": {"seconds": 600, "match": {"cookies": {"beta": []}}}}
    asked = spec_of({"strategy": test, "sticky": {"cookie": "side"}}).release
    assert list(beyond(asked, EVERYTHING)) == []
    paths = {problem.path for problem in beyond(asked, frozenset({Need.SPLIT}))}
    assert paths == {"spec/release/strategy/abTest/match", "spec/release/sticky/cookie"}
    assert list(beyond(spec_of({}).release, frozenset())) == []
    shadow = spec_of({"strategy": {"shadow": {"seconds": 60, "percent": 100}}}).release
    assert [problem.path for problem in beyond(shadow, frozenset())] == ["spec/release/strategy"]
