"""What every request of one daemon shares."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from celadon.control.engine import Engine
from celadon.control.view import View
from celadon.control.wire import Daemon
from celadon.domain.names import NAME, ServiceKey
from celadon.domain.problem import Problem, ProblemsError
from celadon.domain.record import Record
from celadon.doors.api.errors import UnknownServiceError
from celadon.store.models import ModelStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The assembled daemon, and the event that ends every stream and then the daemon."""

    daemon: Daemon
    started_at: float = field(default_factory=time.time)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def engine(self) -> Engine:
        """The loop over all services."""
        return self.daemon.engine

    @property
    def models(self) -> ModelStore:
        """Where sources are kept by digest."""
        return self.daemon.models

    def records(self, key: ServiceKey, after: int = 0) -> Sequence[Record]:
        """The journal of a service, from a place on."""
        return self.daemon.journal.records(key, after)

    def view(self, key: ServiceKey) -> View:
        """What is known of a service now. Raises UnknownServiceError, which names those that are there."""
        try:
            return self.engine.view(key)
        except ProblemsError as error:
            raise UnknownServiceError(error.problems) from error


def named(given: str) -> ServiceKey:
    """`NAME` or `NAMESPACE/NAME` as people write it."""
    namespace, _, name = given.rpartition("/")
    if not NAME.fullmatch(name) or (namespace and not NAME.fullmatch(namespace)):
        raise ProblemsError([Problem(path="SERVICE", found=f"`{given}` is not a service name")])
    return ServiceKey(namespace=namespace or "default", name=name)
