"""The router as far as the loop can see: wishes go over a link that may fail, and facts come back or do not."""

import math
from collections.abc import Callable

from celadon.domain.facts import Known, RouteFacts, Unknown
from celadon.domain.goal import Wanted
from celadon.domain.names import Address, ServiceKey
from celadon.domain.samples import Cursor, Samples
from celadon.sim.kernel import Clock, Kernel
from celadon.sim.proxies import Proxies, counted, reached
from celadon.sim.replicas import Machine, Reach

AGAIN_S = 3.0
"""A wish that is not in force after so long is sent again: it may have been lost."""

QUIET_S = 0.25

NOBODY: frozenset[Address] = frozenset()


class SimRouter:
    """Fits the port of the router. It lives in the daemon, and is made anew with it."""

    def __init__(
        self,
        *,
        kernel: Kernel,
        clock: Clock,
        proxies: Proxies,
        machine: Machine,
        reach: Reach,
        point: Callable[[], None],
    ) -> None:
        self._kernel, self._clock, self._proxies, self._machine = kernel, clock, proxies, machine
        self._reach, self._point = reach, point
        self._target = proxies.published
        self._confirmed, agreed = proxies.shown()
        self._settled = agreed and self._confirmed is self._target
        self._sent_at = -AGAIN_S
        self._unrouted: dict[Address, float] = {}
        self._looked = (-1, -1)
        self._seen: RouteFacts | None = None
        self._seen_at = 0.0
        self._frozen_at: tuple[int, float] | None = None

    def observe(self, service: ServiceKey) -> Known[RouteFacts] | Unknown:  # noqa: ARG002 -- there is one service
        """What is in force, as all living proxies show it."""
        why = self._reach.proxies
        if why or not self._proxies.living():
            if why and self._reach.stale and self._seen is not None:
                return Known(value=self._seen, taken_at=self._seen_at)
            return Unknown(why=why or "no proxy answers")
        self._look()
        self._seen_at = self._clock.wall()
        refused = self._proxies.refused
        if refused is not None and self._target is not None and refused.wanted.stamp < self._target.stamp:
            refused = None
        pending = None if self._settled or refused is not None else self._target
        if pending is not None and self._kernel.at - self._sent_at > AGAIN_S:
            self._send(pending)
        drained, seen = self._drained(), self._seen
        if (
            seen is None
            or seen.confirmed is not self._confirmed
            or seen.pending is not pending
            or seen.refused is not refused
            or seen.unrouted is not self._unrouted
            or seen.drained != drained
        ):
            self._seen = RouteFacts(
                confirmed=self._confirmed,
                pending=pending,
                refused=refused,
                drained=drained,
                unrouted=self._unrouted,
            )
        assert self._seen is not None
        return Known(value=self._seen, taken_at=self._seen_at)

    def samples(self, service: ServiceKey, since: Cursor) -> Known[Samples] | Unknown:  # noqa: ARG002 -- there is one service
        """What was counted after the cursor; an empty cursor begins now."""
        reach = self._reach
        if reach.counters or (reach.proxies and not reach.stale):
            return Unknown(why=reach.counters or reach.proxies)
        number, taken_at = self._reading()
        to = (("proxies", str(number)),)
        if not since or since == to:
            return Known(value=Samples(cursor_from=since or to, cursor_to=to, counts=()), taken_at=taken_at)
        readings = self._proxies.readings
        old, new = readings[min(int(since[0][1]), number)], readings[number]
        told = Samples(
            cursor_from=since,
            cursor_to=to,
            counts=counted(new, old),
            complete=old.run == new.run,
            answers=tuple(self._proxies.log[old.log : new.log]),
        )
        return Known(value=told, taken_at=taken_at)

    def set(self, wanted: Wanted) -> None:
        """Begin to serve this. The same wish again changes nothing, an older one is refused."""
        self._point()
        if not wanted.older_than(self._target):
            self._target, self._settled = wanted, False
            self._send(wanted)
        self._point()

    def drop(self, service: ServiceKey) -> None:  # noqa: ARG002 -- there is one service
        """Begin to serve nothing."""
        self._point()
        self._target, self._settled = None, False
        if not self._reach.proxies:
            self._proxies.withdraw()
        self._point()

    def _send(self, wanted: Wanted) -> None:
        self._sent_at = self._kernel.at
        if not self._reach.proxies:
            self._proxies.link.send(lambda: self._proxies.publish(wanted))

    def _look(self) -> None:
        shown, agreed = self._proxies.shown()
        if agreed and (shown is self._target or (shown is None and self._target is None)):
            self._confirmed, self._settled = shown, True
        elif agreed and self._confirmed is None:
            self._confirmed = shown
        version = (self._proxies.version, self._machine.version)
        if version == self._looked:
            return
        self._looked = version
        unrouted = self._since_unrouted()
        if unrouted != self._unrouted:
            self._unrouted = unrouted

    def _since_unrouted(self) -> dict[Address, float]:
        """Infinity where what is confirmed sends nothing, and a proxy goes by an earlier wish that does."""
        now, told = self._clock.wall(), reached(self._confirmed)
        found = NOBODY.union(*(reached(proxy.in_force) for proxy in self._proxies.living()))
        return {
            address: math.inf if address in found else min(self._unrouted.get(address, math.inf), now)
            for address in (one.address for one in self._machine.there.values())
            if address not in found & told
        }

    def _drained(self) -> frozenset[Address]:
        """Idle, seen twice: nothing is in flight where a confirmed route sends nothing any more."""
        if not self._settled or not self._unrouted:
            return NOBODY
        quiet = self._kernel.at - QUIET_S
        return frozenset(
            one.address
            for one in self._machine.there.values()
            if one.address in self._unrouted and one.busy_until <= quiet and one.unreached_since <= quiet
        )

    def _reading(self) -> tuple[int, float]:
        if self._reach.frozen or self._reach.proxies:
            if self._frozen_at is None:
                self._frozen_at = (self._proxies.read(), self._clock.wall())
            return self._frozen_at
        self._frozen_at = None
        return self._proxies.read(), self._clock.wall()
