"""The tables at the end, as lines of text: no line is cut or wrapped, so that a transcript reads as the terminal did."""

from collections.abc import Iterator, Sequence

from rich.text import Text

from celadon.domain.release import Outcome
from celadon.doors.demo.report import Group, Released

Cell = tuple[str, str]
"""Some text and its style."""

STYLES = {
    "first": "blue",
    "better": "green",
    "failing": "red",
    "slow": "yellow",
    "blue": "blue",
    "wrong": "red",
    "unfair": "magenta",
    "slower": "yellow",
    "same": "green",
}
STRANGE = "white"
OUTCOMES = {
    Outcome.PROMOTED: ("promoted", "bold green"),
    Outcome.ROLLED_BACK: ("rolled back", "bold yellow"),
    Outcome.REPORTED: ("reported", "bold"),
    Outcome.SUPERSEDED: ("superseded", "bold"),
}
GAP = "   "


def revisions(groups: Sequence[Group]) -> Iterator[Text]:
    """One line for each revision."""
    titles = ("revision", "", "requests", "failed", "p50", "p95", "read rightly")
    return _lines(titles, [_revision(group) for group in groups])


def _revision(group: Group) -> list[Cell]:
    told = group.seen
    right = "-" if told.right_share is None else f"{told.right_share * 100:.1f} %"
    return [
        (group.label, STYLES.get(group.label, STRANGE)),
        (group.revision or "no answer", "dim"),
        (f"{told.requests:,}", ""),
        (f"{told.failures:,}", "red" if told.failures else "dim"),
        (_ms(told.latency_ms_p50), ""),
        (_ms(told.latency_ms_p95), ""),
        (right, ""),
    ]


def releases(of: Sequence[Released]) -> Iterator[Text]:
    """Two lines for each release: how it ended, and why."""
    titles = ("release", "outcome", "switch", "requests", "bad answers", "misread", "took")
    head, *rows = _lines(titles, [_release(released) for released in of])
    yield head
    for row, released in zip(rows, of, strict=True):
        yield row
        yield Text(f"    {released.reason.partition(chr(10))[0]}", style="dim")


def _release(released: Released) -> list[Cell]:
    return [
        (released.label, STYLES.get(released.label, STRANGE)),
        OUTCOMES[released.outcome],
        (_ms(released.switch_ms), ""),
        (f"{released.green_requests:,}", ""),
        (f"{released.bad_answers:,}", "red" if released.bad_answers else "dim"),
        (f"{released.misread:,}", ""),
        (f"{released.seconds:.1f} s", ""),
    ]


def _lines(titles: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Iterator[Text]:
    """The first two columns lean left, those of numbers lean right."""
    every = [[(title, "dim") for title in titles], *rows]
    widths = [max(len(row[at][0]) for row in every) for at in range(len(titles))]
    for row in every:
        line = Text("  ")
        for at, ((text, style), width) in enumerate(zip(row, widths, strict=True)):
            line.append(f"{text:<{width}}" if at < 2 else f"{text:>{width}}", style=style)
            line.append(GAP if at < len(titles) - 1 else "")
        yield line


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} ms"
