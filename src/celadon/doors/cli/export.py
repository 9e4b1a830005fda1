"""`celadon export`: the way out."""

from pathlib import Path

import click

from celadon.domain.problem import LastingFault, Problem, ProblemsError
from celadon.doors.cli.client import Client
from celadon.doors.cli.exits import ExitCode
from celadon.doors.cli.screen import OUTPUTS, say, say_json
from celadon.doors.cli.steer import split
from celadon.doors.cli.top import COMMANDS, Where


@click.command(help=COMMANDS["export"][1])
@click.argument("service")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@click.option(
    "--output", type=OUTPUTS, default="text", show_default=True, help="What to write on standard output."
)
@click.pass_obj
def export(where: Where, service: str, folder: Path | None, output: str, *, force: bool) -> int:
    """Write a static Envoy file and a script into DIR [SERVICE-export]."""
    namespace, bare = split(service)
    files = Client(where.socket).get(f"/v1/services/{bare}/export", namespace=namespace)["files"]
    target = folder or Path(f"{bare}-export")
    there = [target / name for name in files if (target / name).exists()]
    if there and not force:
        hint = "--force overwrites it; another DIR keeps it"
        raise ProblemsError(Problem(path=str(path), found="is there already", hint=hint) for path in there)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (target / Path(name).name).write_text(text, encoding="utf-8")
        (target / "run.sh").chmod(0o755)
    except OSError as error:
        raise LastingFault(f"{target} can not be written: {error.strerror}") from error
    written = [str(target / name) for name in files]
    if output == "json":
        say_json({"service": service, "written": written})
    else:
        say(f"wrote {', '.join(written)}")
    return ExitCode.REACHED
