"""`celadon rehearse` tells what a release would do to callers, the same of the same seed, and its page shows no less."""

import json
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import click
import pytest

from celadon.domain.problem import ProblemsError
from celadon.domain.release import Outcome
from celadon.doors.cli import rehearse as door
from celadon.doors.cli.exits import TURNED, ExitCode
from celadon.sim.laws.names import Law, Violation
from celadon.sim.rehearsal import FAULTS, FEW, Green

PAGE = (Path(__file__).parents[2] / "docs" / "rehearse.md").read_text()
COMMANDS = re.findall(r"```sh\nceladon (.*?)\n```", PAGE)

SPEC = f"""\
apiVersion: celadon.dev/v1alpha1
kind: ModelService
metadata: {{name: fraud}}
spec:
  command: ["{sys.executable}", server.py, "{{port}}"]
  files: ./files
  ready: /healthz
  replicas: 3
  route: {{port: 8080, retry: {{when: %s}}}}
  release: %s
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "server.py").write_text("")

    def write(release="{}", retry="beforeSent"):
        (tmp_path / "fraud.yaml").write_text(SPEC % (retry, release))
        return "fraud.yaml"

    write()
    return write


def run(*arguments):
    """The command in this process: its exit code."""
    return door.rehearse.main(args=["-f", "fraud.yaml", *arguments], standalone_mode=False)


def told(capsys, *arguments):
    run(*arguments, "--output", "json")
    (service,) = json.loads(capsys.readouterr().out)["services"]
    return service


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_runs(file, capsys, command):
    name, *arguments = shlex.split(command)
    assert name == "rehearse"
    code = door.rehearse.main(args=arguments, standalone_mode=False)
    shown = capsys.readouterr().out
    assert code in {ExitCode.REACHED, *TURNED.values()}
    assert "  broken" not in shown
    assert "fraud  rehearsal" in shown
    if "--svg" in arguments:
        drawn = Path("fraud.svg").read_text()
        assert "<svg" in drawn
        assert "url(" not in drawn.replace("url(#", ""), "it asks another host for something"
        assert "fault" in shown


def test_the_picture_names_every_phase_whole(file, capsys):
    (one,) = told(capsys, "--seed", "2", "--green", "good", "--faults", "none")["rehearsals"]
    run("--seed", "2", "--green", "good", "--faults", "none")
    drawn = capsys.readouterr().out.partition("  phase ")[2]
    phases = {step["phase"].replace("_", " ") for step in one["steps"]}
    assert {"preparing", "watching"} <= phases
    assert [phase for phase in sorted(phases) if phase not in drawn] == []


def test_the_page_shows_the_table_as_it_is_printed(file, capsys):
    (page,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    run("--seeds", "2")
    shown = capsys.readouterr().out.splitlines()
    for place, line in enumerate(page.splitlines()[:6]):
        if not line.startswith("  under"):
            assert line.split() == shown[place].split()


def test_every_fault_and_every_green_is_on_the_page():
    assert set(re.findall(r"`([a-z-]+)`", PAGE)) >= {*FAULTS, *(green.value for green in Green)}


def test_the_same_seed_shows_the_same_again(file, capsys):
    first, again, other = (
        told(capsys, "--green", "good", "--seed", seed, "--faults", "all") for seed in ("4", "4", "5")
    )
    assert first == again
    assert first["rehearsals"][0]["said"] != other["rehearsals"][0]["said"]


def test_a_good_green_is_promoted_and_a_bad_one_is_taken_back_where_nothing_goes_wrong(file, capsys):
    assert run("--faults", "none", "--seeds", "3") == ExitCode.REACHED
    capsys.readouterr()
    service = told(capsys, "--faults", "none", "--seeds", "3")
    ends = {end["green"]: end for end in service["ends"]}
    assert ends["good"]["ends"] == "promoted"
    assert ends["errors"]["ends"] == "rolled back"
    assert ends["good"]["failed"]["worst"] == 0
    assert 0 < ends["errors"]["bad"]["worst"] == ends["errors"]["failed"]["worst"]


def test_every_bad_green_but_one_that_nothing_watches_for_is_taken_back(file, capsys):
    for green, code in (("slow", 0), ("broken", 0), ("wrong", 3)):
        assert run("--faults", "none", "--seed", "0", "--green", green) == code, green


def test_a_gate_is_opened_by_somebody_and_both_shares_are_drawn(file, capsys):
    file(
        "{strategy: {canary: {stages: [{percent: 50, seconds: 20}, {percent: 100, gate: true}]}}, watch: {seconds: 20}}"
    )
    service = told(capsys, "--green", "good", "--seed", "1", "--faults", "none")
    (one,) = service["rehearsals"]
    assert one["ended"] == "promoted"
    parts = {round(step["green"] / step["asked"], 1) for step in one["steps"] if step["asked"]}
    assert {0.0, 0.5, 1.0} <= parts
    assert any("gate" in note for note in service["notes"])
    assert sum(step["asked"] for step in one["steps"]) == one["asked"]


def test_a_proxy_that_ends_is_felt_and_a_second_one_takes_over(file, capsys):
    alone, two = (
        told(capsys, "--green", "good", "--seed", "0", "--faults", "kill-proxy", "--proxies", count)[
            "rehearsals"
        ][0]
        for count in ("1", "2")
    )
    assert alone["unserved"] > 0
    assert 2 < alone["unserved_s"] < 5
    assert two["failed"] == 0


def test_requests_at_a_replica_that_hangs_are_lost_only_where_the_route_repeats_none(file, capsys):
    def hangs():
        return told(capsys, "--green", "good", "--seeds", "12", "--faults", "hang")["rehearsals"]

    lost = hangs()
    assert sum(one["stuck"] for one in lost) == sum(one["failed"] for one in lost) > 0
    file(retry="reset")
    late = hangs()
    assert sum(one["stuck"] for one in late) > 0 == sum(one["failed"] for one in late)


def test_a_fault_that_there_is_not_is_a_problem_that_names_those_there_are(file):
    with pytest.raises(ProblemsError) as refused:
        run("--faults", "kill-replica,earthquake,flood")
    assert [problem.found for problem in refused.value.problems] == [
        "`earthquake` is no fault",
        "`flood` is no fault",
    ]
    assert all(name in refused.value.problems[0].hint for name in FAULTS)


def test_what_can_not_be_read_or_asked_for_is_refused_before_anything_is_played(file):
    for wrong in (["--rate", "many"], ["--svg", "no/such/folder/x.svg", "--seed", "0", "--faults", "none"]):
        with pytest.raises(ProblemsError):
            run(*wrong)
    with pytest.raises(click.UsageError):
        run("--seeds", "0")


def test_a_broken_law_ends_as_our_fault_and_prints_what_shows_it_again(file, capsys, monkeypatch):
    play = door.play

    def broken(wish):
        law = Violation(law=Law.NO_REQUEST_LOST, at=12.0, what="a replica was stopped too early")
        return replace(play(wish), broken=(law,))

    monkeypatch.setattr(door, "play", broken)
    assert run("--green", "good", "--seed", "3", "--rate", "20") == ExitCode.INFRASTRUCTURE
    shown = capsys.readouterr().out
    assert Law.NO_REQUEST_LOST in shown
    assert f"celadon rehearse -f fraud.yaml --green good --seed 3 --faults {','.join(FEW)} --rate 20" in shown


def test_the_end_of_a_rehearsal_means_what_the_end_of_a_deploy_means(file):
    wish = door.Asked(greens=(Green.GOOD,), faults=(), seeds=range(1), rate_per_s=None, proxies=1)
    (loaded,) = door.bundle.load("fraud.yaml", None).services
    good = door.play(wish.wish(loaded, Green.GOOD))
    assert door.code_of(good) == ExitCode.REACHED
    assert door.code_of(replace(good, ended=None)) == ExitCode.PERSON
    bad = replace(good, green=Green.ERRORS)
    assert door.code_of(bad) == ExitCode.PERSON
    assert door.code_of(replace(bad, ended=Outcome.ROLLED_BACK)) == ExitCode.REACHED
