"""A router whose counters can be made to stand still, for drills: as if nobody read them any more."""

from celadon.control.ports import Router
from celadon.domain.facts import Known, RouteFacts, Unknown
from celadon.domain.goal import Wanted
from celadon.domain.names import ServiceKey
from celadon.domain.samples import Cursor, Samples


class FreezableRouter:
    """Passes everything on. Frozen counters keep the moment at which they were read last, and count nothing more."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._since: dict[ServiceKey, float] = {}
        self._read: dict[ServiceKey, int] = {}

    def freeze(self, service: ServiceKey, at: float) -> None:
        """From now on nothing new is counted."""
        self._since.setdefault(service, at)
        self._read[service] = 0

    def thaw(self, service: ServiceKey) -> None:
        """What was counted meanwhile is told again."""
        self._since.pop(service, None)

    def read_frozen(self, service: ServiceKey) -> int:
        """How often counters that stood still were read."""
        return self._read.get(service, 0)

    def observe(self, service: ServiceKey) -> Known[RouteFacts] | Unknown:
        """What the router serves."""
        return self._router.observe(service)

    def samples(self, service: ServiceKey, since: Cursor) -> Known[Samples] | Unknown:
        """What was counted, or that nothing was since the freeze."""
        frozen_at = self._since.get(service)
        if frozen_at is None:
            return self._router.samples(service, since)
        self._read[service] += 1
        return Known(value=Samples(cursor_from=since, cursor_to=since, counts=()), taken_at=frozen_at)

    def set(self, wanted: Wanted) -> None:
        """Make the router serve this."""
        self._router.set(wanted)

    def drop(self, service: ServiceKey) -> None:
        """Stop serving this service at all."""
        self._router.drop(service)
