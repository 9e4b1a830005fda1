"""The journal on a simulated disk: the real records, hash chain and fold, without SQLite.

The bytes of a record are made when the disk is read, which is after a crash, and not when it is appended: values are
frozen, so the same bytes come out, and most worlds are never read.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from celadon.domain.command import Asked, Command, Deploy, Rollback
from celadon.domain.memory import Memory
from celadon.domain.names import ServiceKey
from celadon.domain.problem import LastingFault, TransientFault
from celadon.domain.reason import Reason
from celadon.domain.record import FORMAT, Kind, Record
from celadon.domain.release import Taken
from celadon.domain.values import replace
from celadon.sim.disk import Disk
from celadon.store.chain import BrokenChainError, Link, follow, from_bytes, sha256, to_bytes
from celadon.store.codec import decode, encode
from celadon.store.fold import UnreadableError, fold, led, next_epoch, stamped, tick_body


class Frame:
    """One record as it lies on the disk: its hash, its bytes, and the end of a line. before: the one before it."""

    __slots__ = ("before", "data", "hash", "made")

    def __init__(
        self,
        before: "Frame | None",
        made: Callable[[str], Record] | None,
        data: bytes = b"",
        digest: str = "",
    ) -> None:
        self.before, self.made, self.data, self.hash = before, made, data, digest

    def __call__(self) -> bytes:
        unmade: list[Frame] = []
        frame: Frame | None = self
        while frame is not None and not frame.data:
            unmade.append(frame)
            frame = frame.before
        for one in reversed(unmade):
            assert one.made is not None
            record = to_bytes(one.made(one.before.hash if one.before else ""))
            one.hash = sha256(record)
            one.data = b"%s %s\n" % (one.hash.encode(), record)
            one.before = one.made = None
        return self.data


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """What became durable, for whoever checks laws."""

    kind: Kind
    before: Memory
    after: Memory
    at: float
    reason: Reason | None = None
    steps: Sequence[Taken] = ()
    asked: Asked | None = None


@dataclass(slots=True)
class _Head:
    memory: Memory
    frame: Frame | None


@dataclass(slots=True)
class _Batch:
    """What is appended together: frames with what is told of them, and where it leaves every service."""

    frames: list[tuple[Frame, Appended]] = field(default_factory=list)
    heads: dict[ServiceKey, _Head] = field(default_factory=dict)


class SimJournal:
    """Fits the port of the journal; opening it reads the disk and cuts off a torn tail.

    point: called before and after every append; a world may end the daemon there. told: hears what became durable.
    """

    def __init__(
        self,
        disk: Disk,
        point: Callable[[], None] = lambda: None,
        told: Callable[[Appended], None] = lambda _: None,
    ) -> None:
        self.disk, self._point, self._told = disk, point, told
        self.under_way: Frame | None = None
        self._heads: dict[ServiceKey, _Head] = {}
        self._batch: _Batch | None = None
        self._read()

    def services(self) -> tuple[ServiceKey, ...]:
        """Every service that has a record."""
        return tuple(sorted(self._heads))

    def read(self, service: ServiceKey) -> Memory:
        """What is remembered."""
        head = self._head(service)
        return head.memory if head is not None else Memory(service=service)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Everything that is appended inside is durable when it ends."""
        assert self._batch is None, "a batch is not part of another one"
        self._batch = batch = _Batch()
        try:
            yield
        finally:
            self._batch = None
        self._write(batch)

    def records(self, service: ServiceKey) -> Sequence[Record]:
        """Its records in order, from the bytes on the disk."""
        found = (from_bytes(data) for _, data, _ in _lines(self.disk))
        return tuple(record for record in found if record.service == service)

    def ask(self, service: ServiceKey, command: Command, at: float) -> Asked:
        """Journal a command. It survives any crash from the moment this returns."""
        before = self.read(service)
        asked = Asked(seq=before.seq + 1, at=at, command=command)
        more = before.releases_asked + isinstance(command, Deploy | Rollback)
        after = replace(before, commands=(*before.commands, asked), releases_asked=more)
        self._append(
            Appended(kind=Kind.COMMAND, before=before, after=after, at=at, asked=asked),
            lambda: {"command": encode(command, Command)},
        )
        return asked

    def record(
        self, before: Memory, after: Memory, reason: Reason, at: float, steps: Sequence[Taken] = ()
    ) -> Memory:
        """Journal what a tick decided, as one record, and return what is now remembered."""
        there = self.read(before.service)
        if before.seq != there.seq:
            raise TransientFault(f"service {before.service} moved on to record {there.seq}", retry_s=0.0)
        after = stamped(there, after, at)
        said = Appended(kind=Kind.TICK, before=there, after=after, at=at, reason=reason, steps=steps)
        return self._append(said, lambda: tick_body(there, after, reason, at, steps))

    def lead(self, service: ServiceKey, epoch: int, at: float) -> Memory:
        """Take the lead under `epoch`, or under the next one above all that were seen."""
        before = self.read(service)
        epoch = max(before.epoch + 1, epoch)
        after = led(before, epoch, at)
        return self._append(Appended(kind=Kind.LEADER, before=before, after=after, at=at), dict, epoch)

    def tidy(self, service: ServiceKey, at: float) -> None:
        """No world lasts long enough for its journal to grow long."""

    def _append(self, said: Appended, body: Callable[[], dict[str, Any]], epoch: int | None = None) -> Memory:
        before = said.before
        if epoch is None:
            epoch = before.epoch or next_epoch(0, said.at)
        seq, head = before.seq + 1, self._head(before.service)

        def made(previous: str) -> Record:
            return Record(
                format=FORMAT,
                service=before.service,
                seq=seq,
                epoch=epoch,
                at=said.at,
                kind=said.kind,
                body=body(),
                previous_hash=previous,
            )

        frame = Frame(head.frame if head else None, made)
        memory = replace(said.after, seq=seq, epoch=epoch)
        batch = self._batch or _Batch()
        batch.frames.append((frame, replace(said, after=memory)))
        batch.heads[before.service] = _Head(memory, frame)
        if self._batch is None:
            self._write(batch)
        return memory

    def _head(self, service: ServiceKey) -> _Head | None:
        staged = self._batch.heads.get(service) if self._batch is not None else None
        return staged or self._heads.get(service)

    def _write(self, batch: _Batch) -> None:
        if not batch.frames:
            return
        self.under_way = batch.frames[0][0]
        self._point()
        for frame, _ in batch.frames:
            self.disk.append(frame)
        self.under_way = None
        self._heads.update(batch.heads)
        for _, said in batch.frames:
            self._told(said)
        self._point()

    def _read(self) -> None:
        """What a restart reads: every record, checked against the chain, and folded."""
        links: dict[ServiceKey, Link] = {}
        size, line = 0, b"\n"
        for line, data, digest in _lines(self.disk):
            size += len(line)
            try:
                service = decode(ServiceKey, json.loads(data)["service"])
                record, links[service] = follow(links.get(service, Link()), service, data, digest)
                memory = fold(self.read(service), record)
            except (BrokenChainError, UnreadableError) as error:
                raise LastingFault(f"a record of the journal can not be trusted: {error}") from error
            self._heads[service] = _Head(memory, Frame(None, None, line, digest))
        self.disk.cut(size)
        if not line.endswith(b"\n"):
            self.disk.synced.append(lambda: b"\n")


def _lines(disk: Disk) -> Iterator[tuple[bytes, bytes, str]]:
    """Every line with the record in it and its hash. Only the last line may be torn, or whole but for its end."""
    lines = disk.read().split(b"\n")
    for number, line in enumerate(lines):
        digest, data = line[:64].decode(errors="replace"), line[65:]
        if not line or sha256(data) != digest:
            if number + 1 < len(lines) and line:
                raise LastingFault(f"line {number + 1} of the journal is not what was written there")
            return
        yield line + b"\n" if number + 1 < len(lines) else line, data, digest
