"""Requests sent to the application itself, without a socket: for warming up, and for recording answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from celadon.serving.front import WARMUP, Front, Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    body: bytes


class WarmupError(Exception):
    """The warm-up cannot be done as asked; the text says which line and why."""


def read_requests(path: Path) -> tuple[Request, ...]:
    """The requests of a JSON Lines file: method, path and body of each object; its other keys are for others.

    A body that is a string is sent as it stands, any other as JSON. Raises WarmupError, or OSError.
    """
    lines = path.read_bytes().splitlines()
    return tuple(_request(path, number, line) for number, line in enumerate(lines, 1) if line.strip())


def _request(path: Path, number: int, line: bytes) -> Request:
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise WarmupError(f"{path}, line {number}: not JSON: {error}") from None
    if not isinstance(entry, dict):
        raise WarmupError(f"{path}, line {number}: an object with method, path and body is expected")
    method, target = entry.get("method", "POST"), entry.get("path")
    if not isinstance(method, str) or not isinstance(target, str) or not target.startswith("/"):
        raise WarmupError(
            f"{path}, line {number}: method and path must be strings, the path from its first slash"
        )
    return Request(method=method.upper(), path=target, body=_body_bytes(entry.get("body")))


def _body_bytes(body: Any) -> bytes:
    match body:
        case None:
            return b""
        case str():
            return body.encode()
        case _:
            return orjson.dumps(body)


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
        "headers": [(b"content-length", b"%d" % len(request.body))],
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
