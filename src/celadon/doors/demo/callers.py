"""Callers: open-loop traffic over keep-alive connections. A request is sent once, whatever becomes of it."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from celadon.doors.demo.digits import Image
from celadon.doors.demo.exchange import Exchange
from celadon.doors.demo.workshop import Workshop

ANSWER_S = 60.0
"""How long a caller waits. Far longer than anything here takes, so that what is slow shows as slow."""

HEAD_BYTES_MAX = 64 * 1024
REVISION = b"x-celadon-revision"
REQUEST = b"x-request-id"

PEN = "x-pen"
"""The header that says with which pen an image was written."""


@dataclass(slots=True, kw_only=True)
class Connection:
    """One keep-alive connection, used by one request at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
        """Status, headers (names in lower case) and body. Raises OSError, EOFError or ValueError."""
        self.writer.write(request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        status = int(head[0].split(b" ", 2)[1])
        pairs = (line.partition(b":") for line in head[1:] if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        body = await self.reader.readexactly(int(headers[b"content-length"]))
        return status, headers, body


@dataclass(slots=True, kw_only=True)
class Callers:
    """Sends `rate_per_s` requests a second to a port on loopback from `start` until `stop`.

    pens: whether a header says with which pen an image was written, so that callers can be told apart by it.
    """

    workshop: Workshop
    images: Sequence[Image]
    port: int
    rate_per_s: float
    pens: Callable[[Image], str] | None = None
    exchanges: list[Exchange] = field(default_factory=list)
    _requests: list[bytes] = field(default_factory=list)
    _idle: list[Connection] = field(default_factory=list)
    _open: set[asyncio.Task[None]] = field(default_factory=set)
    _pace: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send. Needs a running event loop."""
        self._requests = [self._encoded(image) for image in self.images]
        self._pace = asyncio.ensure_future(self._send_steadily())

    @property
    def in_flight(self) -> int:
        """Requests that wait for their answer."""
        return len(self._open)

    async def stop(self) -> None:
        """Send no more and wait for every answer that is due."""
        if self._pace is None:
            return
        self._pace.cancel()
        await asyncio.gather(self._pace, *self._open, return_exceptions=True)
        for connection in self._idle:
            connection.writer.close()
        self._idle.clear()

    def _encoded(self, image: Image) -> bytes:
        body = json.dumps(self.workshop.request(image)).encode()
        head = (
            f"POST {self.workshop.path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n"
            f"content-type: application/json\r\n{self._pen(image)}content-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def _pen(self, image: Image) -> str:
        return f"{PEN}: {self.pens(image)}\r\n" if self.pens else ""

    async def _send_steadily(self) -> None:
        """Request number n leaves n / rate seconds after the start, however long earlier ones take."""
        began, wall = time.monotonic(), time.time()
        number = 0
        while True:
            due_s = number / self.rate_per_s
            await asyncio.sleep(max(0.0, began + due_s - time.monotonic()))
            task = asyncio.ensure_future(self._exchange(number, began + due_s, wall + due_s))
            self._open.add(task)
            task.add_done_callback(self._open.discard)
            number += 1

    async def _exchange(self, number: int, due: float, at: float) -> None:
        image = self.images[number % len(self.images)]
        request = self._requests[number % len(self.images)]
        try:
            async with asyncio.timeout(ANSWER_S):
                status, headers, body = await self._ask(request)
        except (OSError, EOFError, ValueError, KeyError, asyncio.LimitOverrunError, TimeoutError) as error:
            fault = f"{type(error).__name__}: {error}".rstrip(": ")
            self.exchanges.append(
                Exchange(at=at, latency_ms=_since_ms(due), fault=fault, service=self.workshop.service)
            )
            return
        digit = self.workshop.read(body) if status == 200 else None
        self.exchanges.append(
            Exchange(
                at=at,
                latency_ms=_since_ms(due),
                status=status,
                revision=headers.get(REVISION, b"").decode("latin-1") or None,
                right=None if digit is None else digit == image.digit,
                fault="" if status == 200 else body[:200].decode("utf-8", "replace"),
                service=self.workshop.service,
                request=headers.get(REQUEST, b"").decode("latin-1"),
                digit=image.digit,
            )
        )

    async def _ask(self, request: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
        """On an idle connection if there is one. A connection that fails in any way is closed, never used again."""
        if self._idle:
            connection = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=HEAD_BYTES_MAX)
            connection = Connection(reader=reader, writer=writer)
        keep = False
        try:
            status, headers, body = await connection.ask(request)
            keep = headers.get(b"connection", b"").lower() != b"close"
        finally:
            if keep:
                self._idle.append(connection)
            else:
                connection.writer.close()
        return status, headers, body


def _since_ms(due: float) -> float:
    return (time.monotonic() - due) * 1000
