"""The life of the server's process: bind, load, listen, warm up, serve, finish what was accepted, end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Final, NoReturn

import uvicorn
import uvloop

from celadon.serving import model as models
from celadon.serving.artifact import examine
from celadon.serving.front import Front
from celadon.serving.identity import Life, Phase, Served
from celadon.serving.metrics import Metrics
from celadon.serving.predictions import PredictionLog
from celadon.serving.refusal import MODEL_REFUSED, OK, PROGRAM, WORLD_FAILED
from celadon.serving.replay import Request, WarmupError, read_requests, warm_up

BACKLOG: Final = 2048
# Longer than the hour after which Envoy lets go of an idle connection: the side that sends next should be the one that closes.
KEEP_ALIVE_S: Final = 3900
# The lane and the event loop take turns at the interpreter; its own 5 ms would be the latency of a small request behind a large one.
SWITCH_INTERVAL_S: Final = 0.0005
LINGER_S: Final = 0.5
"""How long idle connections stay open once we drain, for requests that were already on their way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    model: Path
    name: str
    version: str
    host: str
    port: int
    revision: str
    warmup: Path | None
    threads: int
    max_body_bytes: int
    drain_s: float
    predictions: Path | None = None


def serve(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT and returns the exit code.

    Raises ModelRefusedError, WarmupError, OSError or MemoryError when it does not come to serving.
    """
    signal.signal(signal.SIGTERM, _leave)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    listener = _bind(settings.host, settings.port)
    requests = (
        ()
        if settings.warmup is None
        else read_requests(settings.warmup, f"/v1/models/{settings.name}:predict")
    )
    loaded = models.load(examine(settings.model), settings.threads)
    served = Served(name=settings.name, version=settings.version, model=loaded, life=Life())
    metrics = Metrics(served, settings.revision)
    log = None
    if settings.predictions is not None:
        log = PredictionLog(settings.predictions, settings.revision, metrics.logged.inc, metrics.lost.inc)
    front = Front(served, metrics, settings.max_body_bytes, log)
    server = _Server(front, served.life, settings.drain_s)
    # What is loaded stays; looking through it again for every large request would show in the latency.
    gc.freeze()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, server.handle_exit)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_live(settings, server, front, listener, requests))
    front.close()
    return code


async def _live(
    settings: Settings, server: _Server, front: Front, listener: socket.socket, requests: tuple[Request, ...]
) -> int:
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    warming = asyncio.ensure_future(_warm_up(server, front, requests))
    started = monotonic()
    await asyncio.wait((serving, warming), return_when=asyncio.FIRST_COMPLETED)
    failure = warming.exception() if warming.done() else None
    if failure is not None:
        server.should_exit = True
    elif warming.done() and server.life.phase is Phase.WARMING:
        server.life.phase = Phase.READY
        say(
            f"ready: {settings.name}, revision {settings.revision}; warmed up with {len(requests)} requests in {monotonic() - started:.2f} s"
        )
    await serving
    warming.cancel()
    front.flush()
    if server.cut:
        say(f"the drain deadline of {settings.drain_s:g} s passed; requests cut: {server.cut}")
        _leave_at_once(WORLD_FAILED)
    if isinstance(failure, WarmupError):
        say(str(failure))
        return MODEL_REFUSED
    if failure is not None:
        raise failure
    if front.running:
        _leave_at_once(OK)
    return OK


async def _warm_up(server: _Server, front: Front, requests: tuple[Request, ...]) -> None:
    """Once it listens, so that nobody is told of a ready server that cannot be reached."""
    await server.listening.wait()
    await warm_up(front, requests)


def _leave_at_once(code: int) -> NoReturn:
    """For when the model is in the middle of a run: it cannot be interrupted, and the interpreter would wait for its thread."""
    sys.stderr.flush()
    os._exit(code)


def say(text: str) -> None:
    sys.stderr.write(f"{PROGRAM}: {text}\n")


def _leave(_signum: int, _frame: FrameType | None) -> None:
    """Nothing was accepted yet, so there is nothing to finish."""
    raise SystemExit(OK)


def _bind(host: str, port: int) -> socket.socket:
    """A bound socket, before the model is loaded, so that a taken port is known at once. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as failure:
        listener.close()
        raise OSError(failure.errno, f"cannot listen on {host}:{port}: {failure.strerror}") from failure
    return listener


class _Server(uvicorn.Server):
    """uvicorn, with an end of our own: it lingers for requests on their way, keeps one deadline and then leaves with a code."""

    def __init__(self, front: Front, life: Life, drain_s: float) -> None:
        config = uvicorn.Config(
            front,
            loop="none",
            http="httptools",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        super().__init__(config)
        self.life = life
        self.cut = 0
        self.listening = asyncio.Event()
        self._front = front
        self._drain_s = drain_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = (sockets or [])[0].getsockname()[:2]
        say(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}")
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """The signals were taken before the loop began, and stay taken.

        The original raises them again at its end, and would die of them instead of exiting.
        """
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # uvicorn's signature
        self.life.phase = Phase.DRAINING
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002  # uvicorn's signature
        """Ends within the drain time; `cut` says how many requests did not get their answer."""
        deadline = monotonic() + self._drain_s
        self.life.phase = Phase.DRAINING
        for server in self.servers:
            server.close()
        await self._quiet_by(min(monotonic() + LINGER_S, deadline))
        for connection in list(self.server_state.connections):
            # Idle connections close now, the others after the answer they are waiting for.
            connection.shutdown()
        await self._quiet_by(deadline)
        self.cut = self._front.in_flight
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    async def _quiet_by(self, deadline: float) -> None:
        while (self.server_state.connections or self._front.in_flight) and monotonic() < deadline:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.01)
