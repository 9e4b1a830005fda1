"""A rehearsal as a picture in a terminal: green's share, failed requests, faults and phases over time. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from celadon.doors.cli.lines import BAD, GOOD, PLAIN, QUIET, WAIT, Line, entry
from celadon.sim.rehearsal import Rehearsal, Step

WIDTH = 72
HEIGHT = 4
EIGHTHS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """Everything that came to pass in one column. Shares are parts of one."""

    green: float
    failed: int
    phase: str


def picture(one: Rehearsal) -> list[Line]:
    """All of it, under one axis of time."""
    ends_s = one.steps[-1].at if one.steps else 1.0
    columns = _columns(one.steps, ends_s)
    return [
        *_shares(columns),
        entry("failed", (_bars([column.failed for column in columns]), BAD)),
        *_faults(one, ends_s),
        *_phases(columns, one.steps),
        entry("", (f"0 s{ends_s:>{WIDTH - 5}.0f} s", QUIET)),
    ]


def _columns(steps: Sequence[Step], ends_s: float) -> list[_Column]:
    """Steps dealt out to columns; one that none falls into is like the one before."""
    dealt: list[list[Step]] = [[] for _ in range(WIDTH)]
    for step in steps:
        dealt[_place(step.at, ends_s)].append(step)
    columns: list[_Column] = []
    for here in dealt:
        if not here:
            last = columns[-1] if columns else _Column(green=0.0, failed=0, phase="")
            columns.append(_Column(green=last.green, failed=0, phase=last.phase))
            continue
        asked = sum(step.asked for step in here)
        green = sum(step.green for step in here) / asked if asked else 0.0
        columns.append(_Column(green=green, failed=sum(step.failed for step in here), phase=here[-1].phase))
    return columns


def _place(at: float, ends_s: float) -> int:
    return min(WIDTH - 1, max(0, int(WIDTH * at / max(ends_s, 0.1))))


def _shares(columns: Sequence[_Column]) -> list[Line]:
    """Bars of several lines; what is not none is at least a trace."""
    said = []
    for row in reversed(range(HEIGHT)):
        cells = ""
        for column in columns:
            eighths = max(round(column.green * HEIGHT * 8), 1 if column.green else 0) - 8 * row
            cells += EIGHTHS[min(8, max(0, eighths))]
        title = {HEIGHT - 1: "green 100%", 0: "      0%"}.get(row, "")
        said.append(entry(title, (cells, GOOD)))
    return said


def _bars(values: Sequence[int]) -> str:
    most = max(values, default=0)
    return "".join(EIGHTHS[max(1, round(8 * value / most))] if value else "·" for value in values)


def _faults(one: Rehearsal, ends_s: float) -> list[Line]:
    """A number where each fault struck, and which it is."""
    struck = [said for said in one.said if said.what == "fault"]
    if not struck:
        return []
    marks = [" "] * WIDTH
    for number, said in enumerate(struck, start=1):
        marks[_place(said.at, ends_s)] = "*" if number > 9 else str(number)
    which = ", ".join(
        f"{number} {said.text} ({said.at:.0f} s)" for number, said in enumerate(struck, start=1)
    )
    return [entry("faults", ("".join(marks), WAIT)), entry("", (which, PLAIN))]


def _phases(columns: Sequence[_Column], steps: Sequence[Step]) -> Iterator[Line]:
    """Each phase from a bar on, with its name; below it all names and times, where one of them has no room there."""
    shown = [[column.phase for column in run] for _, run in groupby(columns, attrgetter("phase"))]
    rooms = [(run[0].replace("_", " "), len(run) - 1) for run in shown]
    yield entry("phase", ("".join(f"|{name[:room]:<{room}}" for name, room in rooms), QUIET))
    came = [next(run) for phase, run in groupby(steps, attrgetter("phase")) if phase != "rest"]
    if len(came) > len(rooms) or any(len(name) > room for name, room in rooms):
        when = (f"{step.phase.replace('_', ' ')} {step.at:.0f} s" for step in came)
        yield entry("", (", ".join(when), QUIET))
