"""What this server serves, and where in its life it stands."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from celadon.serving.model import Model


class Phase(enum.Enum):
    WARMING = "warming up"
    READY = "ready"
    DRAINING = "draining"


@dataclass(slots=True, kw_only=True)
class Life:
    """The one thing here that changes: begun by the server, read by every answer."""

    phase: Phase = Phase.WARMING


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The model under the names that clients call it by: the service's name, and a version that is part of its settings."""

    name: str
    version: str
    model: Model
    life: Life
