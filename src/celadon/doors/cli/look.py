"""Commands that only look: status, watch, history, why."""

import time
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import click

from celadon.doors.cli import evidence, lines, tree
from celadon.doors.cli.client import Client
from celadon.doors.cli.exits import ExitCode
from celadon.doors.cli.feed import Feed, News
from celadon.doors.cli.human import ago, several, span
from celadon.doors.cli.screen import (
    OUTPUTS,
    clock,
    is_plain,
    live,
    room,
    say,
    say_json,
    show_lines,
    show_table,
)
from celadon.doors.cli.steer import canonical, split
from celadon.doors.cli.top import COMMANDS, Where

Json = dict[str, Any]

output_option = click.option(
    "--output", type=OUTPUTS, default="text", show_default=True, help="What to write on standard output."
)


@click.command(help=COMMANDS["status"][1])
@click.argument("service", required=False)
@output_option
@click.pass_obj
def status(where: Where, service: str | None, output: str) -> int:
    """All services as a table, or one with its revisions and replicas."""
    client = Client(where.socket)
    if service is None:
        views = client.get("/v1/services")["services"]
    else:
        namespace, bare = split(service)
        views = [client.get(f"/v1/services/{bare}", namespace=namespace)]
    proxies = client.get("/v1/health").get("proxies", {})
    if output == "json":
        say_json({"services": views, "proxies": proxies})
        return ExitCode.REACHED
    if proxies and proxies != {"wanted": 1, "running": 1}:
        say(f"{proxies['running']} of {several(proxies['wanted'], 'Envoy')} run")
    if service is not None:
        show_lines(tree.service(views[0], time.time(), room(plain=is_plain())), plain=is_plain())
    elif views:
        show_table(tree.ROW_TITLES, [tree.row(view, time.time()) for view in views], plain=is_plain())
    else:
        say(
            "no services yet; `celadon init MODEL` writes a first service file, `celadon deploy -f FILE` releases it"
        )
    return ExitCode.REACHED


@click.command(help=COMMANDS["watch"][1])
@click.argument("services", nargs=-1)
@click.option("--plain", is_flag=True, help="Append lines instead of redrawing.")
@click.pass_obj
def watch(where: Where, services: tuple[str, ...], *, plain: bool) -> int:
    """Show services until Ctrl-C or until the daemon ends."""
    feed = Feed(client=Client(where.socket), names=[canonical(service) for service in services], ends=True)
    try:
        if is_plain(asked=plain):
            _append(feed)
        else:
            _redraw(feed)
    except KeyboardInterrupt:
        return ExitCode.REACHED
    click.echo("the daemon has ended; traffic lives on", err=True)
    return ExitCode.REACHED


def _append(feed: Feed) -> None:
    """The tree once, then a line for every decision."""
    shown = False
    lost = False
    for news in feed.news():
        if news.lost_s is not None and not lost:
            say(f"{clock()} the daemon does not answer; trying again")
        lost = news.lost_s is not None
        if not shown:
            show_lines([line for view in news.views for line in tree.service(view, time.time())], plain=True)
            shown = True
        for decision in news.decisions:
            say(f"{clock()} {tree.event(decision)}")


def _redraw(feed: Feed) -> None:
    latest = [News()]

    def draw() -> list[lines.Line]:
        news = latest[0]
        told = [line for view in news.views for line in tree.service(view, time.time(), room(plain=False))]
        if news.lost_s is not None:
            lost = f"the daemon has not answered for {span(news.lost_s)}; this is what it said last"
            told.append(lines.Line(depth=0, spans=((lost, lines.BAD),)))
        return told or [lines.Line(depth=0, spans=(("no services yet", lines.QUIET),))]

    with live(draw):
        for news in feed.news():
            latest[0] = news


@click.command(help=COMMANDS["history"][1])
@click.argument("service")
@output_option
@click.pass_obj
def history(where: Where, service: str, output: str) -> int:
    """The releases of a service, newest first (as JSON oldest first), each with its outcome and its reason."""
    namespace, bare = split(service)
    releases = Client(where.socket).get(f"/v1/services/{bare}/releases", namespace=namespace)["releases"]
    if output == "json":
        say_json({"service": service, "releases": releases})
        return ExitCode.REACHED
    now = time.time()
    titles = ("RELEASE", "REVISION", "BLUE", "OUTCOME", "BEGAN", "TOOK", "WHY")
    show_table(titles, [_history_row(release, now) for release in reversed(releases)], plain=is_plain())
    return ExitCode.REACHED


def _history_row(release: Json, now: float) -> tuple[lines.Span, ...]:
    outcome = release["outcome"] if release["ended_at"] else release["phase"]
    took = span((release["ended_at"] or now) - release["began_at"])
    way = "back to " if release["way_back"] else ""
    return (
        (release["release"], lines.STRONG),
        (f"{way}{release['green']}", lines.PLAIN),
        (release["blue"] or "-", lines.QUIET),
        (tree.words(outcome), tree.OUTCOME_STYLES.get(outcome, lines.WAIT)),
        (ago(release["began_at"], now), lines.QUIET),
        (took, lines.QUIET),
        (tree.first_line(release["reason"]["text"]), lines.PLAIN),
    )


@click.command(help=COMMANDS["why"][1])
@click.argument("release")
@output_option
@click.pass_obj
def why(where: Where, release: str, output: str) -> int:
    """Every decision of a release, in order, with the reason and the evidence it was taken on."""
    told = Client(where.socket).get(f"/v1/releases/{release}")
    if output == "json":
        say_json(told)
        return ExitCode.REACHED
    show_lines(_why_lines(told, room(plain=is_plain())), plain=is_plain())
    return ExitCode.REACHED


def _why_lines(told: Json, width: int | None) -> list[lines.Line]:
    release = told["release"]
    began_at = release["began_at"] if release else told["decisions"][0]["at"]
    head = [_why_head(release)] if release else []
    sides = {release["green"], release["blue"]} if release else None
    each = [
        line
        for decision, alike in _runs(told["decisions"])
        for line in (*_decision_lines(decision, began_at, sides), *_alike(alike))
    ]
    return [*head, *each, *_why_judged(told, width)]


def _why_judged(told: Json, width: int | None) -> list[lines.Line]:
    """What each metric says, or said when the release ended."""
    judged = told["judged"] or told["release"] or {"findings": [], "levels": None}
    rows = evidence.lines(judged["findings"], judged["levels"], width and width - 2)
    if rows:
        rows = [((evidence.legend(judged["levels"]), lines.QUIET),), *rows]
    return [lines.Line(depth=1, spans=row, hang=4) for row in rows]


def _why_head(release: Json) -> lines.Line:
    ended = tree.words(release["outcome"] if release["ended_at"] else release["phase"])
    style = tree.OUTCOME_STYLES.get(release["outcome"] or "", lines.WAIT)
    head = f"  {release['green']} over {release['blue'] or 'nothing'}  "
    return lines.Line(
        depth=0,
        spans=(
            (release["release"], lines.STRONG),
            (head, lines.PLAIN),
            (ended, style),
            (_exposed(release), lines.QUIET),
        ),
    )


def _exposed(release: Json) -> str:
    """What the release has cost callers, where the owner has stated a budget for it."""
    if release["bad_answers_max"] is None:
        return ""
    return f"  {several(release['bad_answers'], 'bad answer')} of at most {release['bad_answers_max']}"


def _runs(decisions: list[Json]) -> Iterator[tuple[Json, int]]:
    """Decisions, and how many after each say the same and are left out; of a run the first and the last are shown."""
    for (code, _, _), same in groupby(decisions, key=_says):
        run = list(same)
        if code == "checkpoint" and len(run) > 2:
            yield run[0], len(run) - 2
            run = run[-1:]
        yield from ((decision, 0) for decision in run)


def _says(decision: Json) -> tuple[str, str | None, str]:
    return decision["reason"]["code"], decision["phase"], decision["reason"]["text"]


def _alike(left_out: int) -> list[lines.Line]:
    if not left_out:
        return []
    text = f"({left_out} more like it; `--output json` has all)"
    return [lines.Line(depth=4, spans=((text, lines.QUIET),))]


def _decision_lines(decision: Json, began_at: float, sides: set[str] | None) -> list[lines.Line]:
    """sides: the revisions whose answers are evidence; others that are still kept have none."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(decision["at"]))
    since = f"+{max(0.0, decision['at'] - began_at):.1f} s"
    phase = tree.words(decision["phase"]) if decision["phase"] else ""
    first, *rest = tree.reason_lines(decision)
    spans = (
        (f"{at}  {since:>9}  ", lines.QUIET),
        (f"{phase:<13}", lines.PLAIN),
        (first, lines.PLAIN),
    )
    told = [lines.Line(depth=1, spans=spans)]
    told += [lines.Line(depth=4, spans=((line, lines.QUIET),)) for line in rest]
    for counts in decision["evidence"] or ():
        if sides and counts["revision"] not in sides:
            continue
        seen = f"evidence: {counts['revision']} {counts['requests']} answers, {counts['errors']} errors{_p95(counts)}"
        told.append(lines.Line(depth=4, spans=((seen, lines.QUIET),)))
    return told


def _p95(counts: Json) -> str:
    """The upper bound of the histogram's step that holds the 95th percentile: as exact as what was kept."""
    steps = counts["latency_ms"]
    total = steps[-1][1] if steps else 0
    if not total:
        return ""
    return f", p95 up to {next(bound for bound, seen in steps if seen >= 0.95 * total):g} ms"
