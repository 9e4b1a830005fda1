"""`celadon drill`: rehearse a failure on a running service, and see what it costs callers."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import click

from celadon.domain.problem import LastingFault, ProblemsError
from celadon.doors.cli import lines
from celadon.doors.cli.client import Client
from celadon.doors.cli.exits import ExitCode
from celadon.doors.cli.feed import Feed
from celadon.doors.cli.human import ago, seconds, span
from celadon.doors.cli.screen import OUTPUTS, clock, is_plain, say, say_json, show_table
from celadon.doors.cli.steer import canonical, split
from celadon.doors.cli.top import COMMANDS, Where
from celadon.doors.cli.tree import first_line, of_drill
from celadon.doors.offered import drill_kinds
from celadon.resilience.shown import VERDICTS

Json = dict[str, Any]

CODES = {"pass": ExitCode.REACHED, "fail": ExitCode.ROLLED_BACK, "inconclusive": ExitCode.PERSON}
STYLES = {"pass": lines.GOOD, "fail": lines.BAD, "inconclusive": lines.WAIT}

OPTIONS = {"before_s": "--before", "lasts_s": "--seconds", "rto_s": "--rto", "rate": "--rate", "kind": "KIND"}
"""How people give what the API calls so."""

output_option = click.option(
    "--output", type=OUTPUTS, default="text", show_default=True, help="What to write on standard output."
)


@click.group(help=COMMANDS["drill"][1])
def drill() -> None:
    """Run a drill, list what can be rehearsed, show how drills ended, or end one."""


@drill.command("run")
@click.argument("kind")
@click.argument("service")
@click.option("--before", help="How long callers are watched first, up to 10m [5s].")
@click.option(
    "--seconds",
    "lasts",
    help="How long the failure may be there at most, up to 1h [by kind, see docs/drills.md].",
)
@click.option(
    "--rto", help="Within how long callers must be served as before [1s, and what it takes to notice a hang]."
)
@click.option("--rate", type=float, help="Requests of its own per second [25].")
@click.option("--insist", is_flag=True, help="Although a release moves, or too few would be left.")
@click.option("--detach", is_flag=True, help="Do not follow the drill.")
@output_option
@click.pass_obj
def run(
    where: Where,
    kind: str,
    service: str,
    output: str,
    *,
    before: str | None,
    lasts: str | None,
    rto: str | None,
    rate: float | None,
    insist: bool,
    detach: bool,
) -> int:
    """Make something fail under requests of its own, undo it, and say what callers noticed."""
    client, service = Client(where.socket), canonical(service)
    given = {"before_s": before, "lasts_s": lasts, "rto_s": rto}
    body: Json = {"kind": kind, "insist": insist, "rate": rate}
    body |= {name: seconds(text, OPTIONS[name]) for name, text in given.items() if text is not None}
    namespace, bare = split(service)
    with _as_options():
        asked = client.post(f"/v1/services/{bare}/drills?namespace={namespace}", body)
    if detach:
        return _said(output, {**asked, "service": service}, f"drill {asked['drill']} of {service} begins")
    try:
        ended = _follow(client, service, asked, to_error=output == "json")
    except KeyboardInterrupt:
        click.echo(
            f"drill {asked['drill']} goes on by itself and is undone; `celadon drill end {service}`", err=True
        )
        return ExitCode.PERSON
    if ended is None:
        return ExitCode.REFUSED
    code = CODES[ended["verdict"]]
    return _said(output, {"service": service, **ended, "exit_code": code}, "\n".join(_told(ended)), code)


@contextmanager
def _as_options() -> Iterator[None]:
    """What is wrong is said of the options that people gave."""
    try:
        yield
    except ProblemsError as error:
        problems = [replace(one, path=OPTIONS.get(one.path, one.path)) for one in error.problems]
        raise ProblemsError(problems, refused=error.refused) from error


def _follow(client: Client, service: str, asked: Json, *, to_error: bool) -> Json | None:
    """How the drill ended, with what was decided on the way said; None when it was refused after all.

    What it ended with is not said here: the report begins with it.
    """
    number = asked["drill"]
    for news in Feed(client=client, names=[service], after={service: asked["seq"]}).news():
        for decision in news.decisions:
            if decision["drill"] != number and asked["asked_seq"] not in decision["handled"]:
                continue
            if of_drill(decision) is None or decision["reason"]["code"] in VERDICTS:
                continue
            click.echo(f"{clock()} {first_line(decision['reason']['text'])}", err=to_error)
            if decision["reason"]["code"] == "drill_refused":
                return None
        for view in news.views:
            last = view["last_drill"]
            if news.lost_s is None and last is not None and last["drill"] == number:
                return dict(last)
    raise LastingFault("the daemon ended before the drill did", "`celadon up` goes on with it and undoes it")


def _told(of: Json) -> list[str]:
    """The report in plain words."""
    if of["struck_at"] is None:
        return [f"{of['verdict']}: {first_line(of['reason']['text'])}", "  nothing was done to the service"]
    seen = of["measured"]
    rto = "not reached" if seen["rto_s"] is None else f"{seen['rto_s']:.2f} s"
    told = [
        f"{of['verdict']}: {first_line(of['reason']['text'])}",
        f"  requests     {seen['requests']} since the failure, {of['rate']:g} a second; {seen['failed']} failed",
        f"  longest gap  {seen['gap_ms']:.0f} ms between two right answers; the slowest took {seen['slowest_ms']:.0f} ms",
        f"  RTO          {rto}, goal {of['rto_goal_s']:g} s",
    ]
    if seen["acknowledged"] is not None:
        told.append(f"  RPO          {seen['lost']} of {seen['acknowledged']} confirmed commands lost")
    if seen["back_s"] is not None:
        told.append(f"  daemon       decided again after {seen['back_s']:.2f} s")
    if seen["refused_writes"] is not None:
        told.append(f"  journal      {seen['refused_writes']} writes found no space, and nothing was decided")
    told.append("  undone       yes" if of["undone"] else "  undone       NO")
    return told


@drill.command("list")
@output_option
def list_kinds(output: str) -> int:
    """What can be rehearsed."""
    kinds = drill_kinds()
    if output == "json":
        say_json({"kinds": kinds})
        return ExitCode.REACHED
    rows = [
        (
            (kind["kind"], lines.STRONG),
            ("all services" if kind["reaches_all_services"] else "the service", lines.QUIET),
            (kind["says"], lines.PLAIN),
        )
        for kind in kinds
    ]
    show_table(("KIND", "REACHES", "WHAT FAILS"), rows, plain=is_plain())
    return ExitCode.REACHED


@drill.command("history")
@click.argument("service")
@output_option
@click.pass_obj
def history(where: Where, service: str, output: str) -> int:
    """The drills of a service, newest first (as JSON oldest first), each with its verdict and its figures."""
    namespace, bare = split(service)
    told = Client(where.socket).get(f"/v1/services/{bare}/drills", namespace=namespace)
    if output == "json":
        say_json({"service": service, **told})
        return ExitCode.REACHED
    now = time.time()
    titles = ("DRILL", "KIND", "VERDICT", "BEGAN", "TOOK", "FAILED", "GAP", "RTO", "WHY")
    rows = [_row(one, now) for one in reversed(told["drills"])]
    if told["drill"] is not None:
        rows.insert(0, _running(told["drill"], now))
    if rows:
        show_table(titles, rows, plain=is_plain())
    else:
        say(f"no drill of {service} yet")
    return ExitCode.REACHED


def _running(of: Json, now: float) -> tuple[lines.Span, ...]:
    """The drill under way, of which nothing is known for sure yet."""
    return (
        (str(of["drill"]), lines.STRONG),
        (of["kind"], lines.PLAIN),
        ("running", lines.WAIT),
        (ago(of["began_at"], now), lines.QUIET),
        (span(now - of["began_at"]), lines.QUIET),
        *[("-", lines.PLAIN)] * 3,
        (f"it is {of['phase']}", lines.PLAIN),
    )


def _row(of: Json, now: float) -> tuple[lines.Span, ...]:
    """What the figures do not say is said; of a drill that passed they say all."""
    seen = of["measured"]
    measured = seen["requests"] > 0
    rto = "-" if seen["rto_s"] is None or not measured else f"{seen['rto_s']:.2f}\u00a0s"
    return (
        (str(of["drill"]), lines.STRONG),
        (of["kind"], lines.PLAIN),
        (of["verdict"], STYLES[of["verdict"]]),
        (ago(of["began_at"], now), lines.QUIET),
        (span(of["ended_at"] - of["began_at"]), lines.QUIET),
        (f"{seen['failed']} of {seen['requests']}" if measured else "-", lines.PLAIN),
        (f"{seen['gap_ms']:.0f} ms" if measured else "-", lines.PLAIN),
        (rto, lines.PLAIN),
        ("" if of["verdict"] == "pass" else first_line(of["reason"]["text"]), lines.PLAIN),
    )


@drill.command("end")
@click.argument("service")
@output_option
@click.pass_obj
def end(where: Where, service: str, output: str) -> int:
    """End a drill before its time; what it did is undone first."""
    namespace, bare = split(service)
    asked = Client(where.socket).post(f"/v1/services/{bare}/drills/end?namespace={namespace}")
    return _said(
        output, {**asked, "service": service}, f"drill {asked['drill']} is being undone, then it ends"
    )


def _said(output: str, value: Json, text: str, code: ExitCode = ExitCode.REACHED) -> ExitCode:
    if output == "json":
        say_json(value)
    else:
        say(text)
    return code
