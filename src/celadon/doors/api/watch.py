"""News as a stream of JSON lines: whenever anything changes, every service as it is and what was decided."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from celadon.domain.names import ServiceKey
from celadon.domain.problem import Problem, ProblemsError
from celadon.doors.api import shape
from celadon.doors.api.releases import Teller
from celadon.doors.api.session import Session, named

Json = dict[str, Any]

NDJSON = "application/x-ndjson"

BEAT_S = 5.0
"""An empty line is sent this often when nothing changes, so that a reader knows a silent stream from a dead one."""


FRAME_S = 0.1
BURST_S = 1.0
"""Frames come this far apart once changes have come faster for a while; then some come together, and no decision is
left out. The first ten are sent at once, because somebody waits for the answer to a command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A service to be watched, and the place in its journal after which decisions are news; None: from now on."""

    service: ServiceKey
    after: int | None


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Tells one service's decisions, each once."""

    at: int
    read: int = 0
    teller: Teller = field(default_factory=Teller)

    def news(self, session: Session, key: ServiceKey) -> list[Json]:
        if session.view(key).memory.seq <= self.read:
            return []
        told = [each for record in session.records(key, self.read) for each in self.teller.take(record)]
        self.read = max((decision["seq"] for decision in told), default=self.read)
        fresh = [decision for decision in told if decision["seq"] > self.at]
        self.at = max(self.at, self.read)
        return fresh


def wishes(session: Session, services: Sequence[str], after: Sequence[str]) -> tuple[Wish, ...]:
    """The services that a request names, each with its place; none means all. Raises ProblemsError."""
    if after and len(after) != len(services):
        raise ProblemsError([Problem(path="after", found="is not given once for each service")])
    named_ones = [named(service) for service in services]
    for key in named_ones:
        session.view(key)
    places = [_place(text) for text in after] or [None] * len(services)
    return tuple(Wish(service=key, after=place) for key, place in zip(named_ones, places, strict=True))


def _place(text: str) -> int | None:
    try:
        return int(text) if int(text) >= 0 else None
    except ValueError as error:
        raise ProblemsError([Problem(path="after", found=f"`{text}` is not a number")]) from error


async def frames(session: Session, wanted: tuple[Wish, ...]) -> AsyncIterator[bytes]:
    """Frames until the reader leaves or the daemon stops; the last one says that it stops."""
    readers: dict[ServiceKey, _Reader] = {}
    stopping: asyncio.Future[Any] = asyncio.ensure_future(session.stopping.wait())
    paced_to = 0.0
    try:
        while not session.stopping.is_set() and not session.engine.closing:
            version = session.engine.version
            yield _line(_frame(session, wanted, readers))
            now = time.monotonic()
            paced_to = max(paced_to, now - BURST_S) + FRAME_S
            if paced_to > now:
                await asyncio.wait([stopping], timeout=paced_to - now)
            while session.engine.version == version and not stopping.done():
                if not await _changes(session, version, stopping):
                    yield b"\n"
        yield _line({"ends": True, "why": "the daemon stops; traffic lives on"})
    finally:
        stopping.cancel()


async def _changes(session: Session, version: int, stopping: asyncio.Future[Any]) -> bool:
    """Whether anything has changed or is about to end, or nothing for a beat."""
    changed: asyncio.Future[Any] = asyncio.ensure_future(session.engine.changed(version))
    try:
        done, _ = await asyncio.wait({changed, stopping}, timeout=BEAT_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        changed.cancel()
    return bool(done)


def _frame(session: Session, wanted: tuple[Wish, ...], readers: dict[ServiceKey, _Reader]) -> Json:
    every = wanted or tuple(Wish(service=key, after=None) for key in session.engine.services())
    decisions: list[Json] = []
    for wish in every:
        if wish.service not in readers:
            at = session.view(wish.service).memory.seq if wish.after is None else wish.after
            readers[wish.service] = _Reader(at=at)
        decisions += readers[wish.service].news(session, wish.service)
    return {
        "version": session.engine.version,
        "services": [shape.service(session.view(wish.service)) for wish in every],
        "decisions": decisions,
    }


def _line(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
