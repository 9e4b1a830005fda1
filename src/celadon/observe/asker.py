"""The probe of a drill: sends requests at a steady rate and writes down what became of each.

It runs by file path, as `python -I -S asker.py FOLDER`, of the standard library alone, so that killing the daemon does
not blind it. order.json in the folder says what to ask; lines of JSON go to told.jsonl, ten a second:
  now     up to when it has looked (wall time)
  oldest  when the oldest request without an answer was meant to be sent; null when there is none
  asked   requests that have ended: [when it was meant to be sent, when it ended, whether the answer was right]
  confirmed  marks that the daemon has confirmed: [when, its place in the journal], where the order says where to send them

An open loop: requests are sent when they are due, whatever became of those before. A request whose
connection breaks before a byte of the answer is sent again over a new one, twice at most and the second time after a
pause: a proxy that is killed lets go of its port only when it has ended. It ends when `end` is in the folder, or at its deadline.
"""

import asyncio
import base64
import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from typing import Any

LOOK_S = 0.1
PAUSE_S = 0.05
KEPT = 64
"""Connections that are kept open at most while nothing is asked over them."""


class BrokenError(Exception):
    """The connection ended before a byte of the answer."""


class Connection:
    """One connection to the service's own route."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.keeps = True

    async def ask(self, request: bytes) -> int:
        """The status of the answer, once all of it is here."""
        try:
            self.writer.write(request)
            first = await self.reader.readline()
        except ConnectionError as error:
            raise BrokenError from error
        if not first:
            raise BrokenError
        status = int(first.split(b" ")[1])
        length, chunked = await self.headers()
        if chunked:
            while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
                await self.reader.readexactly(size + 2)
            await self.reader.readuntil(b"\r\n")
        elif length is not None:
            await self.reader.readexactly(length)
        elif status not in {204, 304}:
            await self.reader.read()
            self.keeps = False
        return status

    async def headers(self) -> tuple[int | None, bool]:
        length, chunked = None, False
        while (line := await self.reader.readuntil(b"\r\n")) != b"\r\n":
            name, _, value = line.decode("latin-1").partition(":")
            value = value.strip().lower()
            match name.lower():
                case "content-length":
                    length = int(value)
                case "transfer-encoding":
                    chunked = value == "chunked"
                case "connection":
                    self.keeps = value != "close"
        return length, chunked

    def close(self) -> None:
        self.writer.transport.abort()


class Asker:
    """Asks by its order until it is told to end. Times in it are wall time that never jumps."""

    def __init__(self, folder: str, order: dict[str, Any]) -> None:
        self.folder, self.order = folder, order
        self.requests = [(base64.b64decode(one["raw"]), one["status"]) for one in order["requests"]]
        self.idle: list[Connection] = []
        self.open: dict[int, float] = {}
        self.ended: list[tuple[float, float, bool]] = []
        self.confirmed: list[tuple[float, int]] = []
        self.told = os.open(
            folder + "/told.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        self.tasks: set[asyncio.Task[None]] = set()
        self.zero = time.time() - time.monotonic()

    def now(self) -> float:
        return self.zero + time.monotonic()

    async def run(self) -> None:
        telling = asyncio.ensure_future(self.tell())
        if self.order["marks"] is not None:
            self.tasks.add(asyncio.ensure_future(self.mark(self.order["marks"])))
        began, number = self.now(), 0
        while not telling.done():
            due = began + number / self.order["rate"]
            if (wait_s := due - self.now()) > 0:
                await asyncio.sleep(wait_s)
            task = asyncio.ensure_future(self.one(number, due))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            number += 1
        for task in list(self.tasks):
            task.cancel()

    async def one(self, number: int, due: float) -> None:
        request, status = self.requests[number % len(self.requests)]
        self.open[number] = due
        right = False
        with contextlib.suppress(TimeoutError, OSError, BrokenError, ValueError, EOFError, IndexError):
            async with asyncio.timeout(self.order["answer_s"]):
                right = await self.ask(request) == status
        del self.open[number]
        self.ended.append((due, self.now(), right))

    async def ask(self, request: bytes) -> int:
        with contextlib.suppress(BrokenError):
            return await self.once(request, fresh=False)
        with contextlib.suppress(BrokenError):
            return await self.once(request, fresh=True)
        await asyncio.sleep(PAUSE_S)
        return await self.once(request, fresh=True)

    async def once(self, request: bytes, *, fresh: bool) -> int:
        while not fresh and self.idle:
            connection = self.idle.pop()
            if not connection.reader.at_eof() and not connection.writer.is_closing():
                break
            connection.close()
        else:
            connection = Connection(*await asyncio.open_connection(self.order["host"], self.order["port"]))
        try:
            status = await connection.ask(request)
        except BaseException:
            connection.close()
            raise
        if connection.keeps and len(self.idle) < KEPT:
            self.idle.append(connection)
        else:
            connection.close()
        return status

    async def mark(self, marks: dict[str, Any]) -> None:
        """Send the daemon commands from which nothing follows, and keep what it confirms."""
        while True:
            await asyncio.sleep(marks["every_s"])
            with contextlib.suppress(TimeoutError, OSError, ValueError, EOFError, KeyError, IndexError):
                async with asyncio.timeout(self.order["answer_s"]):
                    seq = await self.marked(marks)
                self.confirmed.append((self.now(), seq))

    async def marked(self, marks: dict[str, Any]) -> int:
        reader, writer = await asyncio.open_unix_connection(marks["socket"])
        try:
            head = f"POST {marks['path']} HTTP/1.1\r\nhost: celadon\r\nconnection: close\r\n"
            writer.write(head.encode() + b"content-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
            answer = await reader.read()
        finally:
            writer.transport.abort()
        return int(json.loads(answer.partition(b"\r\n\r\n")[2])["asked_seq"])

    def told_to_end(self) -> bool:
        return os.path.exists(self.folder + "/end")  # noqa: PTH110

    async def tell(self) -> None:
        """Until it is to end."""
        while time.time() < self.order["until"] and not self.told_to_end():
            await asyncio.sleep(LOOK_S)
            ended, self.ended = self.ended, []
            oldest = min(self.open.values(), default=None)
            confirmed, self.confirmed = self.confirmed, []
            line = {"now": self.now(), "oldest": oldest, "asked": ended, "confirmed": confirmed}
            os.write(self.told, json.dumps(line).encode() + b"\n")


def main() -> None:
    """Detaches first: whoever started this waits only for the parent's end."""
    if os.fork():
        os._exit(0)
    os.setsid()
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folder = sys.argv[1]
    lock = os.open(folder + "/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    os.chdir("/")
    with open(folder + "/order.json", encoding="utf-8") as file:  # noqa: PTH123
        order = json.load(file)
    asyncio.run(Asker(folder, order).run())


if __name__ == "__main__":
    main()
