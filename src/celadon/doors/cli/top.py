"""The command line's top: options for all commands, commands that load when they are called, and how each ends."""

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import click

from celadon.domain.problem import Fault, ProblemsError
from celadon.doors.cli.exits import ExitCode

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("daemon", "Start the daemon and leave it running."),
    "stop": ("daemon", "End the daemon alone; traffic lives on."),
    "down": ("daemon", "Remove every service and end the daemon."),
    "init": ("init", "Look into a model; write its service file and golden requests."),
    "plan": ("plan", "Check a service file and show what deploying it would do."),
    "rehearse": ("rehearse", "Release in a simulated world, with things going wrong, and hurt nobody."),
    "deploy": ("deploy", "Release what a service file says, and follow the release."),
    "status": ("look", "Show services, their revisions and their replicas."),
    "watch": ("look", "Show services live, redrawn in place."),
    "promote": ("steer", "Take a release on past its gate, hold or watch."),
    "abort": ("steer", "Take a release back to blue, now."),
    "pause": ("steer", "Let a release go no further forward until it is resumed."),
    "resume": ("steer", "Let a paused release go on."),
    "rollback": ("steer", "Go back to the revision that was live before."),
    "remove": ("steer", "Drain a service and take everything of it down."),
    "history": ("look", "List the releases of a service and how each ended."),
    "why": ("look", "Show every decision of a release with its reason and evidence."),
    "logs": ("logs", "Show what the replicas of a service print."),
    "feedback": ("feedback", "Tell which answers were wrong, what was right, or how good they were."),
    "export": ("export", "Write what runs a service without celadon."),
    "drill": ("drill", "Rehearse a failure, and see what it costs callers."),
    "demo": ("demo", "See good revisions promoted and bad ones taken back."),
}
"""Each command with its module and its help, so that the list of commands can be shown without loading any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What all commands share. home: the daemon's folder; socket: where it answers."""

    home: Path
    socket: Path
    forwarded: bool
    debug: bool


class Commands(click.Group):
    """A group whose commands load when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click asks with it
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- as above
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"celadon.doors.cli.{COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command), cmd_name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- as above
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def default_home() -> Path:
    """`~/.celadon`: one folder that people find, back up and delete, and short enough for a socket's path."""
    return Path.home() / ".celadon"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--home", type=click.Path(path_type=Path), envvar="CELADON_HOME", help="The daemon's folder [~/.celadon]."
)
@click.option(
    "--socket",
    type=click.Path(path_type=Path),
    envvar="CELADON_SOCKET",
    help="The daemon's socket, as one forwarded from another machine.",
)
@click.option("--debug", is_flag=True, help="Show the trace of an unexpected error.")
@click.version_option(package_name="celadon")
@click.pass_context
def cli(ctx: click.Context, home: Path | None, socket: Path | None, *, debug: bool) -> None:
    """Release AI models so that nobody notices, and take them back before anybody is hurt.

    Exit codes: 0 reached its planned end, 1 usage or spec, 2 rolled back by verdict, 3 waiting for a person or
    inconclusive, 4 infrastructure, 5 deadline, 6 refused by policy, 7 aborted or superseded.
    """
    place = (home or default_home()).expanduser().absolute()
    ctx.obj = Where(
        home=place, socket=socket or place / "celadon.sock", forwarded=socket is not None, debug=debug
    )


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with one of the codes of `exits`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    code = run(given)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = _reader_gone()
    sys.exit(int(code))


def run(arguments: Sequence[str]) -> ExitCode:
    """One command, to its exit code; everything that can go wrong is said on standard error."""
    try:
        ended = cli.main(args=list(arguments), prog_name="celadon", standalone_mode=False)
        return ExitCode(ended or 0)
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except click.Abort:
        click.echo("aborted", err=True)
        return ExitCode.ABORTED
    except ProblemsError as error:
        _say_problems(error)
        return ExitCode.REFUSED if error.refused else ExitCode.USAGE
    except Fault as error:
        click.echo(f"failed: {error}", err=True)
        return ExitCode.INFRASTRUCTURE
    except BrokenPipeError:
        return _reader_gone()
    except Exception as error:
        if "--debug" in arguments:
            raise
        click.echo(f"failed: unexpected {type(error).__name__}: {error}", err=True)
        click.echo("  hint: this is a bug of celadon; `celadon --debug ...` shows its trace", err=True)
        return ExitCode.INFRASTRUCTURE


def _say_problems(error: ProblemsError) -> None:
    number = len(error.problems)
    if number > 1:
        click.echo(f"{number} problems", err=True)
    for problem in error.problems:
        click.echo(str(problem), err=True)


def _reader_gone() -> ExitCode:
    """Whoever read our output has left: say nothing more, and let the interpreter's last flush go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.INFRASTRUCTURE
