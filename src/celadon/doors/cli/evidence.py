"""What each metric says of green beside blue, as a table or, where there is no room for one, as three lines each.

Pure: from the API's JSON to spans. A metric's evidence starts at 1 and multiplies with what is seen; what decides
stands beside it, so that "12 of 100" is on its way to a proof of harm and "0.3 of 20" speaks against green being fine. What a metric has
for harm is shown with the part of the bet that was put on it, so that the metrics add up.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from celadon.doors.cli.lines import BAD, GOOD, PLAIN, QUIET, STRONG, WAIT, Span

Json = dict[str, Any]

TITLES = ("metric", "green", "blue", "ratio", "harm", "fine", "")
UNKNOWN = "-"
MOST = 1_000
LEAST = 0.1


def lines(findings: Sequence[Json], levels: Json | None, room: int | None) -> list[tuple[Span, ...]]:
    """Lines for all metrics. room: columns that there are, None for any number; words are never cut off."""
    if not findings:
        return []
    rows = [_row(finding, levels) for finding in findings]
    table = list(_table(rows))
    if room is None or max(sum(len(text) for text, _ in line) for line in table) <= room:
        told = [
            line for line, finding in zip(table[1:], findings, strict=True) for line in _noted(line, finding)
        ]
        return [table[0], *told]
    return [line for finding in findings for line in _stacked(finding, levels)]


def says(finding: Json, levels: Json | None) -> Span:
    """One metric in a few words: what is proved, or about how many answers are missing."""
    evidence, part = finding["evidence"], finding["part"]
    if levels is None:
        return ("", PLAIN)
    if evidence["harm"] * part >= levels["harm"]:
        return ("harm proved", BAD)
    if evidence["suspected"] * part >= levels["suspected"]:
        return (f"harm suspected: {_of(evidence['suspected'] * part, levels, 'suspected')}", BAD)
    if evidence["fine"] >= levels["fine"]:
        return ("proved fine", GOOD)
    if not finding["required"]:
        return ("needs no proof", QUIET)
    if not finding["green"]["answers"]:
        return ("no answers yet", WAIT)
    if finding["needed"] is None:
        return ("not provable as it goes", WAIT)
    return (f"needs about {finding['needed']:,} more answers", WAIT)


def legend(levels: Json | None) -> str:
    """What the numbers of evidence mean."""
    if levels is None:
        return ""
    return (
        f"evidence starts at 1; harm is suspected at {money(levels['suspected'])} and proved at"
        f" {money(levels['harm'])}, all metrics together; each is proved fine at {money(levels['fine'])}"
    )


def stage_ends(levels: Json | None) -> str:
    """What lets the stage under way end, where that is less than the whole proof."""
    if levels is None or not 1 < levels["stage"] < levels["fine"]:
        return ""
    return f"this stage ends once every required metric has {money(levels['stage'])} for fine"


def money(amount: float) -> str:
    """Evidence as people read it."""
    if amount >= MOST:
        return f"over {MOST:,}"
    if amount < LEAST:
        return f"under {LEAST:g}"
    return f"{amount:.0f}" if amount >= 10 else f"{amount:.1f}".removesuffix(".0")


def ratio(of: Json) -> str:
    """How many times blue's share of events green has, with the interval that holds the true one."""
    low, high = times(of["low"]), times(of["high"])
    if of["high"] is None:
        if not of["low"]:
            return UNKNOWN
        return f"{low} or more" if of["value"] is None else f"{times(of['value'])} ({low} or more)"
    return f"{times(of['value'])} ({low} to {high})"


def times(value: float | None) -> str:
    """A ratio with two digits that count."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def counted(side: Json) -> str:
    """`3 of 1,204`."""
    return f"{side['events']:,} of {side['answers']:,}" if side["answers"] else UNKNOWN


def _row(finding: Json, levels: Json | None) -> tuple[Span, ...]:
    evidence = finding["evidence"]
    word = says(finding, levels)
    return (
        (finding["metric"], STRONG),
        (counted(finding["green"]), PLAIN),
        (counted(finding["blue"]), PLAIN),
        (ratio(finding["ratio"]), PLAIN),
        (_of(evidence["harm"] * finding["part"], levels, "harm"), word[1] if word[1] == BAD else PLAIN),
        (_fine(finding, levels), word[1] if word[1] == GOOD else PLAIN),
        word,
    )


def _fine(finding: Json, levels: Json | None) -> str:
    """A limit of green alone is beside nothing that it could be as good as, so there is nothing to be proved."""
    return _of(finding["evidence"]["fine"], levels, "fine") if finding["evidence"]["fine"] else UNKNOWN


def _of(amount: float, levels: Json | None, name: str) -> str:
    return money(amount) + (f" of {money(levels[name])}" if levels else "")


def _table(rows: Sequence[tuple[Span, ...]]) -> Iterator[tuple[Span, ...]]:
    every = [tuple((title, QUIET) for title in TITLES), *rows]
    widths = [max(len(row[at][0]) for row in every) for at in range(len(TITLES))]
    for row in every:
        *cells, last = zip(row, widths, strict=True)
        yield (*((f"{text:<{width}}  ", style) for (text, style), width in cells), last[0])


def _noted(line: tuple[Span, ...], finding: Json) -> Iterator[tuple[Span, ...]]:
    yield line
    if finding["note"]:
        yield ((f"  {finding['note']}", QUIET),)


def _stacked(finding: Json, levels: Json | None) -> Iterator[tuple[Span, ...]]:
    """Three lines, none of them wide: what is proved, what was counted, and the evidence."""
    metric, green, blue, compared, harm, fine, word = _row(finding, levels)
    yield (metric, ("  ", PLAIN), word)
    yield ((f"  green {green[0]}, blue {blue[0]}, ratio {compared[0]}", PLAIN),)
    yield ((f"  harm {harm[0]}, fine {fine[0]}", PLAIN),)
    if finding["note"]:
        yield ((f"  {finding['note']}", QUIET),)
