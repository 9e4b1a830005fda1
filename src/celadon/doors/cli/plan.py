"""`celadon plan`: everything that can be known before a release, and nothing is changed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from celadon.domain.names import DIGEST
from celadon.domain.problem import Problem, ProblemsError
from celadon.domain.spec import ServiceSpec
from celadon.doors.cli import bundle, inspect, sources
from celadon.doors.cli.ahead import ahead_lines, part_of, rate_of, told
from celadon.doors.cli.client import Client, DaemonGoneError
from celadon.doors.cli.exits import ExitCode
from celadon.doors.cli.lines import BAD, GOOD, PLAIN, QUIET, STRONG, WAIT, Line, entry
from celadon.doors.cli.screen import OUTPUTS, is_plain, say_json, show_lines
from celadon.doors.cli.steps import in_place, step_lines, steps
from celadon.doors.cli.top import COMMANDS, Where
from celadon.judge.exposure import impossible
from celadon.parse.explain import explain
from celadon.parse.golden import weak

Json = dict[str, Any]

LATER = "this first revision goes live at once; what follows is for the releases after it"
DIGEST_SHOWN = len("sha256:") + 12


@click.command(help=COMMANDS["plan"][1])
@click.option("-f", "--file", required=True, help="The service file; - reads standard input.")
@click.option(
    "--model", type=click.Path(exists=True, path_type=Path), help="Another model than the file names."
)
@click.option("--rate", help="Requests per second: says how soon harm would be seen and green be promoted.")
@click.option("--errors", help="Blue's share of errors, as 0.1%, where --rate is given. [default: 1%]")
@click.option(
    "--output", type=OUTPUTS, default="text", show_default=True, help="What to write on standard output."
)
@click.pass_obj
def plan(
    where: Where, *, file: str, model: Path | None, rate: str | None, errors: str | None, output: str
) -> int:
    """Check a file and its sources, load its models, and show the difference to what is live and every default."""
    rate_per_s = None if rate is None else rate_of(rate)
    base = None if errors is None else part_of(errors)
    found = bundle.load(file, model)
    refuse_impossible(found)
    looked = _look(found)
    hashed = sources.resolve(found)
    differences, unknown = _differences(Client(where.socket), found, hashed)
    plans = [
        {
            "service": loaded.spec.service.name,
            "namespace": loaded.spec.service.namespace,
            "model": described,
            "sources": dict(one.digests),
            "difference": difference,
            "difference_unknown_because": unknown,
            "options": [{"path": p, "value": v, "is_default": d} for p, v, d in explain(loaded.spec)],
            "steps": steps_of(loaded.spec, difference),
            "ahead": told(loaded.spec, rate_per_s, base),
            "notes": _notes(loaded),
        }
        for loaded, described, one, difference in zip(
            found.services, looked, hashed, differences, strict=True
        )
    ]
    if output == "json":
        say_json({"file": found.where, "services": plans})
        return ExitCode.REACHED
    for made, loaded, difference in zip(plans, found.services, differences, strict=True):
        ahead = later(ahead_lines(loaded.spec, rate_per_s, base), difference)
        show_lines(lines(made, ahead), plain=is_plain())
    return ExitCode.REACHED


def refuse_impossible(found: bundle.Bundle) -> None:
    """Budgets that no share can keep. Raises ProblemsError with those of all services."""
    problems = [
        replace(problem, path=f"{found.where}#{number}/{problem.path}")
        for number, loaded in enumerate(found.services, start=1)
        if (problem := impossible(loaded.spec.release)) is not None
    ]
    if problems:
        raise ProblemsError(problems)


def is_first(difference: Json | None) -> bool:
    """Whether it is known that nothing is live, so that there is nothing to share requests with."""
    return difference is not None and not difference["live"]


def steps_of(spec: ServiceSpec, difference: Json | None) -> list[str]:
    """What a deploy does, step by step; of a service of which nothing is known it is what a release does."""
    if difference is None or difference["releases"]:
        return steps(spec, first=is_first(difference))
    return in_place(spec, difference) if difference["changes"] else []


def later(ahead: list[Line], difference: Json | None) -> list[Line]:
    """What is told of the time ahead; with a first revision it is the time of the next one."""
    return [entry("later", (LATER, QUIET)), *ahead] if ahead and is_first(difference) else ahead


def _look(found: bundle.Bundle) -> list[Json | None]:
    """What each model takes and gives. Raises ProblemsError with all problems of all models."""
    problems: list[Problem] = []
    looked: list[Json | None] = []
    for number, loaded in enumerate(found.services, start=1):
        described = None
        if loaded.model is not None:
            version = loaded.spec.serving.version
            path = f"{found.where}#{number}/spec/model"
            try:
                described = inspect.inspect(
                    loaded.model, path, name=loaded.spec.service.name, version=version
                )
            except ProblemsError as error:
                problems += error.problems
        looked.append(described)
    if problems:
        raise ProblemsError(problems)
    return looked


def _differences(
    client: Client, found: bundle.Bundle, hashed: tuple[sources.Sources, ...]
) -> tuple[list[Json | None], str | None]:
    """What deploying would change; without a daemon that is not known, and the rest of the plan still is.

    Sources are sent for it: content by digest changes nothing, and golden requests are checked where they will be.
    """
    try:
        sources.upload(client, hashed, lambda text: click.echo(text, err=True))
        differences = client.post("/v1/plan", sources.body(found, hashed, {}, None))["services"]
    except DaemonGoneError as error:
        return [None] * len(found.services), error.what
    return list(differences), None


def _notes(loaded: bundle.Loaded) -> list[str]:
    notes = []
    if loaded.golden is None:
        notes.append(
            "no golden requests: a revision counts as proved once it is ready; `golden` changes that"
        )
    elif names := weak(bundle.golden_of(loaded)):
        notes.append(f"golden requests that ask for a status alone: {', '.join(map(repr, names))}")
    return notes


def lines(made: Json, ahead: list[Line]) -> list[Line]:
    """A plan for people, with every option and its value. ahead: what is to be expected of it."""
    name = made["service"] if made["namespace"] == "default" else f"{made['namespace']}/{made['service']}"
    said = [Line(depth=0, spans=((name, STRONG), ("  plan", QUIET)))]
    if made.get("model"):
        for way in ("inputs", "outputs"):
            word = "takes" if way == "inputs" else "gives"
            said.append(entry(word, ("; ".join(inspect.fields(made["model"], way)), PLAIN)))
    said += difference_lines(made["difference"], made["difference_unknown_because"])
    said += [*step_lines(made["steps"]), *ahead]
    said += [entry("note", (note, WAIT)) for note in made["notes"]]
    said.append(Line(depth=1, spans=(("options; a default is what holds where nothing is written", QUIET),)))
    return said + [_option(option) for option in made["options"]]


def _option(option: Json) -> Line:
    default = "  default" if option["is_default"] else ""
    return Line(
        depth=2,
        spans=((f"{option['path']:<41} ", PLAIN), (_value(option["value"]), STRONG), (default, QUIET)),
    )


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, float):
        return f"{value:g}"
    return value[:DIGEST_SHOWN] if isinstance(value, str) and DIGEST.fullmatch(value) else str(value)


def difference_lines(difference: Json | None, unknown: str | None) -> list[Line]:
    """What deploying would do, first in one sentence, then change by change."""
    if difference is None:
        return [entry("change", (f"not known: {unknown}", WAIT))]
    live, revision = difference["live"] or "nothing", difference["revision"]
    if difference["releases"]:
        what = (f"releases revision {revision} over {live}", GOOD)
    elif difference["changes"]:
        what = (f"revision {revision} is live; its settings change without a release", WAIT)
    else:
        what = (f"nothing: revision {revision} is live with these settings", QUIET)
    said = [entry("change", what)]
    return said + [_change(change) for change in difference["changes"] if difference["live"]]


def _change(change: Json) -> Line:
    before, after = _value(change["before"]), _value(change["after"])
    return Line(
        depth=2, spans=((f"{change['path']:<41} ", PLAIN), (before, BAD), (" -> ", QUIET), (after, GOOD))
    )
