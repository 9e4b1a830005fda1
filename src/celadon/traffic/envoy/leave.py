"""How one of several Envoys goes so that no request is lost: first it listens no more, then it finishes, then it ends."""

import asyncio
import contextlib
import time
from collections.abc import Callable

from celadon.domain.problem import TransientFault
from celadon.traffic.envoy import stats
from celadon.traffic.envoy.seats import Seat

LEAVING = "leaving"
"""The file that says so, for a daemon that comes back meanwhile: an Envoy that stopped listening never listens again."""

IDLE_S = 5.0
"""A connection without a request is closed after so long. Its client was told with its last answer, if it asked since."""

LOOK_S = 0.1


def is_leaving(seat: Seat) -> bool:
    return (seat.proxy.home / LEAVING).exists()


async def last_reading(seat: Seat, clock: Callable[[], float]) -> stats.Reading | None:
    """Returns once nothing is in flight there, with everything that this Envoy ever counted; None when it was killed."""
    (seat.proxy.home / LEAVING).touch(mode=0o600)
    told, quiet_since = "", time.monotonic()
    while (who := seat.alive()) is not None:
        try:
            if who.source != told:
                await seat.admin.stop_listening()
                told = who.source
            open_ones = await seat.admin.open_ones()
            if open_ones.requests:
                quiet_since = time.monotonic()
            if not open_ones.connections or time.monotonic() - quiet_since > IDLE_S:
                return stats.read(stats.by_name(await seat.admin.samples(whole=True)), who.source, clock())
        except TransientFault:
            quiet_since = time.monotonic()
        await asyncio.sleep(LOOK_S)
    return None


async def end(seat: Seat) -> None:
    """Its launcher and itself."""
    while seat.proxy.kept() or seat.alive() is not None:
        with contextlib.suppress(TransientFault):
            await seat.proxy.stop()
    (seat.proxy.home / LEAVING).unlink(missing_ok=True)
