"""What a platform is told when a replica is to start, and a probe when it is to ask."""

from dataclasses import dataclass
from pathlib import Path

from celadon.domain.names import ReplicaId
from celadon.domain.revision import Revision
from celadon.domain.spec import RouteSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything a platform needs to start one replica.

    tree: verified working copy of the model or of the command's files; None when the command has none.
    warmup: file of golden requests (JSON lines) for the model server's warm-up, if there are any.
    drain_s: how long it may take to finish after SIGTERM. zone: the failure domain it belongs to, "" for none.
    """

    replica: ReplicaId
    revision: Revision
    tree: Path | None
    warmup: Path | None
    drain_s: float
    zone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asks:
    """What a drill's probe asks a service for, through its own route.

    golden: file of golden requests (JSON lines); without them `ready`, the path of the health check, is asked.
    """

    route: RouteSpec
    golden: Path | None
    ready: str
