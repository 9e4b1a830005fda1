"""The owner of the service, who comes to know some seconds later which digit each image showed, and tells celadon."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from celadon.doors.cli.client import Client
from celadon.doors.demo.exchange import Exchange

LATE_S = 4.0
"""How long after its answer the digit of an image becomes known."""

EVERY_S = 1.0


@dataclass(slots=True, kw_only=True)
class Labeller:
    """Posts labels of the answers of `services`, each once, by the id of the request. told: how many."""

    client: Client
    exchanges: Sequence[Exchange]
    services: frozenset[str]
    told: int = 0
    _next: int = 0
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin. Needs a running event loop."""
        self._task = asyncio.ensure_future(self._tell_steadily())

    async def stop(self) -> None:
        """Tell no more. Raises what went wrong on the way, if anything did."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _tell_steadily(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            for service, lines in self._due(time.time() - LATE_S).items():
                path = f"/v1/services/{service}/feedback"
                await asyncio.to_thread(self.client.post, path, {"feedback": lines})
                self.told += len(lines)

    def _due(self, until: float) -> dict[str, list[dict[str, str]]]:
        """What has become known by then. Answers stand in the order in which they came."""
        due: dict[str, list[dict[str, str]]] = {}
        while self._next < len(self.exchanges):
            one = self.exchanges[self._next]
            if one.at + one.latency_ms / 1000 > until:
                break
            self._next += 1
            if one.service in self.services and one.status == 200 and one.request:
                due.setdefault(one.service, []).append({"request": one.request, "label": str(one.digit)})
        return due
