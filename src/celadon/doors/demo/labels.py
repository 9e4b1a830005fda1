"""The owner of the service, who comes to know some seconds later which digit each image showed, and tells celadon."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from celadon.doors.cli.client import Client
from celadon.doors.demo.exchange import Exchange

Done = TypeVar("Done")

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

    async def beside(self, releases: Coroutine[Any, Any, Done]) -> Done:
        """Tell for as long as the releases take. Raises at once what goes wrong with either."""
        telling, going = asyncio.ensure_future(self._tell_steadily()), asyncio.ensure_future(releases)
        try:
            await asyncio.wait({telling, going}, return_when=asyncio.FIRST_COMPLETED)
            return telling.result() if telling.done() else going.result()
        finally:
            telling.cancel()
            going.cancel()
            await asyncio.gather(telling, going, return_exceptions=True)

    async def _tell_steadily(self) -> NoReturn:
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
                due.setdefault(one.service, []).append({"id": one.request, "label": str(one.digit)})
        return due
