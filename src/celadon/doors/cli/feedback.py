"""`celadon feedback`: labels and scores from a file or a pipe, as they come."""

import contextlib
import csv
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from celadon.domain.problem import Problem, ProblemsError
from celadon.doors.cli.client import Client, DaemonGoneError, Json
from celadon.doors.cli.exits import ExitCode
from celadon.doors.cli.screen import OUTPUTS, say, say_json
from celadon.doors.cli.steer import canonical, split
from celadon.doors.cli.top import COMMANDS, Where

CHUNK = 512 * 1024
LINE_BYTES_MAX = 1024 * 1024
SAID_MAX = 20
NUMBERS = ("accepted", "waiting", "twice", "unneeded", "refused")
WORDS = {
    "accepted": "taken",
    "waiting": "wait until their request is known",
    "twice": "were there before, and the first stays",
    "unneeded": "not needed, since no release compares by labels or scores now",
    "refused": "wrong",
}
TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@click.command(help=COMMANDS["feedback"][1])
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("-s", "--service", help="The service that gave the answers; the only one when not given.")
@click.option(
    "--output", type=OUTPUTS, default="text", show_default=True, help="What to write on standard output."
)
@click.pass_obj
def feedback(where: Where, file: Path, service: str | None, output: str) -> int:
    """Lines of JSON, a CSV file with a first line of names, or `-` for lines as they come through a pipe."""
    client = Client(where.socket)
    key = _service(client, service)
    told: Counter[str] = Counter()
    problems: list[Json] = []
    for first, lines in _batches(file):
        answer = _post(client, key, lines, first)
        told.update({name: answer[name] for name in NUMBERS})
        problems += [_placed(problem, first) for problem in answer["problems"]]
        told["lines"] += lines.count(b"\n")
    _say(output, key, told, problems)
    return ExitCode.USAGE if told["refused"] else ExitCode.REACHED


def _service(client: Client, given: str | None) -> str:
    if given is not None:
        return canonical(given)
    views = client.get("/v1/services")["services"]
    if len(views) != 1:
        names = ", ".join(sorted(view["service"] for view in views)) or "none yet"
        found = "is not given" if views else "is not given, and there is none"
        raise ProblemsError([Problem(path="--service", found=found, hint=f"services here: {names}")])
    return canonical(f"{views[0]['namespace']}/{views[0]['service']}")


def _post(client: Client, service: str, lines: bytes, first: int) -> Json:
    namespace, name = split(service)
    try:
        return client.post_lines(f"/v1/services/{name}/feedback", lines, namespace=namespace)
    except DaemonGoneError as gone:
        what = f"{gone.what}; everything before line {first} is kept"
        raise DaemonGoneError(what, "post the file again: what is there counts once", retry_s=1.0) from gone


def _batches(file: Path) -> Iterator[tuple[int, bytes]]:
    """Whole lines with the number of their first one; of a pipe, whatever is there."""
    if file.suffix.lower() == ".csv":
        yield from _csv(file)
        return
    try:
        stream: BinaryIO = sys.stdin.buffer if str(file) == "-" else file.open("rb")
    except OSError as error:
        raise ProblemsError([Problem(path=str(file), found=f"can not be read: {error.strerror}")]) from error
    first, rest = 1, b""
    with stream:
        while text := stream.read1(CHUNK):  # type: ignore[attr-defined]
            whole, newline, rest = (rest + text).rpartition(b"\n")
            if newline:
                yield first, whole + newline
                first += whole.count(b"\n") + 1
            elif len(rest) > LINE_BYTES_MAX:
                found = f"is longer than {LINE_BYTES_MAX} bytes"
                raise ProblemsError([Problem(path=f"line {first}", found=found, hint="one object a line")])
    if rest.strip():
        yield first, rest + b"\n"


def _csv(file: Path) -> Iterator[tuple[int, bytes]]:
    """Rows as lines of JSON; what is empty is left out, so that a column need not be filled in every row."""
    try:
        with file.open(newline="") as stream:
            rows = csv.DictReader(stream)
            if "id" not in (rows.fieldnames or ()):
                hint = "id,label or id,wrong or id,score"
                raise ProblemsError(
                    [Problem(path=f"{file}:1", found="names no column `id`", hint=f"begin with {hint}")]
                )
            batch, first = [], 2
            for number, row in enumerate(rows, 2):
                batch.append(json.dumps(_row(row)).encode() + b"\n")
                if len(batch) == CHUNK // 256:
                    yield first, b"".join(batch)
                    batch, first = [], number + 1
            if batch:
                yield first, b"".join(batch)
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise ProblemsError([Problem(path=str(file), found=f"can not be read: {error}")]) from error


def _row(row: dict[str, str]) -> Json:
    entry: Json = {str(name): text for name, text in row.items() if text not in {None, ""}}
    if "wrong" in entry:
        entry["wrong"] = TRUTHS.get(str(entry["wrong"]).lower(), entry["wrong"])
    if "score" in entry:
        with contextlib.suppress(ValueError):  # The daemon says that it is no number, with the line.
            entry["score"] = float(entry["score"])
    return entry


def _placed(problem: Json, first: int) -> Json:
    """A problem with the number of its line in the whole file."""
    word, _, number = problem["path"].partition(" ")
    return {**problem, "path": f"line {first + int(number) - 1}"} if word == "line" else problem


def _say(output: str, service: str, told: Counter[str], problems: list[Json]) -> None:
    for problem in problems[:SAID_MAX]:
        click.echo(f"{problem['path']}: {problem['found']}", err=True)
    if told["refused"] > SAID_MAX:
        click.echo(f"and {told['refused'] - SAID_MAX} more lines are wrong", err=True)
    if output == "json":
        numbers = {name: told[name] for name in (*NUMBERS, "lines")}
        say_json({"service": service, **numbers, "problems": problems})
        return
    parts = [f"{told[name]} {WORDS[name]}" for name in NUMBERS if told[name]]
    say(f"{service}: {', '.join(parts) or 'nothing was told'}")
