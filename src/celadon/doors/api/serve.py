"""The daemon's process: the assembled engine behind a Unix socket that only its owner can open."""

import asyncio
import contextlib
import os
import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from celadon.control.wire import daemon
from celadon.domain.names import SOCKET
from celadon.doors.api.home import make_home
from celadon.doors.api.routes import application, load_the_rest
from celadon.doors.api.session import Session

STOP_S = 5
"""How long answers under way may take once the daemon stops; streams end at once by themselves."""

PEER = struct.Struct("3i")
"""`struct ucred`: pid, uid, gid."""


def serve(home: Path, proxies: int | None = None) -> None:
    """Run the daemon in this process until SIGTERM, SIGINT or a stop over the API.

    proxies: how many Envoys share the ports, None for as many as before.
    """
    asyncio.run(_serve(home, proxies))


async def _serve(home: Path, proxies: int | None) -> None:
    make_home(home)
    place = SocketPlace(home / SOCKET)
    try:
        async with daemon(home, proxies) as assembled:
            session = Session(daemon=assembled)
            with place.listen() as listener, _signals(session):
                server = _Server(_config(session))
                loads = asyncio.get_running_loop().create_task(load_the_rest(), name="load")
                await asyncio.gather(server.serve(sockets=[listener]), _stop_when_asked(session, server))
                loads.cancel()
    finally:
        place.leave()


def _config(session: Session) -> uvicorn.Config:
    return uvicorn.Config(
        application(session),
        http=_OwnerOnly,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_S,
    )


async def _stop_when_asked(session: Session, server: uvicorn.Server) -> None:
    await session.stopping.wait()
    server.should_exit = True


class SocketPlace:
    """Where the socket is. It is there from the first answer until nothing of the daemon is left, its lock included."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mine: int | None = None

    def listen(self) -> socket.socket:
        """A listening socket, mode 0600 from its first moment there, in place of a stale one.

        It is bound under another name inside the closed folder and renamed, so that there is no instant at which
        the umask decides. Only the holder of the daemon's lock comes here, so a socket that is there is stale.
        """
        fresh = self.path.with_name(f"{self.path.name}.new")
        fresh.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(fresh))
        fresh.chmod(0o600)
        listener.listen()
        fresh.replace(self.path)
        self._mine = self.path.stat().st_ino
        return listener

    def leave(self) -> None:
        """Remove the socket, unless the next daemon has put its own there already."""
        with contextlib.suppress(FileNotFoundError):
            if self._mine is not None and self.path.stat().st_ino == self._mine:
                self.path.unlink()


@contextlib.contextmanager
def _signals(session: Session) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, session.stopping.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Uvicorn would raise the signal again once it is done, and so skip the engine's own ending."""
        yield


class _OwnerOnly(H11Protocol):
    """Closes connections of other users, should the file's mode ever be changed by hand."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if peer_uid(transport.get_extra_info("socket")) not in {os.geteuid(), 0}:
            transport.close()
            self.transport = transport
            return
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if not self.transport.is_closing():
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self.connections:
            super().connection_lost(exc)


def peer_uid(peer: socket.socket) -> int:
    """The user on the other side, as the kernel says."""
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
    return int(PEER.unpack(raw)[1])
