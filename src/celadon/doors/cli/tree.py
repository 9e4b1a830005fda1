"""A service as a block of lines and a tree under it: service, revision, replica. Pure: from the API's JSON to text.

Colours repeat what the words say and never carry anything alone.
"""

from collections.abc import Iterator
from typing import Any

from celadon.doors.cli import evidence
from celadon.doors.cli.exits import NEEDS_PERSON
from celadon.doors.cli.human import ago, ordinal, several, share, span
from celadon.doors.cli.lines import BAD, GOOD, PLAIN, QUIET, STRONG, TITLE, WAIT, Line, Span, entry
from celadon.doors.cli.routed import address, route_lines

Json = dict[str, Any]

STATE_STYLES = {"ready": GOOD, "starting": WAIT, "unready": BAD, "stopping": QUIET, "exited": BAD}
OUTCOME_STYLES = {"promoted": GOOD, "rolled_back": BAD, "reported": WAIT, "superseded": QUIET}
ROLE_STYLES = {"green": GOOD, "blue": STRONG, "live": STRONG, "kept": QUIET, "leaving": QUIET}


def words(value: str) -> str:
    """`rolled_back` as people write it."""
    return value.replace("_", " ")


def service(view: Json, now: float, room: int | None = None) -> list[Line]:
    """Everything about one service. room: columns that there are, None for any number."""
    return [_head(view), *_block(view, now), *_judged(view, room), *_revisions(view, now)]


def _judged(view: Json, room: int | None) -> Iterator[Line]:
    """What each metric says of green beside blue, and what the numbers mean."""
    judged = view["judged"]
    if judged is None or not judged["findings"]:
        return
    rows = evidence.lines(judged["findings"], judged["levels"], room and room - TITLE - 2)
    titles = ("judged", *[""] * len(rows))
    yield from (entry(title, *row) for title, row in zip(titles, rows, strict=False))
    if ends := evidence.stage_ends(judged["levels"]):
        yield entry("", (ends, QUIET))


def name(view: Json) -> str:
    """The service as it is called on the command line."""
    return str(
        view["service"] if view["namespace"] == "default" else f"{view['namespace']}/{view['service']}"
    )


def _drill(drill: Json | None, now: float) -> Iterator[Line]:
    """The rehearsed failure under way: what is seen of the service now is its doing."""
    if drill is not None:
        left = f", {span(drill['until'] - now)} left at most" if drill["until"] else ""
        hit = [f"{one['revision']}/{one['index']}" for one in drill["victims"] if one["revision"]]
        whom = f"  {', '.join(hit)}" if hit else ""
        yield entry("drill", (f"{drill['drill']}  {drill['kind']}{whom}  {drill['phase']}{left}", WAIT))


def _head(view: Json) -> Line:
    style = {"live": GOOD, "releasing": WAIT, "removing": WAIT}.get(view["state"], QUIET)
    return Line(depth=0, spans=((name(view), STRONG), ("  ", PLAIN), (view["state"], style)))


def _block(view: Json, now: float) -> Iterator[Line]:
    release = view["release"]
    if release is not None:
        yield entry("release", *_position(release, now))
    for waiting in view["waiting_releases"]:
        if release is None or waiting != release["release"]:
            yield entry("next", (f"{waiting} waits for its turn", WAIT))
    if view["fault"]:
        yield entry("stands", (f"the loop of this service stands still: {view['fault']}", BAD))
    else:
        yield entry("why", (first_line(view["reason"]["text"]), PLAIN))
    yield from _needs(view)
    if release is None and view["last_release"] is not None:
        yield entry("last", *_ended(view["last_release"], now))
    yield from _drill(view.get("drill"), now)
    yield from _probation(view["probation"], now)
    yield from _feedback(view["feedback"])
    yield from route_lines(view["route"])
    if view["replicas_unknown_because"]:
        yield entry("replicas", (f"not known: {view['replicas_unknown_because']}", BAD))
    elif view["not_survived"]:
        yield entry("losses", (view["not_survived"]["text"], WAIT))


def _probation(of: Json | None, now: float) -> Iterator[Line]:
    """A promoted revision that late labels may still take back."""
    if of is not None:
        until = f"labels may still take {of['green']} back for {span(of['until'] - now)}"
        yield entry("probation", (f"{of['release']}: ", STRONG), (until, WAIT))


def _feedback(heard: Json | None) -> Iterator[Line]:
    """What became of labels and scores, once there are any."""
    told = [f"{heard[name]} {words}" for name, words in FEEDBACK.items() if heard is not None and heard[name]]
    if told:
        yield entry("feedback", (", ".join(told), PLAIN))


FEEDBACK = {
    "accepted": "taken",
    "waiting": "wait for their request",
    "twice": "came twice",
    "late": "came too late",
    "unusable": "say nothing of their answer",
    "unjoined": "never found their request",
    "forgotten": "requests given up",
    "same_caller": "of callers who were told of already",
}
"""What became of feedback, in words."""


def _needs(view: Json) -> Iterator[Line]:
    """What a release waits for that does not come by itself."""
    for title, need in zip(("next", ""), needs(view), strict=False):
        yield entry(title, (need, WAIT))


def needs(view: Json) -> list[str]:
    """What a person can do about a release that does not go on by itself: nothing, or one line or two."""
    release = view["release"]
    if release is None:
        return []
    if waits_for_person(release):
        return [what_a_person_does(name(view), paused=release["paused"])]
    if release["phase"] == "frozen" and view["reason"]["code"] == "doubt_grew":
        return [what_a_person_does(name(view), paused=False)]
    missing = MISSING.get(view["reason"]["code"]) if release["phase"] == "watching" else None
    if missing is None or view["reason"]["fields"].get("labelled"):
        return []
    decide = what_a_person_does(name(view), paused=False)
    return [missing.format(address=address(view["route"])), f"or decide: {decide}"]


MISSING = {
    "too_few_requests": "send requests to {address}",
    "no_samples": "send requests to {address}",
    "labels_missing": "say which answers were right: celadon feedback FILE",
}
"""What lets a release go on that waits for something which only people can bring, by its reason."""


def waits_for_person(release: Json) -> bool:
    """Whether a release goes on only when a person says so."""
    frozen = release["phase"] == "frozen" and release["stays_frozen"]
    return bool(release["paused"]) or release["phase"] in NEEDS_PERSON or frozen


def what_a_person_does(service: str, *, paused: bool) -> str:
    """The two commands between which a person decides."""
    on = "resume" if paused else "promote"
    return f"celadon {on} {service}   or: celadon abort {service}"


def first_line(text: str) -> str:
    """The sentence of a reason, without the output it quotes."""
    return text.partition("\n")[0]


def _position(release: Json, now: float) -> tuple[Span, ...]:
    at = words(release["phase"])
    stages = len(release["stages"])
    of = f", stage {release['stage'] + 1} of {stages}" if stages > 1 else ""
    paused = [(" (paused)", WAIT)] if release["paused"] else []
    since = f" for {span(now - release['entered_at'])}{_thaws(release)}"
    return (
        (f"{release['release']}: ", STRONG),
        (at, WAIT),
        (f"{of}{since}", PLAIN),
        *paused,
        *_labels(release),
    )


def _thaws(release: Json) -> str:
    """When a freeze ends by itself: it counts observed time, so this is the soonest that it may be."""
    if release["phase"] != "frozen" or release["rest_s"] is None:
        return ""
    if waits_for_person(release):
        return f", the {ordinal(release['freezes'])} time: a person decides"
    if release["rested_s"] >= release["rest_s"]:
        return ", its rest is over"
    return f", at most {span(release['rest_s'] - release['rested_s'])} to go"


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
    standing_by, behind = revision["standby_ready"], revision["standby_wanted"]
    standby = f", {standing_by} of {behind} standing by" if behind else ""
    return (
        f"{ready} of {wanted} ready{standby}",
        GOOD if ready >= wanted and standing_by >= behind else WAIT,
    )


def _counted(counts: Json | None) -> str:
    if counts is None or not counts["requests"]:
        return ""
    return f"  {several(counts['requests'], 'answer')}, {several(counts['errors'], 'error')}"


def _replica(replica: Json, now: float) -> Iterator[Line]:
    state = replica["state"]
    details = [
        replica["address"],
        f"pid {replica['pid']}" if replica["pid"] else None,
        f"zone {replica['zone']}" if replica["zone"] else None,
        "standby" if replica["arm"] == "standby" else None,
    ]
    told = "  ".join(detail for detail in details if detail)
    exits = f"  {several(replica['exits'], 'exit')} in a row" if replica["exits"] else ""
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
        ("".join(text for text, _ in _lately(view, now)), BAD if view["fault"] else PLAIN),
    )


ROW_TITLES = ("SERVICE", "STATE", "LIVE", "READY", "ROUTE", "LATELY")


def _live(view: Json) -> str:
    """The live revision, and during a release the one that is to follow it."""
    live, release = view["live"] or "-", view["release"]
    return live if release is None or release["green"] == live else f"{live} -> {release['green']}"


def _state_word(view: Json) -> str:
    return words(view["release"]["phase"]) if view["release"] else str(view["state"])


def _lately(view: Json, now: float) -> tuple[Span, ...]:
    """What matters most of a service in a few words."""
    if view["fault"]:
        return ((f"stands still: {first_line(view['fault'])}", BAD),)
    if view.get("drill") is not None:
        drill = view["drill"]
        return ((f"drill {drill['drill']} {drill['kind']}: {drill['phase']}", WAIT),)
    if view["release"] is not None:
        return ((f"{view['release']['release']}: {first_line(view['release']['reason']['text'])}", PLAIN),)
    if view["last_release"] is not None:
        return _ended(view["last_release"], now)
    return ((first_line(view["reason"]["text"]), PLAIN),)


def of_drill(decision: Json) -> int | None:
    """The drill that was decided on, and not a release that moves meanwhile."""
    return decision.get("drill") if decision["reason"]["code"].startswith("drill_") else None


def reason_lines(decision: Json) -> list[str]:
    """The sentence of a decision's reason, with the drill it is of, and the lines that it quotes."""
    why, *quoted = decision["reason"]["text"].split("\n")
    drill = of_drill(decision)
    unnamed = drill is not None and "drill" not in decision["reason"]["fields"]
    return [f"drill {drill}: {why}" if unnamed else why, *quoted]


def event(decision: Json) -> str:
    """One decision as a line that is appended: its release, where the release stands, and why.

    What the reason quotes follows on lines of its own, but for an end: then it stands a line above already.
    """
    where = words(decision["phase"]) if decision["phase"] else "-"
    paused = " (paused)" if decision["paused"] else ""
    why, *quoted = reason_lines(decision)
    line = f"{decision['release'] or '-':<12} {where + paused:<13} {why}"
    return "\n    ".join([line] if decision["phase"] == "ended" else [line, *quoted])
