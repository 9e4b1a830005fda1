"""The journal in SQLite: what was asked and decided, in order, for ever. docs/journal.md describes the format.

It belongs to one thread of one daemon (the lock in `store/lock.py` sees to that). Reading a service returns a
cached fold and touches no disk; the cache changes only after a durable commit, and only by folding what was
committed, so that it is at all times what a restart would read. Inside `together` what was appended is seen at once,
and becomes the cache when its one commit is durable.
"""

import json
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celadon.domain.command import Asked, Command, MarkDrill
from celadon.domain.memory import Memory
from celadon.domain.names import ServiceKey
from celadon.domain.problem import LastingFault, TransientFault
from celadon.domain.reason import Reason
from celadon.domain.record import FORMAT, Kind, Record
from celadon.domain.release import Taken
from celadon.store.chain import BrokenChainError, Link, follow, from_bytes, to_bytes
from celadon.store.codec import encode
from celadon.store.fold import UnreadableError, fold, next_epoch, tick_body
from celadon.store.full import FullDisk
from celadon.store.sqlite import faults, open_file, transaction

SEQ_MAX = 2**63 - 1

CHECKPOINT_RECORDS = 1_000
CHECKPOINT_BYTES = 2**20
"""A service at rest that has more than this since its last checkpoint gets one: a start reads no more than this."""

RELEASES_KEPT = 20
"""So many releases can be asked about for ever; what is older goes when a checkpoint is written."""

IS_CHECKPOINT = b'"kind":"checkpoint"'
"""In the bytes of every checkpoint, and of no other record: in a text the quotes would be escaped."""


Row = tuple[str, str, int, bytes, str]
"""namespace, service, seq, record, hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """A service as far as it is read: its memory, and where its chain ends.

    records, size: how many there are since the last checkpoint, and their bytes.
    """

    memory: Memory
    link: Link
    records: int = 0
    size: int = 0

    def then(self, memory: Memory, link: Link, kind: str, size: int) -> "_Head":
        """The head after one more record."""
        if kind == Kind.CHECKPOINT:
            return _Head(memory=memory, link=link)
        return _Head(memory=memory, link=link, records=self.records + 1, size=self.size + size)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """What is written by one commit: rows in order, the heads that they lead to, and what is no longer needed.

    before: records of a service with a lower seq go.
    """

    before: list[tuple[str, str, int]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    heads: dict[ServiceKey, _Head] = field(default_factory=dict)

    def add(self, head: _Head, data: bytes) -> None:
        service, link = head.memory.service, head.link
        self.rows.append((service.namespace, service.name, link.seq, data, link.hash))
        self.heads[service] = head


class SqliteJournal:
    """Appends and folds records. Every method raises a Fault when the disk or the file fails."""

    def __init__(self, path: Path, *, releases_kept: int = RELEASES_KEPT) -> None:
        self.path = path
        self._releases_kept = releases_kept
        self._database = open_file(path)
        self._inode = path.stat().st_ino
        self._heads: dict[ServiceKey, _Head] = {}
        self._held: dict[ServiceKey, LastingFault] = {}
        self._batch: _Batch | None = None
        self._full = FullDisk(self._database)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    @property
    def disk(self) -> FullDisk:
        """What makes its disk look full, for drills."""
        return self._full

    def services(self) -> tuple[ServiceKey, ...]:
        """Every service that has a record, readable or not."""
        with faults(self.path):
            rows = self._database.execute("SELECT DISTINCT namespace, service FROM journal").fetchall()
        return tuple(sorted(ServiceKey(namespace=namespace, name=name) for namespace, name in rows))

    def read(self, service: ServiceKey) -> Memory:
        """What is remembered. A service that can not be read is held: LastingFault, while others go on."""
        return self._head(service).memory

    def records(self, service: ServiceKey, after: int = 0, limit: int | None = None) -> Sequence[Record]:
        """Its records in order, those with seq above `after`, `limit` at most; the chain is checked from there."""
        found: list[Record] = []
        with closing(self._follow(service, after)) as chain:
            for record, _, _ in chain:
                if limit is not None and len(found) >= limit:
                    break
                found.append(record)
        return tuple(found)

    @contextmanager
    def together(self) -> Iterator[None]:
        """One transaction of everything that is appended inside, of any service, durable when it ends.

        Raises Fault at its end when that failed: then nothing was appended, and what is read is what was before.
        What one service is refused inside leaves the others in.
        """
        assert self._batch is None, "a batch is not part of another one"
        self._batch = batch = _Batch()
        try:
            yield
        finally:
            self._batch = None
        self._write(batch)

    def marked(self, service: ServiceKey, seqs: Sequence[int]) -> frozenset[int]:
        """Where of these places a mark of a drill is: a command from which nothing follows (see `MarkDrill`)."""
        query = """SELECT seq FROM journal WHERE namespace = ? AND service = ?
            AND seq IN (SELECT value FROM json_each(?)) AND instr(record, ?)"""
        mark = f'"{MarkDrill.__name__}"'.encode()
        with faults(self.path):
            rows = self._database.execute(query, (service.namespace, service.name, json.dumps(seqs), mark))
            return frozenset(seq for (seq,) in rows)

    def ask(self, service: ServiceKey, command: Command, at: float) -> Asked:
        """Journal a command. It survives any crash from the moment this returns."""
        assert self._batch is None, "a command that waits for others to be written is not acknowledged"
        head = self._append(service, Kind.COMMAND, {"command": encode(command, Command)}, at)
        return head.memory.commands[-1]

    def record(
        self, before: Memory, after: Memory, reason: Reason, at: float, steps: Sequence[Taken] = ()
    ) -> Memory:
        """Journal what a tick decided, as one record, and return what is now remembered.

        before: as `read` gave it. When something was appended since, nothing is written and a TransientFault asks
        for a new tick: no command is overlooked. The stamp of a changed goal is set here.
        """
        head = self._head(before.service)
        if before.seq != head.memory.seq:
            raise TransientFault(
                f"service {before.service} moved on to record {head.memory.seq} while record {before.seq} was"
                " being decided on",
                retry_s=0.0,
            )
        return self._append(before.service, Kind.TICK, tick_body(before, after, reason, at, steps), at).memory

    def lead(self, service: ServiceKey, epoch: int, at: float) -> Memory:
        """Take the lead under `epoch`, or under the next one above all that were seen; the goal is stamped with it."""
        seen = self._head(service).memory.epoch
        return self._append(service, Kind.LEADER, {}, at, epoch=max(seen + 1, epoch)).memory

    def checkpoint(self, service: ServiceKey, at: float) -> Memory:
        """Journal the whole memory, so that later records can be folded without those before."""
        memory = self._head(service).memory
        return self._append(service, Kind.CHECKPOINT, {"memory": encode(memory)}, at).memory

    def tidy(self, service: ServiceKey, at: float) -> None:
        """Of a service at rest whose journal has grown long: write a checkpoint, and let go of what is old.

        Records stay from the latest checkpoint on after which `releases_kept` releases were asked for.
        """
        head = self._head(service)
        if head.records < CHECKPOINT_RECORDS and head.size < CHECKPOINT_BYTES:
            return
        memory = self.checkpoint(service, at)
        enough = memory.releases_asked - self._releases_kept
        for seq, asked in self._checkpoints(service):
            if asked <= enough:
                self._forget(service, seq)
                return

    def _checkpoints(self, service: ServiceKey) -> Iterator[tuple[int, int]]:
        """The place of every checkpoint, the last one first, and how many releases had been asked for by then."""
        query = (
            "SELECT seq, record FROM journal"
            " WHERE namespace = ? AND service = ? AND instr(record, ?) ORDER BY seq DESC"
        )
        with faults(self.path), closing(self._database.cursor()) as rows:
            for seq, data in rows.execute(query, (service.namespace, service.name, IS_CHECKPOINT)):
                yield seq, fold(Memory(service=service), from_bytes(data)).releases_asked

    def _forget(self, service: ServiceKey, seq: int) -> None:
        old = _Batch() if self._batch is None else self._batch
        old.before.append((service.namespace, service.name, seq))
        if self._batch is None:
            self._write(old)

    def _append(
        self, service: ServiceKey, kind: Kind, body: dict[str, Any], at: float, epoch: int | None = None
    ) -> _Head:
        head = self._head(service)
        self._notice_restore(service, at)
        if epoch is None:
            # A service's first record already has an epoch above those of a journal that was lost.
            epoch = head.memory.epoch or next_epoch(0, at)
        return self._commit(head, kind, body, at, epoch)

    def _commit(self, head: _Head, kind: Kind, body: dict[str, Any], at: float, epoch: int) -> _Head:
        service = head.memory.service
        record = Record(
            format=FORMAT,
            service=service,
            seq=head.link.seq + 1,
            epoch=epoch,
            at=at,
            kind=kind,
            body=body,
            previous_hash=head.link.hash,
        )
        data = to_bytes(record)
        # The very bytes are read and folded before they are written: nothing unreadable is ever committed.
        written, link = follow(head.link, service, data)
        memory = fold(head.memory, written)
        after = head.then(memory, link, kind, len(data))
        if self._batch is not None:
            self._batch.add(after, data)
            return after
        alone = _Batch()
        alone.add(after, data)
        self._write(alone)
        return after

    def _write(self, batch: _Batch) -> None:
        if batch.rows or batch.before:
            self._insert(batch.rows, batch.before)
            self._heads.update(batch.heads)

    def _insert(self, rows: Sequence[Row], before: Sequence[tuple[str, str, int]] = ()) -> None:
        with transaction(self._database, self.path):
            try:
                self._full.meet()
                self._database.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, ?)", rows)
            except sqlite3.IntegrityError as error:
                # Whose record it was shows at its next append, where its end is looked at first.
                named = ", ".join(dict.fromkeys(f"{namespace}/{name}" for namespace, name, *_ in rows))
                what = f"a record of {named} is already there: something else writes {self.path}"
                raise LastingFault(what, "stop all daemons of this home and start one") from error
            if before:
                old = "DELETE FROM journal WHERE namespace = ? AND service = ? AND seq < ?"
                self._database.executemany(old, before)
                self._database.execute("PRAGMA incremental_vacuum").fetchall()

    def _head(self, service: ServiceKey) -> _Head:
        if self._batch is not None and self._batch.heads and service in self._batch.heads:
            return self._batch.heads[service]
        head = self._heads.get(service)
        if head is not None:
            return head
        if service in self._held:
            held = self._held[service]
            # A new one each time: an exception that is raised again and again keeps every traceback.
            raise LastingFault(held.what, held.hint)
        self._heads[service] = self._read_head(service)
        return self._heads[service]

    def _read_head(self, service: ServiceKey) -> _Head:
        head = _Head(memory=Memory(service=service), link=Link())
        for record, link, size in self._follow(service, self._start(service)):
            try:
                head = head.then(fold(head.memory, record), link, record.kind, size)
            except UnreadableError as error:
                raise self._hold(service, record.seq, str(error)) from error
        return head

    def _start(self, service: ServiceKey) -> int:
        """The place before the last checkpoint, which stands for everything there; 0 without one."""
        query = (
            "SELECT seq FROM journal"
            " WHERE namespace = ? AND service = ? AND instr(record, ?) ORDER BY seq DESC LIMIT 1"
        )
        with faults(self.path):
            row = self._database.execute(query, (service.namespace, service.name, IS_CHECKPOINT)).fetchone()
        return row[0] - 1 if row else 0

    def _follow(self, service: ServiceKey, after: int = 0) -> Generator[tuple[Record, Link, int], None, None]:
        """Records with the chain through them checked, from the one after `after`, and their bytes."""
        link = self._stored_link(service, after)
        query = (
            "SELECT seq, record, hash FROM journal"
            " WHERE namespace = ? AND service = ? AND seq > ? ORDER BY seq"
        )
        with faults(self.path), closing(self._database.cursor()) as rows:
            for seq, data, stored in rows.execute(query, (service.namespace, service.name, after)):
                try:
                    record, link = follow(link, service, data, stored)
                except BrokenChainError as error:
                    raise self._hold(service, seq, str(error)) from error
                yield record, link, len(data)

    def _stored_link(self, service: ServiceKey, seq: int) -> Link:
        query = "SELECT seq, hash FROM journal WHERE namespace = ? AND service = ? AND seq <= ? ORDER BY seq DESC LIMIT 1"
        with faults(self.path):
            row = self._database.execute(query, (service.namespace, service.name, seq)).fetchone()
        return Link(seq=row[0], hash=row[1]) if row else Link()

    def _hold(self, service: ServiceKey, seq: int, why: str) -> LastingFault:
        self._heads.pop(service, None)
        self._held[service] = LastingFault(
            f"service {service} is held as it is: record {seq} of its journal can not be trusted: {why}",
            "update celadon if a newer one wrote it; else stop the daemon and restore a backup of the journal",
        )
        return self._held[service]

    def _notice_restore(self, service: ServiceKey, at: float) -> None:
        """Whether the file still ends where this daemon left it.

        If not, it was restored: what is cached is dropped, an epoch above the lost one is taken, and a
        TransientFault lets the next tick decide on what is there now.
        """
        if self._batch is not None and service in self._batch.heads:
            return  # It was looked at before the first record of this batch.
        with faults(self.path):
            inode = self.path.stat().st_ino
        if inode != self._inode:
            what = f"the journal {self.path} was replaced while the daemon was running"
            raise LastingFault(what, "restart the daemon, so that it reads the new one")
        known = self._heads[service]
        if self._stored_link(service, SEQ_MAX) == known.link:
            return
        there = self._read_head(service)
        self._commit(there, Kind.LEADER, {}, at, next_epoch(max(known.memory.epoch, there.memory.epoch), at))
        raise TransientFault(f"the journal of service {service} was restored to another state", retry_s=0.0)
