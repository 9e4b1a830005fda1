"""Requests on their way from the router's log into the database: home/routed/NAMESPACE.NAME.jsonl, and `.1` of it.

What was taken here is there after the daemon was killed, so the router need not tell it again. It is written in the
event loop, which costs a millisecond for a thousand requests, and read by the thread that writes the database.
"""

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from celadon.domain.feedback import Routed
from celadon.domain.names import RevisionId, ServiceKey
from celadon.domain.problem import TransientFault
from celadon.observe.labels.lines import REQUEST

FILE_BYTES_MAX = 32 * 2**20
"""A file that would grow beyond this is renamed in place of the one before it: what is in that one was read long ago."""

RETRY_S = 1.0


@dataclass(slots=True)
class Spool:
    """Files of all services; one event loop appends to them."""

    folder: Path
    _open: dict[ServiceKey, int] = field(default_factory=dict)

    def path(self, service: ServiceKey) -> Path:
        """The file of one service."""
        return self.folder / f"{service.namespace}.{service.name}.jsonl"

    def append(self, service: ServiceKey, batch: Sequence[Routed]) -> None:
        """Take requests over. Raises TransientFault when they can not be kept; then none of them is."""
        rows = [
            json.dumps(
                [one.request, one.at_s, one.revision, one.share, one.group, one.unit], separators=(",", ":")
            )
            for one in batch
            if REQUEST.fullmatch(one.request)
        ]
        if not rows:
            return
        try:
            self._write(service, "".join(f"{row}\n" for row in rows).encode())
        except OSError as error:
            self.let_go(service)
            what = f"{self.path(service)} can not be written: {error.strerror}"
            raise TransientFault(what, "free some space on that disk", retry_s=RETRY_S) from error

    def drop(self, service: ServiceKey) -> None:
        """Nobody needs the requests of a service any more."""
        self.let_go(service)
        for path in (self.path(service), self.path(service).with_suffix(".jsonl.1")):
            path.unlink(missing_ok=True)

    def let_go(self, service: ServiceKey) -> None:
        """Close the file of a service."""
        with suppress(KeyError):
            os.close(self._open.pop(service))

    def close(self) -> None:
        """Close every file."""
        for service in list(self._open):
            self.let_go(service)

    def _write(self, service: ServiceKey, text: bytes) -> None:
        file = self._open.get(service) or self._opened(service)
        size = os.fstat(file).st_size
        if size and size + len(text) > FILE_BYTES_MAX:
            self.let_go(service)
            self.path(service).replace(self.path(service).with_suffix(".jsonl.1"))
            file, size = self._opened(service), 0
        if os.write(file, text) != len(text):
            os.ftruncate(file, size)
            os.write(file, text)

    def _opened(self, service: ServiceKey) -> int:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._open[service] = os.open(self.path(service), flags, 0o600)
        return self._open[service]


def requests(lines: Iterable[bytes]) -> list[Routed]:
    """Requests out of lines of a spool; a line that a crash cut short is left out."""
    found = []
    for line in lines:
        with suppress(ValueError):
            request, at_s, revision, share, group, unit = json.loads(line)
            of = RevisionId(revision)
            one = Routed(request=request, at_s=at_s, revision=of, share=share, group=group, unit=unit)
            found.append(one)
    return found
