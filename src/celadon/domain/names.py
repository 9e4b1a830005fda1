"""How things are named: services, revisions, replicas, addresses and content digests."""

import re
from dataclasses import dataclass
from typing import NewType

RevisionId = NewType("RevisionId", str)
"""The first 12 hexadecimal digits of the SHA-256 over a revision's canonical content."""

Digest = NewType("Digest", str)
"""`sha256:` and 64 lower-case hexadecimal digits: the name of a blob or of a tree (a folder's manifest)."""

SOCKET = "celadon.sock"
"""Where a daemon answers, in its home."""

CONTROL_FROM = 1000
"""Replicas of a control arm are numbered from here; a revision never has more in its main arm."""

STANDBY_FROM = 2000
"""Replicas of a standby set are numbered from here; no control arm ever gets that far."""

NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
"""What a service or namespace may be called: usable unchanged as a file name, a DNS label and a metric label."""

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ServiceKey:
    """One AI endpoint, known as (namespace, name)."""

    namespace: str = "default"
    name: str

    def __str__(self) -> str:
        return self.name if self.namespace == "default" else f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ReplicaId:
    """One running copy of a revision; `index` counts from 0 inside its replica set, from CONTROL_FROM in a control and
    from STANDBY_FROM in a standby set.
    """

    service: ServiceKey
    revision: RevisionId
    index: int

    def __str__(self) -> str:
        return f"{self.service}/{self.revision}/{self.index}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Address:
    """Where a TCP server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
