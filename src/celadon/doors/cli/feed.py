"""News of services from the daemon, without gaps: a stream that is taken up again where it broke off."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from celadon.domain.problem import LastingFault
from celadon.doors.cli.client import Client, DaemonGoneError

Json = dict[str, Any]

PATIENCE_S = 60.0
"""How long a daemon may be away before following is given up. A restart takes a second or two."""

AGAIN_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """views: every followed service as it is now; decisions: what was decided since the news before.

    lost_s: the daemon has not answered for so long, and the rest is what it said last.
    """

    views: tuple[Json, ...] = ()
    decisions: tuple[Json, ...] = ()
    lost_s: float | None = None


@dataclass(slots=True, kw_only=True)
class Feed:
    """Follows services by name; none means all of them, also those to come.

    after: the journal position of each named service from which on its decisions are news. ends: whether the
    feed ends when the daemon ends in order, which is right for whoever only looks.
    """

    client: Client
    names: Sequence[str] = ()
    after: dict[str, int] = field(default_factory=dict)
    ends: bool = False
    _views: tuple[Json, ...] = ()

    def news(self) -> Iterator[News]:
        """News until the consumer has enough. Raises LastingFault when the daemon stays away."""
        lost_at: float | None = None
        while True:
            try:
                for frame in self._frames():
                    lost_at = None
                    yield frame
                if self.ends:
                    return
            except DaemonGoneError:
                if not self._views:
                    raise
            lost_at = time.monotonic() if lost_at is None else lost_at
            lost_s = time.monotonic() - lost_at
            if lost_s > PATIENCE_S:
                hint = "start it with `celadon up`: what was begun goes on by itself"
                raise LastingFault(f"the daemon has not answered for {PATIENCE_S:.0f} s", hint)
            yield News(views=self._views, lost_s=lost_s)
            time.sleep(AGAIN_S)

    def _frames(self) -> Iterator[News]:
        after = [self.after.get(name, -1) for name in self.names]
        for frame in self.client.stream("/v1/watch", service=list(self.names), after=after):
            if not frame:
                yield News(views=self._views)
                continue
            if frame.get("ends"):
                return
            self._views = tuple(frame["services"])
            for decision in frame["decisions"]:
                self.after[decision["of"]] = decision["seq"]
            yield News(views=self._views, decisions=tuple(frame["decisions"]))
