"""One line of the journal."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from celadon.domain.names import ServiceKey

FORMAT = 1
"""The journal format this code writes. Older ones are read for ever, newer ones are refused."""


class Kind(StrEnum):
    """command: a person asked. tick: the loop decided. leader: a daemon took over under a higher epoch.

    checkpoint: the whole memory, so that the records before it are no longer needed.
    """

    COMMAND = "command"
    TICK = "tick"
    LEADER = "leader"
    CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An appended, never changed record. at: wall time. previous_hash: SHA-256 over the record before, RFC 8785."""

    format: int
    service: ServiceKey
    seq: int
    epoch: int
    at: float
    kind: str
    body: Mapping[str, Any]
    previous_hash: str
