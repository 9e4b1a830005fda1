"""Requests sent to the application itself, without a socket: for warming up, and for recording answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import orjson

from celadon.serving.front import WARMUP, Front, Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes


class WarmupError(Exception):
    """The warm-up cannot be done as asked; the text says which line and why."""


def read_requests(path: Path, default_path: str) -> tuple[Request, ...]:
    """The requests of a file of golden requests, in JSON Lines: method, path, headers and body; what is expected is for others.

    A line without a path goes to `default_path`; without a method it is a POST where it has a body or no path.
    Raises WarmupError, or OSError.
    """
    lines = path.read_bytes().split(b"\n")
    return tuple(
        _request(f"{path}, line {number}", line, default_path)
        for number, line in enumerate(lines, 1)
        if line.strip()
    )


def _request(where: str, line: bytes, default_path: str) -> Request:
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise WarmupError(f"{where}: not JSON: {error}") from None
    if not isinstance(entry, dict):
        raise WarmupError(f"{where}: an object with a path or a body is expected")
    path, body, headers = entry.get("path"), entry.get("body"), entry.get("headers") or {}
    method = entry.get("method") or ("GET" if path is not None and body is None else "POST")
    if path is None:
        path = default_path
    if not isinstance(method, str) or not isinstance(path, str) or not path.startswith("/"):
        raise WarmupError(f"{where}: method and path must be strings, the path from its first slash")
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise WarmupError(f"{where}: headers must be an object of strings")
    return Request(
        method=method.upper(),
        path=path,
        headers=tuple((name.lower().encode(), value.encode()) for name, value in headers.items()),
        body=b"" if body is None else orjson.dumps(body),
    )


async def replay(front: Front, request: Request) -> tuple[int, bytes]:
    """Status and body of the answer, made by the same code that answers clients; counted as warm-up."""
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": request.body, "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    path, _, query = request.path.partition("?")
    scope = {
        "type": "http",
        "method": request.method,
        "path": path,
        "query_string": query.encode(),
        "headers": [*request.headers, (b"content-length", b"%d" % len(request.body))],
        "extensions": {WARMUP: {}},
    }
    await front(scope, receive, send)
    return messages[0]["status"], messages[1]["body"]


async def warm_up(front: Front, requests: tuple[Request, ...]) -> None:
    """Replays in order. Raises WarmupError on the first answer of 500 and above; a 4xx may be what a golden request expects."""
    for position, request in enumerate(requests, 1):
        status, body = await replay(front, request)
        if status >= 500:
            text = body.decode(errors="replace")[:500]
            raise WarmupError(
                f"warm-up request {position} of {len(requests)} ({request.method} {request.path}) was answered {status}: {text}"
            )
