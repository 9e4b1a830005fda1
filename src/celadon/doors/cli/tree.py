"""A service as a block of lines and a tree under it: service, revision, replica. Pure: from the API's JSON to text.

Colours repeat what the words say and never carry anything alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from celadon.doors.cli.human import ago, several, share, span

Json = dict[str, Any]

Span = tuple[str, str]
"""Some text and its style: good, bad, wait, quiet, strong or empty."""

WRAPPED = 8
"""How far in the rest of a long line is set where nothing better is known."""

GOOD, BAD, WAIT, QUIET, STRONG, PLAIN = "good", "bad", "wait", "quiet", "strong", ""

STATE_STYLES = {"ready": GOOD, "starting": WAIT, "unready": BAD, "stopping": QUIET, "exited": BAD}
OUTCOME_STYLES = {"promoted": GOOD, "rolled_back": BAD, "reported": WAIT, "superseded": QUIET}
ROLE_STYLES = {"green": GOOD, "blue": STRONG, "live": STRONG, "kept": QUIET, "leaving": QUIET}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line. depth: 0 for the service, 1 for what is said of it, 2 for revisions, 3 for replicas.

    hang: how far in a terminal sets what does not fit on the line.
    """

    depth: int
    spans: tuple[Span, ...]
    hang: int = WRAPPED

    @property
    def text(self) -> str:
        """The line without its colours."""
        return "  " * self.depth + "".join(text for text, _ in self.spans)


def words(value: str) -> str:
    """`rolled_back` as people write it."""
    return value.replace("_", " ")


def service(view: Json, now: float) -> list[Line]:
    """Everything about one service."""
    return [_head(view), *_block(view, now), *_revisions(view, now)]


def name(view: Json) -> str:
    """The service as it is called on the command line."""
    return str(
        view["service"] if view["namespace"] == "default" else f"{view['namespace']}/{view['service']}"
    )


def _head(view: Json) -> Line:
    style = {"live": GOOD, "releasing": WAIT, "removing": WAIT}.get(view["state"], QUIET)
    return Line(depth=0, spans=((name(view), STRONG), ("  ", PLAIN), (view["state"], style)))


def _block(view: Json, now: float) -> Iterator[Line]:
    release = view["release"]
    if release is not None:
        yield _field("release", *_position(release, now))
    for waiting in view["waiting_releases"]:
        if release is None or waiting != release["release"]:
            yield _field("next", (f"{waiting} waits for its turn", WAIT))
    yield _field("why", (first_line(view["reason"]["text"]), PLAIN))
    yield from _needs(view)
    if view["fault"]:
        yield _field("stands", (f"the loop of this service stands still: {view['fault']}", BAD))
    if release is None and view["last_release"] is not None:
        yield _field("last", *_ended(view["last_release"], now))
    yield from _route(view)
    if view["replicas_unknown_because"]:
        yield _field("replicas", (f"not known: {view['replicas_unknown_because']}", BAD))


def _field(title: str, *spans: Span) -> Line:
    return Line(depth=1, spans=((f"{title:<9}", QUIET), *spans), hang=11)


def _needs(view: Json) -> Iterator[Line]:
    """What a release waits for that does not come by itself."""
    for title, need in zip(("next", ""), needs(view), strict=False):
        yield _field(title, (need, WAIT))


def needs(view: Json) -> list[str]:
    """What a person can do about a release that does not go on by itself: nothing, or one line or two."""
    release = view["release"]
    if release is None:
        return []
    if release["paused"]:
        return [f"celadon resume {name(view)}   or: celadon abort {name(view)}"]
    decide = f"celadon promote {name(view)}   or: celadon abort {name(view)}"
    if release["phase"] in {"waiting", "holding"}:
        return [decide]
    if release["phase"] != "watching" or view["reason"]["code"] not in {"too_few_requests", "no_samples"}:
        return []
    return [f"send requests to {_address(view['route'])}", f"or decide: {decide}"]


def first_line(text: str) -> str:
    """The sentence of a reason, without the output it quotes."""
    return text.partition("\n")[0]


def _position(release: Json, now: float) -> tuple[Span, ...]:
    at = words(release["phase"])
    stages = len(release["stages"])
    of = f", stage {release['stage'] + 1} of {stages}" if stages > 1 else ""
    paused = [(" (paused)", WAIT)] if release["paused"] else []
    since = f" for {span(now - release['entered_at'])}"
    return (
        (f"{release['release']}: ", STRONG),
        (at, WAIT),
        (f"{of}{since}", PLAIN),
        *paused,
        *_labels(release),
    )


def _labels(release: Json) -> list[Span]:
    pairs = ", ".join(f"{key}={value}" for key, value in release["labels"].items())
    return [(f"  {pairs}", QUIET)] if pairs else []


def _ended(release: Json, now: float) -> tuple[Span, ...]:
    outcome = release["outcome"]
    when = f" {ago(release['ended_at'], now)}" if release["ended_at"] else ""
    why = f": {first_line(release['reason']['text'])}"
    return (
        (f"{release['release']} ", PLAIN),
        (words(outcome), OUTCOME_STYLES.get(outcome, PLAIN)),
        (when, QUIET),
        (why, PLAIN),
        *_labels(release),
    )


def _route(view: Json) -> Iterator[Line]:
    route = view["route"]
    if route is None:
        return
    preview = f"  preview http://127.0.0.1:{route['preview_port']}{route['prefix']}"
    yield _field("route", (_address(route), PLAIN), (preview, QUIET))
    yield _field("traffic", *_traffic(route))
    if route["refused"]:
        yield _field("refused", (route["refused"], BAD))
    for note in route["notes"]:
        yield _field("note", (note, WAIT))


def _address(route: Json) -> str:
    names = "" if route["hostnames"] == ["*"] else f" for {', '.join(route['hostnames'])}"
    return f"http://{route['host']}:{route['port']}{route['prefix']}{names}"


def _traffic(route: Json) -> tuple[Span, ...]:
    """What the proxy itself shows to be in force, never what was wished."""
    if route["unknown_because"]:
        return ((f"not known: {route['unknown_because']}", BAD),)
    if not route["confirmed"]:
        return (("nothing is routed", QUIET),)
    parts = ", ".join(f"{share(part['share_percent'])} to {part['revision']}" for part in route["confirmed"])
    changing = [("  (a change is under way)", WAIT)] if route["pending"] else []
    return ((parts, PLAIN), *changing)


def _revisions(view: Json, now: float) -> Iterator[Line]:
    for revision in view["revisions"]:
        yield Line(
            depth=2,
            spans=(
                (revision["revision"], STRONG),
                ("  ", PLAIN),
                (f"{revision['role']:<7}", ROLE_STYLES.get(revision["role"], PLAIN)),
                (f"{share(revision['share_percent']):>6}  ", PLAIN),
                _ready(revision),
                (_counted(revision["counts"]), QUIET),
            ),
        )
        for replica in revision["replicas"]:
            yield from _replica(replica, now)


def _ready(revision: Json) -> Span:
    ready, wanted = revision["replicas_ready"], revision["replicas_wanted"]
    if not wanted:
        return (f"{len(revision['replicas'])} still there", QUIET)
    return (f"{ready} of {wanted} ready", GOOD if ready >= wanted else WAIT)


def _counted(counts: Json | None) -> str:
    if counts is None or not counts["requests"]:
        return ""
    return f"  {several(counts['requests'], 'answer')}, {several(counts['errors'], 'error')}"


def _replica(replica: Json, now: float) -> Iterator[Line]:
    state = replica["state"]
    details = [replica["address"], f"pid {replica['pid']}" if replica["pid"] else None]
    told = "  ".join(detail for detail in details if detail)
    exits = f"  {replica['exits']} exits in a row" if replica["exits"] else ""
    yield Line(
        depth=3,
        spans=(
            (f"replica {replica['index']}  ", PLAIN),
            (f"{state:<8}", STATE_STYLES.get(state, PLAIN)),
            (f"  {span(now - replica['since']):<9}{told}{exits}", QUIET),
        ),
    )
    for note in replica["notes"]:
        yield Line(depth=4, spans=((note, WAIT),))


def row(view: Json, now: float) -> tuple[Span, ...]:
    """One service as one row: name, state, live revision, ready replicas, route, what happened last."""
    live = next((r for r in view["revisions"] if r["revision"] == view["live"]), None)
    ready = f"{live['replicas_ready']}/{live['replicas_wanted']}" if live else "-"
    route = f"{view['route']['host']}:{view['route']['port']}" if view["route"] else "-"
    return (
        (name(view), STRONG),
        (_state_word(view), WAIT if view["release"] else PLAIN),
        (_live(view), PLAIN),
        (ready, GOOD if live and live["replicas_ready"] >= live["replicas_wanted"] else WAIT),
        (route, PLAIN),
        ("".join(text for text, _ in _lately(view, now)), PLAIN),
    )


ROW_TITLES = ("SERVICE", "STATE", "LIVE", "READY", "ROUTE", "LATELY")


def _live(view: Json) -> str:
    """The live revision, and during a release the one that is to follow it."""
    live, release = view["live"] or "-", view["release"]
    return live if release is None or release["green"] == live else f"{live} -> {release['green']}"


def _state_word(view: Json) -> str:
    return words(view["release"]["phase"]) if view["release"] else str(view["state"])


def _lately(view: Json, now: float) -> tuple[Span, ...]:
    if view["release"] is not None:
        return ((f"{view['release']['release']}: {first_line(view['release']['reason']['text'])}", PLAIN),)
    if view["last_release"] is not None:
        return _ended(view["last_release"], now)
    return ((first_line(view["reason"]["text"]), PLAIN),)


def event(decision: Json) -> str:
    """One decision as a line that is appended: its release, where the release stands, and why.

    What the reason quotes follows on lines of its own, but for an end: then it stands a line above already.
    """
    where = words(decision["phase"]) if decision["phase"] else "-"
    paused = " (paused)" if decision["paused"] else ""
    why, *quoted = decision["reason"]["text"].split("\n")
    line = f"{decision['release'] or '-':<12} {where + paused:<13} {why}"
    return "\n    ".join([line] if decision["phase"] == "ended" else [line, *quoted])
