"""`celadon plan`: everything that can be known before a release, and nothing is changed."""

from pathlib import Path
from typing import Any

import click

from celadon.domain.names import DIGEST
from celadon.domain.problem import Problem, ProblemsError
from celadon.domain.spec import OnDeadline, ServiceSpec
from celadon.doors.cli import bundle, inspect, sources
from celadon.doors.cli.client import Client, DaemonGoneError
from celadon.doors.cli.exits import ExitCode
from celadon.doors.cli.human import several, span
from celadon.doors.cli.lines import BAD, GOOD, PLAIN, QUIET, STRONG, WAIT, Line
from celadon.doors.cli.screen import OUTPUTS, is_plain, say_json, show_lines
from celadon.doors.cli.top import COMMANDS, Where
from celadon.doors.offered import default_path
from celadon.parse.explain import explain
from celadon.parse.golden import read_golden, weak

Json = dict[str, Any]

DIGEST_SHOWN = len("sha256:") + 12


@click.command(help=COMMANDS["plan"][1])
@click.option("-f", "--file", required=True, help="The service file; - reads standard input.")
@click.option(
    "--model", type=click.Path(exists=True, path_type=Path), help="Another model than the file names."
)
@click.option(
    "--output", type=OUTPUTS, default="text", show_default=True, help="What to write on standard output."
)
@click.pass_obj
def plan(where: Where, file: str, model: Path | None, output: str) -> int:
    """Check a file and its sources, load its models, and show the difference to what is live and every default."""
    found = bundle.load(file, model)
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
            "steps": steps(loaded.spec),
            "notes": _notes(loaded),
        }
        for loaded, described, one, difference in zip(
            found.services, looked, hashed, differences, strict=True
        )
    ]
    if output == "json":
        say_json({"file": found.where, "services": plans})
        return ExitCode.REACHED
    for made in plans:
        show_lines(lines(made, options=True), plain=is_plain())
    return ExitCode.REACHED


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
        told = client.post("/v1/plan", sources.body(found, hashed, {}, None))["services"]
    except DaemonGoneError as error:
        return [None] * len(found.services), error.what
    return list(told), None


def _notes(loaded: bundle.Loaded) -> list[str]:
    notes = []
    if loaded.golden is None:
        notes.append(
            "no golden requests: a revision counts as proved once it is ready; `golden` changes that"
        )
    else:
        asked = read_golden(loaded.golden.read_text(), str(loaded.golden), default_path(loaded.spec))
        if names := weak(asked):
            notes.append(f"golden requests that ask for a status alone: {', '.join(names)}")
    return notes


def lines(made: Json, *, options: bool) -> list[Line]:
    """A plan for people. options: every option with its value, or only what changes."""
    name = made["service"] if made["namespace"] == "default" else f"{made['namespace']}/{made['service']}"
    said = [Line(depth=0, spans=((name, STRONG), ("  plan", QUIET)))]
    if made.get("model"):
        for way in ("inputs", "outputs"):
            word = "takes" if way == "inputs" else "gives"
            shown = "; ".join(inspect.fields(made["model"], way))
            said.append(Line(depth=1, spans=((f"{word:<9}", QUIET), (shown, PLAIN))))
    said += difference_lines(made["difference"], made["difference_unknown_because"])
    said += step_lines(made["steps"])
    said += [Line(depth=1, spans=((f"{'note':<9}", QUIET), (note, WAIT))) for note in made["notes"]]
    if options:
        said.append(
            Line(depth=1, spans=(("options, with what is not written in the file marked as default", QUIET),))
        )
        said += [_option(option) for option in made["options"]]
    return said


def steps(spec: ServiceSpec) -> list[str]:
    """The way of a release under this spec, as sentences. The first revision of a service is not watched."""
    policy, watch = spec.release, spec.release.watch
    proof = "its golden requests" if spec.golden else "its readiness alone"
    gate = ["wait for a person: `celadon promote` or `celadon abort`"] if policy.gate else []
    limits = (
        f"at most {watch.error_share_max * 100:g} % errors and {watch.latency_ms_p95_max:g} ms p95"
        f" over {several(watch.requests_min, 'answer')} or more"
    )
    late = "a person decides" if watch.on_deadline is OnDeadline.HOLD else "go back to blue"
    return [
        f"start {several(spec.replicas.wanted, 'replica')} of green beside blue, within {span(policy.start_s)}",
        f"prove green by {proof}",
        *gate,
        "move every request to green",
        f"watch for {span(watch.watch_s)}: {limits}; without a verdict in {span(watch.deadline_s)}, {late}",
        f"keep blue ready for {span(policy.hold_s)}",
    ]


def step_lines(said: list[str]) -> list[Line]:
    """The steps, numbered."""
    return [
        Line(
            depth=1,
            spans=((f"{'steps' if number == 1 else '':<9}", QUIET), (f"{number}. {step}", PLAIN)),
            hang=14,
        )
        for number, step in enumerate(said, start=1)
    ]


def _option(option: Json) -> Line:
    default = "  default" if option["is_default"] else ""
    return Line(
        depth=2,
        spans=((f"{option['path']:<38} ", PLAIN), (_value(option["value"]), STRONG), (default, QUIET)),
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
        return [Line(depth=1, spans=((f"{'change':<9}", QUIET), (f"not known: {unknown}", WAIT)))]
    live, revision = difference["live"] or "nothing", difference["revision"]
    if difference["releases"]:
        what = (f"releases revision {revision} over {live}", GOOD)
    elif difference["changes"]:
        what = (f"revision {revision} is live; its settings change without a release", WAIT)
    else:
        what = (f"nothing: revision {revision} is live with these settings", QUIET)
    said = [Line(depth=1, spans=((f"{'change':<9}", QUIET), what))]
    return said + [_change(change) for change in difference["changes"] if difference["live"]]


def _change(change: Json) -> Line:
    before, after = _value(change["before"]), _value(change["after"])
    return Line(
        depth=2, spans=((f"{change['path']:<38} ", PLAIN), (before, BAD), (" -> ", QUIET), (after, GOOD))
    )
