"""Every end has its exit code, also the ends that nobody plans."""

import importlib
import subprocess
import sys

import click
import pytest

from celadon.domain.release import Cause, Outcome
from celadon.doors.cli import top
from celadon.doors.cli.exits import ENDS, ExitCode, of_all

TABLE = {
    # cause:            promoted  rolled_back  reported  superseded
    Cause.PLAN: (0, 2, 0, 7),
    Cause.VERDICT: (0, 2, 2, 7),
    Cause.PERSON: (0, 7, 7, 7),
    Cause.WORLD: (0, 4, 4, 7),
    Cause.DEADLINE: (0, 5, 5, 7),
    Cause.SUPERSEDED: (0, 7, 7, 7),
}
ORDER = (Outcome.PROMOTED, Outcome.ROLLED_BACK, Outcome.REPORTED, Outcome.SUPERSEDED)


def test_every_end_of_a_release_has_the_exit_code_that_is_documented():
    wanted = {
        (outcome, cause): code
        for cause, codes in TABLE.items()
        for outcome, code in zip(ORDER, codes, strict=True)
    }
    assert wanted == ENDS
    assert set(wanted) == {(outcome, cause) for outcome in Outcome for cause in Cause}


def test_of_several_releases_the_worst_decides():
    assert of_all([]) == ExitCode.REACHED
    assert of_all([ExitCode.REACHED, ExitCode.PERSON]) == ExitCode.PERSON
    assert of_all([ExitCode.PERSON, ExitCode.ROLLED_BACK, ExitCode.REACHED]) == ExitCode.ROLLED_BACK
    assert of_all([ExitCode.ROLLED_BACK, ExitCode.INFRASTRUCTURE]) == ExitCode.INFRASTRUCTURE
    assert {of_all([code, ExitCode.REACHED]) for code in ExitCode} == set(ExitCode)


@pytest.mark.parametrize("name", [name for name in top.COMMANDS if name != "demo"])
def test_the_list_of_commands_says_what_each_command_says_of_itself(name):
    command = top.cli.get_command(click.Context(top.cli), name)
    assert command.help == top.COMMANDS[name][1]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["status", "--help"], 0),
        (["--no-such-option"], 1),
        (["no-such-command"], 1),
        ([], 1),
        (["deploy"], 1),
        (["why"], 1),
        (["deploy", "-f", "no-such-file.yaml"], 1),
        (["promote", "Not A Name"], 1),
        (["logs", "score", "--since", "soon"], 1),
        (["status"], 4),
        (["stop"], 4),
        (["promote", "score"], 4),
    ],
)
def test_without_a_daemon_a_command_ends_with_its_code_and_one_hint(home, arguments, code):
    ran = home.run(*arguments)
    assert ran.returncode == code, (ran.stdout, ran.stderr)
    assert "Traceback" not in ran.stderr
    if code == 4:
        assert ran.stdout == ""
        assert ran.stderr == (
            f"failed: no daemon answers on {home.socket}\n"
            "  hint: start it with `celadon up`; another folder is chosen with --home or CELADON_HOME\n"
        )


def test_a_bug_is_named_with_code_4_and_its_trace_only_where_it_is_asked_for(home, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import celadon.doors.cli.client as c\ndef broken(*_, **__): raise KeyError('lost')\nc.Client.get = broken\n"
    )
    ran = home.run("status", PYTHONPATH=str(tmp_path))
    assert ran.returncode == 4
    assert ran.stderr.splitlines()[0] == "failed: unexpected KeyError: 'lost'"
    assert "Traceback" not in ran.stderr
    assert "Traceback" in home.run("--debug", "status", PYTHONPATH=str(tmp_path)).stderr


def test_a_reader_that_leaves_early_gets_no_trace(home):
    ran = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m celadon --help | true"],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert ran.stderr == ""


def test_help_loads_no_command_and_none_of_what_commands_need():
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "celadon", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    ).stderr
    for heavy in (
        "starlette",
        "uvicorn",
        "pydantic",
        "yaml",
        "rich",
        "asyncio",
        "celadon.control",
        "celadon.parse",
    ):
        assert f" {heavy}\n" not in loaded, heavy


def test_every_command_is_where_the_table_says():
    for name, (module, _) in top.COMMANDS.items():
        if name != "demo":
            assert hasattr(importlib.import_module(f"celadon.doors.cli.{module}"), name)
