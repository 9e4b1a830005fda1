"""What one service's lines of the request log come to: answers by the second, each counted exactly once."""

import contextlib
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from celadon.domain.draw import Draw
from celadon.domain.durations import bucket
from celadon.domain.feedback import Routed
from celadon.domain.goal import Arm
from celadon.domain.names import RevisionId, ServiceKey
from celadon.domain.plan import FULL
from celadon.domain.samples import Answers
from celadon.traffic.envoy import log
from celadon.traffic.envoy.tail import Place, Slice
from celadon.traffic.envoy.units import Mark, Units

LATE_S = 3.0
"""What Envoy has counted is in its log sooner than this, or it is lost."""

GROUPS_MAX = 64
"""Told apart at once where their names are not given beforehand."""


class Position(NamedTuple):
    """Where a service stands in the logs, and what reading on depends on.

    places: one in the log of each Envoy. second: the newest that was told, since seconds never fall. marks: how many
    marks of units were made in the release that is sticky under `salt`; "" where units have no keys.
    """

    places: tuple[Place, ...]
    second: int = 0
    marks: int = 0
    salt: str = ""

    def __str__(self) -> str:
        places = "+".join(":".join(map(str, place)) for place in self.places)
        return f"{places}:{self.second}:{self.marks}:{self.salt}"


_POSITION = re.compile(
    r"(?P<places>\d+:\d+:\d+(\+\d+:\d+:\d+)*):(?P<second>\d+):(?P<marks>\d+):(?P<salt>.*)", re.DOTALL
)


def position(text: str) -> Position:
    """Raises ValueError when the text is none."""
    match = _POSITION.fullmatch(text)
    if match is None:
        raise ValueError(text)
    places = tuple(Place(*map(int, place.split(":"))) for place in match["places"].split("+"))
    return Position(places, int(match["second"]), int(match["marks"]), match["salt"])


class Key(NamedTuple):
    """What answers have in common that are counted together."""

    at_s: int
    revision: RevisionId
    arm: Arm
    share: int
    mirror: int
    group: str
    alone: bool


@dataclass(slots=True)
class Times:
    """How answers ended: with an error, or after how long, by bucket."""

    failed: int = 0
    buckets: dict[int, int] = field(default_factory=dict)

    def count(self, at: int | None, *, error: bool) -> None:
        """One more answer."""
        if error:
            self.failed += 1
        elif at is not None:
            self.buckets[at] = self.buckets.get(at, 0) + 1

    def add(self, other: "Times") -> None:
        self.failed += other.failed
        for at, answers in other.buckets.items():
            self.buckets[at] = self.buckets.get(at, 0) + answers


@dataclass(slots=True)
class Sum:
    """Answers under one key. every: all of them; first: those of the first request of each unit that has a key."""

    requests: int = 0
    errors: int = 0
    units: int = 0
    every: Times = field(default_factory=Times)
    first: Times = field(default_factory=Times)

    def add(self, other: "Sum") -> None:
        self.requests += other.requests
        self.errors += other.errors
        self.units += other.units
        self.every.add(other.every)
        self.first.add(other.first)


@dataclass(slots=True, kw_only=True)
class Part:
    """What lies between two positions. lost: not all of it could be read. ended: requests, drawn or not.

    broken: lines that could not be read. reached: nothing more was there to read.
    """

    begin: str
    end: Position
    sums: dict[Key, Sum] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)
    routed: list[Routed] = field(default_factory=list)
    lost: bool = False
    ended: int = 0
    broken: int = 0
    reached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was heard after a position: answers up to the position `end`."""

    end: str
    answers: tuple[Answers, ...] = ()
    complete: bool = True


class Heard:
    """One service. `hear` belongs to the thread that reads, one call at a time, everything else to the event loop."""

    def __init__(self, service: ServiceKey, at: Position, folder: Path) -> None:
        self.service = service
        self.at = at
        self.broken = 0
        self.asked_at = 0.0
        self.drawn_at = 0.0
        self._folder = folder
        self._parts: list[Part] = []
        self._beginning = log.beginning(service)
        self._units: Units | None = None
        self.gap = Gap()
        self._holed = ""

    def hear(self, found: Sequence[Slice], draw: Draw | None, *, route: bool) -> Part:
        """Counts the lines of each log. Nothing of it is told before `take`; when that never comes, `again` must."""
        salt = self.at.salt if draw is None else draw.salt if draw.sticky is not None else ""
        whole = self._meet(salt)
        part = Part(begin=str(self.at), end=self.at)
        part.lost = not whole or len(found) < len(self.at.places) or any(one.lost for one in found)
        part.reached = not any(one.more for one in found)
        groups = frozenset(draw.groups) if draw is not None else frozenset()
        second = self.at.second
        for line in self._lines(found, part):
            part.ended += 1
            if line.share is not None:
                second = max(second, line.at_s)
                self._count(part, line, second, groups, route=route)
        if self._units is not None:
            self._units.write()
        marks = self._units.length if self._units is not None else 0
        part.end = Position(tuple(one.place for one in found), second, marks, salt)
        return part

    def _lines(self, found: Sequence[Slice], part: Part) -> list[log.Line]:
        """Of this service, those of several logs in the order of their seconds."""
        lines: list[log.Line] = []
        for text in chain.from_iterable(one.split for one in found):
            if self._beginning not in text:
                continue
            try:
                line = log.read(text)
            except ValueError:
                part.broken += 1
                continue
            if line is not None:
                lines.append(line)
        if len(found) > 1:
            lines.sort(key=lambda line: line.at_s)
        return lines

    def _count(self, part: Part, line: log.Line, second: int, groups: frozenset[str], *, route: bool) -> None:
        share = line.share or 0
        group = _group(part, line.group, groups)
        key = Key(second, line.revision, line.arm, share, line.mirror, group, not line.control)
        found = part.sums.get(key)
        if found is None:
            found = part.sums[key] = Sum()
        at = None if line.duration_us is None else bucket(line.duration_us)
        found.every.count(at, error=line.error)
        if self._units is None or not 0 < share < FULL:
            found.requests += 1
            found.errors += line.error
        else:
            self._count_unit(found, self._units, line, at)
        if route:
            part.routed.append(
                Routed(
                    request=line.request,
                    at_s=second,
                    revision=line.revision,
                    arm=line.arm,
                    share=share,
                    group=group,
                    unit=self._units.name(line.unit) if self._units and line.unit is not None else "",
                )
            )

    def _count_unit(self, found: Sum, units: Units, line: log.Line, at: int | None) -> None:
        """Who has no key was drawn for this request alone, and is met for the first and the last time."""
        if line.unit is None or units.mark(Mark.ASKED, line.unit):
            found.requests += 1
            found.units += 1
            found.first.count(at, error=line.error)
        if line.error and (line.unit is None or units.mark(Mark.ERRED, line.unit)):
            found.errors += 1

    def _meet(self, salt: str) -> bool:
        """Takes up the units of the release. Whether all of those that were recorded are there."""
        if not salt:
            self._units = None
            return True
        same = salt == self.at.salt
        if self._units is not None and same:
            return True
        path = units_file(self._folder, self.service, salt)
        self._units = Units(path, salt, self.at.marks if same else 0)
        for old in units_files(self._folder, self.service):
            if old != path:
                old.unlink(missing_ok=True)
        return self._units.whole

    def again(self) -> None:
        """What was heard last could not be taken: the same lines come again."""
        self._units = None

    def let_go(self, logs: int) -> None:
        """Only the first so many logs are still there; of the others everything was heard."""
        places = self.at.places[:logs]
        self.take(Part(begin=str(self.at), end=self.at._replace(places=places)))

    def take(self, part: Part) -> None:
        """From now on this is told."""
        self.broken += part.broken
        self.gap.ended(part.ended, reached=part.reached)
        if part.end != self.at:
            self.at = part.end
            self._parts.append(part)

    def told(self, since: str) -> Told | None:
        """Everything after a position that was told before; None when it is another one."""
        begins = [part.begin for part in self._parts]
        if since == str(self.at):
            self._parts = []
        elif since in begins:
            self._parts = [_joined(self._parts[begins.index(since) :])]
        else:
            return None
        sums = self._parts[0].sums if self._parts else {}
        if self.gap.found():
            # Whoever could not record it, as when the disk is full that the log lacks too, asks from there again.
            self._holed = since
        lost = since == self._holed or self.gap.stalled or any(part.lost for part in self._parts)
        return Told(end=str(self.at), answers=tuple(_answers(sums)), complete=not lost)


def _group(part: Part, value: str, groups: frozenset[str]) -> str:
    """Where nobody said which groups there are, callers must not make up too many."""
    if groups:
        return value if value in groups else ""
    if value and len(part.groups) < GROUPS_MAX:
        part.groups.add(value)
    return value if value in part.groups else ""


def _joined(parts: list[Part]) -> Part:
    """The first of them grows by the others."""
    whole, *rest = parts
    for part in rest:
        for key, found in part.sums.items():
            whole.sums.setdefault(key, Sum()).add(found)
        whole.lost |= part.lost
        whole.end = part.end
    whole.routed = []
    return whole


def _answers(sums: dict[Key, Sum]) -> Iterable[Answers]:
    for key, found in sorted(sums.items()):
        yield Answers(
            at_s=key.at_s,
            revision=key.revision,
            arm=key.arm,
            share=key.share,
            mirror=key.mirror,
            group=key.group,
            alone=key.alone,
            requests=found.requests,
            errors=found.errors,
            units=found.units,
            durations=tuple(sorted(found.every.buckets.items())),
            failed=found.every.failed,
            first_durations=tuple(sorted(found.first.buckets.items())),
            first_failed=found.first.failed,
        )


class Gap:
    """Whether Envoy's counters know of requests that its log does not show.

    stalled: they do, and nothing more of this service is logged.
    """

    def __init__(self) -> None:
        self.stalled = False
        self._source = ""
        self._heard = 0
        self._requests = 0
        self._base: int | None = None
        self._from: int | None = None
        self._counted: list[tuple[float, int]] = []
        self._heard_then = 0
        self._hole = False

    def ended(self, requests: int, *, reached: bool) -> None:
        """So many more were heard. reached: up to the end of the log."""
        self._heard += requests
        if reached and self._from is None:
            self._from = self._heard

    def counted(self, source: str, more: int, at: float) -> None:
        """Envoy has counted so many more since the last look. at: monotonic seconds."""
        self._requests += more
        if source != self._source:
            self._source, self._from, self._base, self._counted = source, None, None, []
            self.stalled = False
            return
        if self._from is None:
            return
        if self._base is None:
            # What was counted later than now is logged later than what was heard until now.
            self._base = self._requests - self._from
        self._counted.append((at, self._requests))
        due = [seen for when, seen in self._counted if when <= at - LATE_S]
        self._counted = self._counted[max(0, len(due) - 1) :]
        if due:
            self._judge(due[-1] - self._base - self._heard)

    def _judge(self, missing: int) -> None:
        grew, self._heard_then = self._heard > self._heard_then, self._heard
        self.stalled = missing > 0 and not grew
        if missing > 0 and grew:
            self._hole = True
            self._from, self._base, self._counted = None, None, []

    def found(self) -> bool:
        """Whether some lines are missing that will not come any more; said once."""
        hole, self._hole = self._hole, False
        return hole


def units_file(folder: Path, service: ServiceKey, salt: str) -> Path:
    """One file per release."""
    name = hashlib.blake2b(salt.encode(), digest_size=6).hexdigest()
    return folder / f"{service.namespace}.{service.name}.{name}"


def units_files(folder: Path, service: ServiceKey) -> list[Path]:
    """Those of all releases of a service."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(folder.glob(f"{service.namespace}.{service.name}.*"))
    return []
