"""The ASGI application: limits, the way to a route, the lane on which models run, and one answer for every request."""

from __future__ import annotations

import asyncio
import re
import sys
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

from celadon.serving import oip, tfs
from celadon.serving.answering import Answer, Route, answer_json, error
from celadon.serving.identity import Phase, Served
from celadon.serving.metrics import CONTENT_TYPE, Metrics
from celadon.serving.predictions import GROUP, MIRRORED, SHARE, PredictionLog
from celadon.serving.refusal import PROGRAM, InferenceFailedError, RequestRefusedError, shown

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

WARMUP: Final = "celadon.warmup"
OTHER: Final = "other"
WARMUP_PROTOCOL: Final = "warmup"
REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,256}")
"""What is echoed: nothing that could break a header or a log line."""
LANES: Final = 1
"""Runs at a time. One, so that a replica takes the cores its --threads say and no more; waiting requests queue in order."""


class ClientGoneError(Exception):
    """The client left before its request was whole; nobody is there to answer."""


@dataclass(slots=True, kw_only=True)
class _Headers:
    """The few headers that matter here, read in one pass."""

    request_id: bytes | None = None
    length: int | None = None
    encoding: bytes = b"identity"
    refused: str | None = None
    share: bytes | None = None
    group: bytes = b""
    mirrored: bool = False


class Front:
    """Serves one model on both protocols. Thread-safe counters aside, everything here runs on one event loop."""

    def __init__(
        self, served: Served, metrics: Metrics, max_body_bytes: int, log: PredictionLog | None = None
    ) -> None:
        self._served = served
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._log = log
        self._lane = ThreadPoolExecutor(max_workers=LANES, thread_name_prefix="lane")
        self._routes = {**tfs.routes(served), **oip.routes(served), **self._own_routes()}
        self.in_flight = 0
        """Requests of clients that were accepted and are not answered; warming up is nobody's request."""
        self.running = False
        """Whether the lane is running the model. Written by the lane alone."""

    def _own_routes(self) -> dict[tuple[str, str], Route]:
        def live(_: bytes) -> Answer:
            return answer_json({"live": True})

        def exposition(_: bytes) -> Answer:
            return Answer(body=self._metrics.exposition(), content_type=CONTENT_TYPE)

        return {
            ("GET", "/healthz/live"): Route(protocol=OTHER, answer=live),
            ("GET", "/healthz/ready"): Route(protocol=OTHER, answer=lambda _: oip.ready(self._served)),
            ("GET", "/metrics"): Route(protocol=OTHER, answer=exposition),
        }

    def flush(self) -> None:
        """What was to be logged is written, unless the disk is too slow for it; nothing is logged from then on."""
        if self._log is not None:
            self._log.close()

    def close(self) -> None:
        """Lets go of the lane; what waits on it will not run."""
        self._lane.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        route = self._route(scope["method"], scope["path"])
        protocol = OTHER if route is None else route.protocol
        if WARMUP in scope.get("extensions", ()):
            protocol = WARMUP_PROTOCOL
        headers = _read_headers(scope["headers"], route)
        counted = 0 if protocol == WARMUP_PROTOCOL else 1
        self._count_in_flight(counted)
        try:
            answer = await self._answer(scope, route, headers, receive)
            await send(self._start(answer, headers.request_id))
            await send({"type": "http.response.body", "body": answer.body})
        except ClientGoneError:
            self._metrics.gone(protocol)
        else:
            self._metrics.answered(protocol, answer.status, perf_counter() - started)
            if answer.outputs and headers.share is not None and headers.request_id is not None:
                self._note(headers.share, headers.request_id, headers, answer)
        finally:
            self._count_in_flight(-counted)

    def _note(self, share: bytes, request_id: bytes, headers: _Headers, answer: Answer) -> None:
        """Log what was predicted. The caller has its answer; nothing that goes wrong here may reach it."""
        if self._log is None:
            return
        try:
            self._log.note(share, request_id, headers.group, answer.outputs, mirrored=headers.mirrored)
        except Exception:  # noqa: BLE001  # as in _answer
            self._metrics.lost.inc()
            _complain(request_id, traceback.format_exc())

    def _count_in_flight(self, change: int) -> None:
        self.in_flight += change
        self._metrics.in_flight.inc(change)

    def _route(self, method: str, path: str) -> Route | None:
        if method == "HEAD":
            method = "GET"
        return self._routes.get((method, path)) or self._routes.get((method, tfs.canonical(path)))

    async def _answer(self, scope: Scope, route: Route | None, headers: _Headers, receive: Receive) -> Answer:
        try:
            if route is None:
                return self._unknown(scope["method"], scope["path"])
            if scope["method"] != "POST":
                return route.answer(b"")
            body = await self._body(headers, receive)
            if route.infers:
                return await asyncio.get_running_loop().run_in_executor(self._lane, self._infer, route, body)
            return route.answer(body)
        except ClientGoneError:
            raise
        except RequestRefusedError as refusal:
            return error(refusal.status, refusal.text)
        except InferenceFailedError as failure:
            _complain(headers.request_id, f"the model failed: {failure}")
            return error(500, f"the model failed: {failure}")
        except Exception:  # noqa: BLE001  # the last line of defence of a server
            # Our own bug. The server lives on, the client gets an answer, and the traceback is there to be reported.
            _complain(headers.request_id, traceback.format_exc())
            return error(500, "internal error of the model server, see its log")

    def _infer(self, route: Route, body: bytes) -> Answer:
        self.running = True
        started = perf_counter()
        try:
            return route.answer(body)
        finally:
            self._metrics.inference.observe(perf_counter() - started)
            self.running = False

    def _unknown(self, method: str, path: str) -> Answer:
        others = [known for known, where in self._routes if where == path]
        if path.startswith(tfs.PREFIX):
            return tfs.unknown(self._served, method, path)
        if others:
            return error(405, f"{shown(path)} answers {' and '.join(sorted(others))}, not {method}")
        return oip.unknown(self._served, method, path)

    async def _body(self, headers: _Headers, receive: Receive) -> bytes:
        """The whole body, never more than is allowed. Raises RequestRefusedError and ClientGoneError."""
        if headers.refused is not None:
            raise RequestRefusedError(400, headers.refused)
        if headers.encoding != b"identity":
            raise RequestRefusedError(
                415, f"content-encoding {shown(headers.encoding.decode('latin-1'))} is not offered"
            )
        # The length that was stated counts at once, so that a body that is too large is not even waited for.
        stated, received = headers.length or 0, 0
        parts: list[bytes] = []
        message: Message = {}
        while max(stated, received) <= self._max_body_bytes:
            if parts and not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            parts.append(message.get("body", b""))
            received += len(parts[-1])
        raise RequestRefusedError(
            413, f"the body is larger than the {self._max_body_bytes} bytes that are allowed"
        )

    def _start(self, answer: Answer, request_id: bytes | None) -> Message:
        headers = [(b"content-type", answer.content_type), (b"content-length", b"%d" % len(answer.body))]
        if request_id is not None:
            headers.append((b"x-request-id", request_id))
        if self._served.life.phase is Phase.DRAINING:
            headers.append((b"connection", b"close"))
        return {"type": "http.response.start", "status": answer.status, "headers": headers}


def _read_headers(raw: list[tuple[bytes, bytes]], route: Route | None) -> _Headers:
    refused = (route.refuse_headers if route else None) or {}
    headers = _Headers()
    for name, value in raw:
        if name == b"x-request-id":
            headers.request_id = value if REQUEST_ID.fullmatch(value) else None
        elif name == b"content-length":
            headers.length = int(value)
        elif name == b"content-encoding":
            headers.encoding = value.lower()
        elif name in refused:
            headers.refused = refused[name]
        elif name.startswith(b"x-celadon-"):
            _read_drawn(headers, name, value)
    return headers


def _read_drawn(headers: _Headers, name: bytes, value: bytes) -> None:
    """What the router says of a request that it drew to a side."""
    if name == SHARE:
        headers.share = value
    elif name == GROUP:
        headers.group = value
    elif name == MIRRORED:
        headers.mirrored = value not in {b"", b"0", b"false"}


def _complain(request_id: bytes | None, text: str) -> None:
    where = "" if request_id is None else f" (request {shown(request_id.decode('latin-1'))})"
    sys.stderr.write(f"{PROGRAM}: {text}{where}\n")
