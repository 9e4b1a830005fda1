"""What replicas print, as a stream of JSON lines."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from celadon.domain.names import ServiceKey
from celadon.domain.problem import Problem, ProblemsError
from celadon.doors.api.session import Session


def moment(text: str | None) -> float | None:
    """A wall time in Unix seconds. Raises ProblemsError."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise ProblemsError([Problem(path="since", found=f"`{text}` is not a number of seconds")]) from error


async def lines(
    session: Session, key: ServiceKey, start: float | None, *, follow: bool
) -> AsyncIterator[bytes]:
    """Lines of all replicas in order of time; following ends when the daemon stops."""
    source = session.daemon.platform.logs(key, start, follow=follow)
    stopping: asyncio.Future[Any] = asyncio.ensure_future(session.stopping.wait())
    waiting: asyncio.Future[Any] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(source))
            done, _ = await asyncio.wait(
                {waiting, stopping}, timeout=BEAT_S, return_when=asyncio.FIRST_COMPLETED
            )
            if waiting in done:
                replica, line = waiting.result()
                waiting = None
                yield _line(str(replica), line)
            elif stopping in done:
                return
            else:
                yield b"\n"
    except StopAsyncIteration:
        return
    finally:
        stopping.cancel()
        if waiting is not None:
            waiting.cancel()


BEAT_S = 5.0


def _line(replica: str, line: str) -> bytes:
    """A stamped line of a log: `TIME out|err TEXT`."""
    at, _, rest = line.partition(" ")
    stream, _, text = rest.partition(" ")
    return json.dumps({"replica": replica, "at": at, "stream": stream, "line": text}).encode() + b"\n"
