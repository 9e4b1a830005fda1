"""Listens to the request logs for all services that are drawn: what was heard is told once, by position."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from celadon.domain.draw import Draw
from celadon.domain.feedback import Routed
from celadon.domain.names import ServiceKey
from celadon.domain.problem import TransientFault
from celadon.traffic.envoy.heard import Heard, Part, Position, Told, position, units_files
from celadon.traffic.envoy.tail import Place, RequestLog, Slice

HEAR_S = 0.2
"""As often as Envoy writes its log."""

FORGET_S = 10.0
"""Nobody asked after a service for so long: reading for it begins again where it is asked to."""

LATER_S = 60.0
"""Answers to requests that were drawn are awaited for so long after the last draw."""

TellRouted = Callable[[ServiceKey, Sequence[Routed]], None]


@dataclass(slots=True, kw_only=True)
class Written:
    """One Envoy's request log. reopen: makes that Envoy open it again, which is owed once it was put aside.

    ended: nobody writes it any more, so that it is `gone` once it was read.
    """

    log: RequestLog
    reopen: Callable[[], Awaitable[None]]
    owed: bool = True
    ended: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Ears:
    """All methods belong to one event loop; files are read in a thread.

    logs: one for each Envoy; those of the first ones stay. drawn: how a service draws now. routed: is given every drawn
    request before any position after it is told, and after a crash again; when it raises TransientFault, it is given
    them once more. wake: called when errors of green were heard.
    """

    logs: list[Written]
    folder: Path
    drawn: Callable[[ServiceKey], Draw | None]
    routed: TellRouted | None
    wake: Callable[[ServiceKey], None]
    _heard: dict[ServiceKey, Heard] = field(default_factory=dict)
    _ends: tuple[Place, ...] = ()
    _why: str = ""

    def open(self) -> None:
        """Before Envoy is started. Raises OSError."""
        for written in self.logs:
            written.log.prepare()
        self._ends = tuple(written.log.end() for written in self.logs)

    def told(self, service: ServiceKey, since: str) -> Told:
        """What was heard after a position that was told before, as of the last turn. An empty one begins now.

        For a service that is not drawn nothing is read, and its position goes on with the log.
        """
        draw, now = self.drawn(service), time.monotonic()
        heard = self._heard.get(service)
        if heard is None and (draw is None or not since):
            return Told(end=str(Position(self._ends)))
        if heard is not None and since and (told := heard.told(since)) is not None:
            heard.asked_at = now
            return told
        return self._begin(service, since, now)

    def _begin(self, service: ServiceKey, since: str, now: float) -> Told:
        """Another position than the one that was told last: what came after it is read, perhaps once more."""
        self._heard.pop(service, None)
        if not since:
            return Told(end=str(Position(self._ends)))
        try:
            at = position(since)
        except ValueError:
            return Told(end=str(Position(self._ends)), complete=False)
        heard = Heard(service, at, self.folder)
        heard.asked_at = heard.drawn_at = now
        self._heard[service] = heard
        return Told(end=since)

    def counted(self, source: str, more: Callable[[ServiceKey], int]) -> None:
        """What Envoy has counted since the last look, so that a log that stands still is noticed, and opened again."""
        for service, heard in self._heard.items():
            heard.gap.counted(source, more(service), time.monotonic())
            for written in self.logs if heard.gap.stalled else ():
                written.owed = True

    def notes(self, service: ServiceKey) -> tuple[str, ...]:
        """What a person should know of the log of one service."""
        heard = self._heard.get(service)
        if heard is None:
            return ()
        found = []
        if self._why:
            found.append(self._why)
        if heard.gap.stalled:
            found.append("Envoy counts requests that its request log does not show")
        if heard.broken:
            found.append(f"{heard.broken} lines of the request log could not be read")
        return tuple(found)

    async def turn(self) -> bool:
        """Reads one slice for each service. Whether there is more to read at once."""
        self._forget()
        wanted = [(heard, self.drawn(service)) for service, heard in self._heard.items()]
        ended = [written for written in self.logs if written.ended]
        try:
            parts, self._ends, rotated = await asyncio.to_thread(self._read, wanted)
            for written in rotated:
                written.owed = True
            await self._pay()
            self._why = ""
        except OSError as error:
            self._why = f"the request log can not be read: {error.strerror}"
            return False
        taken = [self._take(heard, part) for heard, part in parts]
        reached = all(part.reached for _, part in parts)
        if reached and all(taken) and ended:
            self._let_go(ended)
        return not reached

    async def end(self, number: int) -> None:
        """The Envoy that wrote the last log has ended. Returns once everybody has read it to its end, and let it go."""
        written = self.logs[number]
        written.ended = True
        await written.gone.wait()

    def _let_go(self, ended: list[Written]) -> None:
        """Nobody will write these again, and everybody has read them to their ends."""
        self.logs = [written for written in self.logs if written not in ended]
        self._ends = self._ends[: len(self.logs)]
        for heard in self._heard.values():
            heard.let_go(len(self.logs))
        for written in ended:
            written.gone.set()

    async def _pay(self) -> None:
        """A daemon may have died after it put a log aside, so the first of its own turns makes Envoy look too."""
        for written in self.logs:
            if written.owed:
                with contextlib.suppress(TransientFault):
                    await written.reopen()
                    written.owed = False

    def _forget(self) -> None:
        now = time.monotonic()
        for service, heard in list(self._heard.items()):
            if self.drawn(service) is not None:
                heard.drawn_at = now
            if now - heard.drawn_at > LATER_S or now - heard.asked_at > FORGET_S:
                self._heard.pop(service)
                if self.drawn(service) is None:
                    for path in units_files(self.folder, service):
                        path.unlink(missing_ok=True)

    def _read(
        self, wanted: Iterable[tuple[Heard, Draw | None]]
    ) -> tuple[list[tuple[Heard, Part]], tuple[Place, ...], list[Written]]:
        """In the thread. Those that stand at the same place, as they mostly do, read together."""
        slices: dict[tuple[int, Place], Slice] = {}
        parts: list[tuple[Heard, Part]] = []
        route = self.routed is not None
        for heard, draw in wanted:
            found = []
            for number, written in enumerate(self.logs):
                # Whoever was told before this log began has all of it before them.
                places = heard.at.places
                place = places[number] if number < len(places) else written.log.begin()
                if (number, place) not in slices:
                    slices[number, place] = written.log.read(place)
                found.append(slices[number, place])
            parts.append((heard, heard.hear(found, draw, route=route)))
        ends = tuple(written.log.end() for written in self.logs)
        rotated = []
        for number, written in enumerate(self.logs):
            needed = min((place.number for of, place in slices if of == number), default=None)
            if written.log.rotate(needed):
                rotated.append(written)
        return parts, ends, rotated

    def _take(self, heard: Heard, part: Part) -> bool:
        """Whether it was taken. What was begun anew in the meantime, or could not be kept, is read again."""
        service = heard.service
        if self._heard.get(service) is not heard:
            return False
        if self.routed is not None and part.routed:
            try:
                self.routed(service, part.routed)
            except TransientFault as fault:
                self._why = str(fault)
                heard.again()
                return False
        heard.take(part)
        draw = self.drawn(service)
        if draw is not None and any(
            s.every.failed and key.revision == draw.green for key, s in part.sums.items()
        ):
            self.wake(service)
        return True
