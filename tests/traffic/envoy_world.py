"""Real upstreams, a real Envoy in a folder of its own, and one way to wait."""

import asyncio
import contextlib
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from celadon.domain.draw import Match
from celadon.domain.facts import Known, RouteFacts
from celadon.domain.goal import Endpoint, Part, Route, Stamp, Wanted
from celadon.domain.names import Address, RevisionId, ServiceKey
from celadon.domain.spec import Retry, RetryWhen, RouteSpec
from celadon.traffic.envoy import EnvoyRouter
from celadon.traffic.envoy.snapshot import cluster_name

BLUE, GREEN = RevisionId("b" * 12), RevisionId("a" * 12)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def eventually(condition: Callable[[], object], within_s: float = 15.0) -> object:
    """Waits for a condition; what it returned is the answer."""
    until = time.monotonic() + within_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < until, "it never came about"
        await asyncio.sleep(0.005)


@dataclass
class Upstream:
    """A small HTTP/1.1 server whose answers say who it is and which behave by their path.

    /slow/SECONDS, /stream/SECONDS (a line every 50 ms, `end` last), /status/CODE, /reset
    (closes without an answer), /break (closes in the middle of one), /echo (the body's length), /who.
    held: nothing is answered before it is set, but /ready is. deaf: not even /ready is. path: behaves as if everybody had asked for this.
    """

    name: str
    idle_s: float | None = None
    held: asyncio.Event | None = None
    path: str | None = None
    seen: list[str] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    connections: int = 0
    open_answers: int = 0
    resets: int = 0
    ready: bool = True
    deaf: bool = False

    async def start(self, port: int = 0) -> "Upstream":
        self._tasks: set[asyncio.StreamWriter] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    @property
    def address(self) -> Address:
        return Address(host="127.0.0.1", port=self.port)

    async def stop(self) -> None:
        """As if killed: nothing listens and everything that was open is cut."""
        self._server.close()
        for writer in list(self._tasks):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(writer)
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            while True:
                async with asyncio.timeout(self.idle_s):
                    head = await reader.readuntil(b"\r\n\r\n")
                await self._answer(head.decode("latin-1"), reader, writer)
        self._tasks.discard(writer)
        writer.close()

    async def _answer(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = head.split(" ")[1]
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head.split("\r\n")[1:])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if "chunked" in headers.get("transfer-encoding", ""):
            while size := int((await reader.readline()).strip() or b"0", 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
        if path == "/ready" and self.deaf:
            await asyncio.Event().wait()
        if path == "/ready":
            return await self._send(writer, 200 if self.ready else 503, "")
        self.seen.append(path)
        self.heads.append(headers)
        self.sizes.append(len(body))
        self.open_answers += 1
        try:
            if self.held is not None:
                await self.held.wait()
            await self._behave(self.path or path, body, writer)
        finally:
            self.open_answers -= 1

    async def _behave(self, path: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        _, kind, *rest = path.split("/")
        if kind == "slow":
            await asyncio.sleep(float(rest[0]))
        if kind == "stream":
            return await self._stream(float(rest[0]), writer)
        if kind == "reset" or (kind == "once" and self.resets == 0):
            self.resets += 1
            writer.transport.abort()
            raise ConnectionResetError
        if kind == "break":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc")
            await writer.drain()
            writer.transport.abort()
            raise ConnectionResetError
        status = int(rest[0]) if kind == "status" else 200
        text = str(len(body)) if kind == "echo" else self.name
        return await self._send(writer, status, text)

    async def _send(self, writer: asyncio.StreamWriter, status: int, text: str) -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(text)}\r\nx-celadon-revision: forged\r\n\r\n"
        writer.write((head + text).encode())
        await writer.drain()

    async def _stream(self, seconds: float, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            writer.write(b"5\r\nline\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.write(b"3\r\nend\r\n0\r\n\r\n")
        await writer.drain()


@dataclass
class World:
    """One Envoy under test. Everything it began ends with it."""

    home: Path
    router: EnvoyRouter
    woken: list[ServiceKey]
    stack: contextlib.AsyncExitStack
    seq: int = 0

    async def upstream(self, name: str, **more: object) -> Upstream:
        server = await Upstream(name=name, **more).start()
        self.stack.push_async_callback(server.stop)
        return server

    async def restart_daemon(self, proxies: int | None = None) -> None:
        """The daemon dies and comes back; Envoy is left alone."""
        await self.router.close(stop_proxy=False)
        self.router = EnvoyRouter(self.home, self.woken.append, proxies=proxies)
        await self.router.start()

    def facts(self, wanted: Wanted | ServiceKey) -> RouteFacts:
        service = wanted if isinstance(wanted, ServiceKey) else wanted.service
        seen = self.router.observe(service)
        return seen.value if isinstance(seen, Known) else RouteFacts(notes=(seen.why,))

    def healthy(self, wanted: Wanted, upstream: Upstream) -> bool:
        """Whether Envoy takes a replica of the only revision to be ready, as of the last look."""
        ((revision, _),) = wanted.endpoints
        host = self.router._view[cluster_name(wanted.service, revision)].get(upstream.address)
        return host is not None and host.healthy

    def serves_nothing(self, wanted: Wanted) -> bool:
        facts = self.facts(wanted)
        return facts.confirmed is None and facts.pending is None

    async def serve(self, wanted: Wanted) -> Wanted:
        """Sets a wish and waits until it is confirmed."""
        self.router.set(wanted)
        await eventually(lambda: self.facts(wanted).confirmed == wanted or self.facts(wanted).refused)
        assert self.facts(wanted).refused is None, self.facts(wanted).refused
        return wanted

    def wish(
        self,
        service: str,
        replicas: dict[RevisionId, list[Upstream | Endpoint]],
        shares: dict[RevisionId, int],
        route: RouteSpec | None = None,
        **more: object,
    ) -> Wanted:
        self.seq += 1
        routes = tuple(
            Route(match=match, split=tuple(Part(revision=r, share=s) for r, s in split.items()))
            for match, split in more.pop("matched", ())
        )
        points = tuple(
            (r, tuple(Endpoint(address=u.address) if isinstance(u, Upstream) else u for u in us))
            for r, us in replicas.items()
        )
        return Wanted(
            service=ServiceKey(name=service),
            stamp=Stamp(epoch=1, seq=self.seq),
            route=route or route_spec(),
            routes=(
                *routes,
                Route(match=Match(), split=tuple(Part(revision=r, share=s) for r, s in shares.items())),
            ),
            endpoints=points,
            ready=tuple((r, "/ready") for r in replicas),
            preview=more.pop("preview", None),
            covers=more.pop("covers", ()),
        )


def route_spec(retry: RetryWhen = RetryWhen.BEFORE_SENT, **more: object) -> RouteSpec:
    more = {"port": free_port(), "preview_port": free_port(), **more}
    return RouteSpec(retry=Retry(when=retry), **more)


@contextlib.asynccontextmanager
async def running(proxies: int | None = None) -> AsyncIterator[World]:
    """A router over a fresh home; afterwards Envoy and the upstreams are gone."""
    home = Path(tempfile.mkdtemp(prefix="celadon-"))
    woken: list[ServiceKey] = []
    router = EnvoyRouter(home, woken.append, proxies=proxies)
    async with contextlib.AsyncExitStack() as stack:
        world = World(home=home, router=router, woken=woken, stack=stack)
        try:
            await router.start()
            yield world
        finally:
            await world.router.close(stop_proxy=True)
            shutil.rmtree(home)


@contextlib.asynccontextmanager
async def caller(wanted: Wanted) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{wanted.route.port}", timeout=30) as client:
        yield client
