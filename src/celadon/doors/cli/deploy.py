"""`celadon deploy`: release what a file says, and follow every release to its end."""

from pathlib import Path
from typing import Any

import click

from celadon.domain.problem import Problem, ProblemsError
from celadon.doors.cli import bundle, follow, sources
from celadon.doors.cli.ahead import ahead_lines
from celadon.doors.cli.client import Client
from celadon.doors.cli.exits import ExitCode, of_all
from celadon.doors.cli.lines import STRONG, Line
from celadon.doors.cli.plan import difference_lines, later, steps_of
from celadon.doors.cli.screen import OUTPUTS, is_plain, room, say_json, show_lines
from celadon.doors.cli.steps import step_lines
from celadon.doors.cli.top import COMMANDS, Where
from celadon.doors.cli.tree import name

Json = dict[str, Any]


@click.command(help=COMMANDS["deploy"][1])
@click.option("-f", "--file", required=True, help="The service file; - reads standard input.")
@click.option(
    "--model", type=click.Path(exists=True, path_type=Path), help="Another model than the file names."
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="KEY=VALUE",
    help="Said wherever the release is shown; repeatable.",
)
@click.option(
    "--expect-blue", metavar="REVISION", help="Refuse when another revision is live; `none` for the first."
)
@click.option("--detach", is_flag=True, help="Return as soon as the release is accepted.")
@click.option("--plain", is_flag=True, help="Append lines instead of redrawing.")
@click.option(
    "--output", type=OUTPUTS, default="text", show_default=True, help="What to write on standard output."
)
@click.pass_obj
def deploy(
    where: Where,
    *,
    file: str,
    model: Path | None,
    labels: tuple[str, ...],
    expect_blue: str | None,
    output: str,
    detach: bool,
    plain: bool,
) -> int:
    """Release every service of a file and follow them all; Ctrl-C leaves and never aborts."""
    pairs = _labels(labels)
    found = bundle.load(file, model)
    hashed = sources.resolve(found)
    client = Client(where.socket)
    to_error = output == "json"

    def say(text: str) -> None:
        click.echo(text, err=to_error)

    sources.upload(client, hashed, say)
    asked = sources.body(found, hashed, pairs, expect_blue)
    if not to_error:
        _show_plan(client, found, asked, plain=is_plain(asked=plain))
    accepted = client.post("/v1/deploy", asked)["services"]
    targets = [
        follow.Target(name=name(one), release=one["release"], after=one["seq"])
        for one in accepted
        if one["release"]
    ]
    for one in accepted:
        say(_accepted(one))
    stood: dict[str, follow.Stood] = {}
    left = detach
    if targets and not detach:
        follower = follow.Follower(client=client, targets=targets, say=say)
        try:
            stood = follower.follow(plain=is_plain(asked=plain or to_error))
        except KeyboardInterrupt:
            left = True
            click.echo(follow.detached(targets), err=True)
    return _end(accepted, stood, output, code=_code(stood, targets, detach=detach, left=left))


def _code(
    stood: dict[str, follow.Stood], targets: list[follow.Target], *, detach: bool, left: bool
) -> ExitCode:
    """Whoever asked to be detached has got what they asked for; whoever left early does not know the end."""
    if detach or not targets:
        return ExitCode.REACHED
    return ExitCode.PERSON if left else of_all([one.code for one in stood.values()])


def _labels(given: tuple[str, ...]) -> dict[str, str]:
    wrong = [text for text in given if not text.partition("=")[0] or "=" not in text]
    if wrong:
        raise ProblemsError(
            Problem(path="--label", found=f"`{text}` is not KEY=VALUE", hint="--label commit=1a2b3c")
            for text in wrong
        )
    return {key: value for key, _, value in (text.partition("=") for text in given)}


def _show_plan(client: Client, found: bundle.Bundle, asked: Json, *, plain: bool) -> None:
    """What will change, and the steps of the release where one is needed."""
    differences = client.post("/v1/plan", asked)["services"]
    for loaded, difference in zip(found.services, differences, strict=True):
        ahead = step_lines(steps_of(loaded.spec, difference))
        if difference["releases"] and loaded.spec.release.exposure is not None:
            ahead += later(ahead_lines(loaded.spec, None, None), difference)
        show_lines(
            [Line(depth=0, spans=((name(difference), STRONG),)), *difference_lines(difference, None), *ahead],
            plain=plain,
        )


def _accepted(one: Json) -> str:
    if one["release"] and not one["changed"]:
        return f"{one['release']} releases revision {one['revision']} already; nothing new is begun"
    if one["release"]:
        return f"{one['release']} accepted: revision {one['revision']}"
    word = "its settings change without a release" if one["changed"] else "nothing to do"
    return f"{name(one)}: revision {one['revision']} is live; {word}"


def _end(accepted: list[Json], stood: dict[str, follow.Stood], output: str, *, code: ExitCode) -> ExitCode:
    if output != "json":
        for one in stood.values():
            click.echo(follow.verdict_line(one, room(plain=is_plain())))
        return code
    services = []
    for told in accepted:
        ended = stood.get(told["release"] or "")
        services.append(
            {
                **{key: told[key] for key in ("service", "namespace", "revision", "changed")},
                "release_id": told["release"],
                "release": ended.release if ended else None,
                "exit_code": int(ended.code) if ended else None,
            }
        )
    say_json({"services": services, "exit_code": int(code)})
    return code
