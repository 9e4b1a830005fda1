"""Clients of a service: an open loop over raw HTTP/1.1 that never repeats a request and forgets nothing."""

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

ANSWER_S = 30.0


@dataclass(kw_only=True)
class Exchange:
    """One request. Times are monotonic seconds; at: when it was meant to be sent, whatever happened before.

    number: which request of its load it was.
    """

    at: float
    number: int = 0
    sent_at: float = 0.0
    ended_at: float = 0.0
    status: int | None = None
    revision: str = ""
    request_id: str = ""
    error: str = ""
    body: bytes = b""

    @property
    def answered(self):
        return self.status is not None and not self.error


class Connection:
    """A kept connection to one port."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, port):
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @property
    def usable(self):
        """What the server has closed while it lay idle is not used again, as every client does it."""
        return not (self.reader.at_eof() or self.writer.is_closing())

    async def ask(self, found, request):
        """Send and read one answer whole into `found`; says whether the connection may be kept."""
        found.sent_at = time.monotonic()
        self.writer.write(request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        status = int(head[0].split(" ")[1])
        found.revision = headers.get("x-celadon-revision", "")
        found.request_id = headers.get("x-request-id", "")
        found.body = await self._body(headers)
        found.status = status
        return headers.get("connection", "").lower() != "close"

    async def _body(self, headers):
        if headers.get("transfer-encoding") != "chunked":
            return await self.reader.readexactly(int(headers.get("content-length", 0)))
        body = b""
        while size := int((await self.reader.readuntil(b"\r\n")).strip(), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readuntil(b"\r\n")
        return body

    def close(self):
        self.writer.transport.abort()


def request(method, path, body=b"", **headers):
    """The bytes of a request."""
    given = {"host": "model.test", "content-type": "application/json", "content-length": len(body), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


async def once(port, raw, within_s=ANSWER_S):
    """One request on a connection of its own."""
    found = Exchange(at=time.monotonic())
    connection = None
    try:
        async with asyncio.timeout(within_s):
            connection = await Connection.to(port)
            await connection.ask(found, raw)
    except (OSError, EOFError, TimeoutError, asyncio.IncompleteReadError) as error:
        found.error = repr(error)
    finally:
        found.ended_at = time.monotonic()
        if connection is not None:
            connection.close()
    return found


def ask(port, path="/score", body=b"{}", *, method="POST", within_s=ANSWER_S, **headers):
    """One request, from a test that has no loop."""
    return asyncio.run(once(port, request(method, path, body, **headers), within_s))


@dataclass(kw_only=True)
class Load:
    """Sends at a fixed rate from a thread of its own until the context is left, then waits for every answer.

    headers: what request number so and so has beside the usual ones.
    """

    port: int
    rate: float = 60.0
    path: str = "/score"
    body: bytes = b"{}"
    headers: Callable[[int], dict[str, str]] = lambda _: {}
    exchanges: list = field(default_factory=list)

    def __enter__(self):
        self._idle = []
        self._enough = threading.Event()
        self._going, self._rests = threading.Event(), threading.Event()
        self._going.set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send()))
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def pause(self):
        """Send nothing for a while, and wait for what was sent."""
        self._rests.clear()
        self._going.clear()
        self._rests.wait()
        while len(self.ended) < len(self.exchanges):
            time.sleep(0.01)

    def resume(self):
        self._going.set()

    def stop(self):
        """Send nothing more, and wait for what was sent."""
        self._enough.set()
        self._thread.join()

    async def _send(self):
        began = time.monotonic()
        number = 0
        async with asyncio.TaskGroup() as group:
            while not self._enough.is_set():
                at = began + number / self.rate
                await asyncio.sleep(max(0.0, at - time.monotonic()))
                if not self._going.is_set():
                    self._rests.set()
                    number += 1
                    continue
                found = Exchange(at=at, number=number)
                raw = request("POST", self.path, self.body, **self.headers(number))
                number += 1
                self.exchanges.append(found)
                group.create_task(self._one(found, raw))
        for connection in self._idle:
            connection.close()

    async def _one(self, found, raw):
        connection = None
        try:
            async with asyncio.timeout(ANSWER_S):
                connection = self._kept() or await Connection.to(self.port)
                if await connection.ask(found, raw):
                    self._idle.append(connection)
                    connection = None
        except (OSError, EOFError, TimeoutError, asyncio.IncompleteReadError) as error:
            found.error = repr(error)
        finally:
            found.ended_at = time.monotonic()
            if connection is not None:
                connection.close()

    def _kept(self):
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.close()
        return None

    @property
    def ended(self):
        return [found for found in list(self.exchanges) if found.ended_at]

    def failed(self, *, but=()):
        """Requests that were not answered well. but: revisions whose own error answers are their own fault."""
        return [
            found
            for found in self.ended
            if not found.answered or (found.status >= 300 and found.revision not in but)
        ]

    def answered_by(self, revision):
        return [found for found in self.ended if found.answered and found.revision == revision]

    def longest_gap_s(self):
        """The longest time in which no request that was meant to be sent got a good answer."""
        good = sorted(found.ended_at for found in self.ended if found.answered and found.status < 300)
        return max((after - before for before, after in itertools.pairwise(good)), default=0.0)


@contextlib.contextmanager
def loads(*ports, rate=30.0):
    """Load on several services at once."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Load(port=port, rate=rate)) for port in ports]
