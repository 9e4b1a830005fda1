"""Asks a replica whether it can serve."""

import asyncio

ANSWER_BYTES_MAX = 64 * 1024


async def answers(port: int, path: str, timeout_s: float) -> bool:
    """Whether GET `path` is answered with 2xx in time.

    Every probe has a connection of its own: that proves that the replica still accepts, and a server that closes
    idle connections is never mistaken for one that is down.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return 200 <= await _status(port, path) < 300
    except (OSError, ValueError, EOFError, TimeoutError, asyncio.LimitOverrunError):
        return False


async def _status(port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        request = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: celadon\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n"
        )
        writer.write(request.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        protocol, status, *_ = head.split(None, 2)
        if not protocol.startswith(b"HTTP/1."):
            raise ValueError(protocol)
        # Hanging up on an answer makes simple servers print stack traces, so take all of it if it says how long it is.
        await reader.readexactly(min(_content_length(head), ANSWER_BYTES_MAX))
        return int(status)
    finally:
        writer.close()


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return max(0, int(value))
    return 0


class Rhythm:
    """How often to ask: quickly while a replica starts, calmly once it is ready."""

    FIRST_S = 0.05
    STARTING_S = 0.2
    READY_S = 1.0

    def __init__(self) -> None:
        self._wait_s = self.FIRST_S

    def next_s(self, *, ready: bool) -> float:
        """Seconds until the next question."""
        if ready:
            self._wait_s = self.FIRST_S
            return self.READY_S
        wait_s = self._wait_s
        self._wait_s = min(self.STARTING_S, wait_s * 1.25)
        return wait_s
