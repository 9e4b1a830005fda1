"""Where clients reach a service and who answers them, as lines. Pure: from the API's JSON to text."""

from collections.abc import Iterator
from typing import Any

from celadon.doors.cli.human import share
from celadon.doors.cli.lines import BAD, PLAIN, QUIET, WAIT, Line, Span, entry

Json = dict[str, Any]


def route_lines(route: Json | None) -> Iterator[Line]:
    """The address, and what the proxy itself shows to be in force there, never what was wished."""
    if route is None:
        return
    preview = f"  preview http://127.0.0.1:{route['preview_port']}{route['prefix']}"
    yield entry("route", (address(route), PLAIN), (preview, QUIET))
    changing = [("  (a change is under way)", WAIT)] if route["pending"] else []
    if route["unknown_because"]:
        yield entry("traffic", (f"not known: {route['unknown_because']}", BAD), *changing)
    elif not route["groups"]:
        none = "not confirmed yet" if route["pending"] else "nothing is routed"
        yield entry("traffic", (none, WAIT if route["pending"] else QUIET), *changing)
    for title, group in zip(("traffic", "", "", ""), route["groups"] or (), strict=False):
        yield entry(title, *_group(group), *changing)
    if route["refused"]:
        yield entry("refused", (route["refused"], BAD))
    for note in route["notes"]:
        yield entry("note", (note, WAIT))


def address(route: Json) -> str:
    """Where clients send requests to."""
    names = "" if route["hostnames"] == ["*"] else f" for {', '.join(route['hostnames'])}"
    return f"http://{route['host']}:{route['port']}{route['prefix']}{names}"


def _group(group: Json) -> tuple[Span, ...]:
    """One route: of which requests, who answers them, who gets copies, and whether callers stay on their side."""
    of = f" of those with {' and '.join(map(_condition, group['match']))}" if group["match"] else ""
    shares = ", ".join(map(_share, group["shares"]))
    copies = "".join(f"  copies of {share(m['share_percent'])} to {m['revision']}" for m in group["mirrors"])
    frozen = [("  (frozen)", WAIT)] if group["frozen"] else []
    return ((f"{shares}{of}", PLAIN), (f"{copies}{_stays(group['sticky'])}", QUIET), *frozen)


def _share(part: Json) -> str:
    arm = " (control)" if part["arm"] == "control" else ""
    return f"{share(part['share_percent'])} to {part['revision']}{arm}"


def _condition(condition: Json) -> str:
    values = " or ".join(condition["values"])
    return f"{condition['where']} {condition['name']}" + (f" {values}" if values else "")


def _stays(sticky: Json | None) -> str:
    if sticky is None:
        return ""
    where, name = next(iter(sticky.items()))
    return f"  sticky by {where} {name}"
