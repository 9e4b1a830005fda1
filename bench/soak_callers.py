"""Callers for hours: an open loop at a fixed rate over several services, that counts and keeps nothing but failures.

A process of its own, so that nothing the driver does delays a request: `python -m bench.soak_callers PLAN`, PLAN being
JSON: {"rate_per_s", "targets": [{"service", "port", "path", "body", "labelled"}]}. It writes a line of counts every
second, a line for each failure at once, and ends when its input does, once every answer is there.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from bench.backends import NAME_HEADER

ANSWER_S = 30.0
TOLD_S = 1.0
IDLE_MAX = 8
"""Connections kept per service: those that a slow moment needs beyond must not look as if the proxy grew."""

PLANTED = "bad"
"""Servers whose name begins so fail on purpose: that answer is theirs and no loss of the platform."""

Json = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Target:
    """One service. labelled: the request ids of its answers are told, so that somebody can label them."""

    service: str
    request: bytes
    port: int
    labelled: bool
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)


def target(given: Json) -> Target:
    body = json.dumps(given["body"]).encode()
    head = (
        f"POST {given['path']} HTTP/1.1\r\nhost: soak.test\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return Target(
        service=given["service"],
        request=head.encode() + body,
        port=given["port"],
        labelled=given.get("labelled", False),
    )


class Callers:
    """Everybody who calls."""

    def __init__(self, plan: Json) -> None:
        self._targets = [target(given) for given in plan["targets"]]
        self._rate_per_s = plan["rate_per_s"]
        self._counts: Counter[str] = Counter()
        self._slowest_ms = 0.0

    async def call(self, enough: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tell(enough))
            began, number = time.monotonic(), 0
            while not enough.is_set():
                at = began + number / self._rate_per_s
                await asyncio.sleep(max(0.0, at - time.monotonic()))
                group.create_task(self._one(self._targets[number % len(self._targets)], at))
                number += 1
        self._say()

    async def _one(self, target: Target, at: float) -> None:
        """One request from its intended time to its answer. It is never sent twice."""
        self._counts["requests"] += 1
        try:
            async with asyncio.timeout(ANSWER_S):
                status, headers = await _ask(target)
        except (OSError, EOFError, ValueError, KeyError, TimeoutError) as error:
            self._failed(target, at, f"{type(error).__name__}: {error}")
            return
        self._slowest_ms = max(self._slowest_ms, 1000 * (time.monotonic() - at))
        if status >= 500 and headers.get(NAME_HEADER, "").startswith(PLANTED):
            self._counts["planted"] += 1
        elif status != 200:
            self._failed(target, at, f"status {status} of {headers.get('x-celadon-revision', 'the proxy')}")
        elif target.labelled and "x-request-id" in headers:
            target.ids.append(headers["x-request-id"])

    def _failed(self, target: Target, at: float, why: str) -> None:
        self._counts["failed"] += 1
        _write({"failed": {"service": target.service, "at": at, "ended": time.monotonic(), "why": why}})

    async def _tell(self, enough: asyncio.Event) -> None:
        while not enough.is_set():
            await asyncio.sleep(TOLD_S)
            self._say()

    def _say(self) -> None:
        ids = {target.service: target.ids for target in self._targets if target.ids}
        _write({"counts": {**self._counts, "slowest_ms": round(self._slowest_ms, 1)}, "ids": ids})
        self._slowest_ms = 0.0
        for target in self._targets:
            target.ids = []


async def _ask(target: Target) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer that was read whole, on a kept connection where one is still open."""
    while target.idle:
        reader, writer = target.idle.pop()
        if not (reader.at_eof() or writer.is_closing()):
            break
        writer.close()
    else:
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    kept = False
    try:
        writer.write(target.request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        await reader.readexactly(int(headers["content-length"]))
        kept = headers.get("connection", "").lower() != "close"
    finally:
        if kept and len(target.idle) < IDLE_MAX:
            target.idle.append((reader, writer))
        else:
            writer.transport.abort()
    return int(head[0].split(" ")[1]), headers


def _write(line: Json) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def main() -> None:
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), enough.set)
    await Callers(json.loads(sys.argv[1])).call(enough)


if __name__ == "__main__":
    asyncio.run(main())
