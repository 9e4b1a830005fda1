"""What the writing thread does: a transaction of jobs and of lines that replicas wrote, and the end of what is old."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from celadon.domain.feedback import Feedback, Heard, Interest, Received
from celadon.domain.names import RevisionId, ServiceKey
from celadon.observe.labels import known, tail
from celadon.observe.labels.age import delete_old, forget
from celadon.observe.labels.answer import Said
from celadon.observe.labels.file import fault, open_file, transaction
from celadon.observe.labels.join import Join, Wish
from celadon.observe.labels.lines import read_line
from celadon.observe.labels.spool import Spool, requests

TIDY_S = 60.0
LINES_MAX = 20_000
"""Predictions that are read in one transaction, about."""

ROWS_MAX = 5_000_000
"""Requests and predictions that are kept at most; beyond, the oldest go before their time."""

PAGES_MAX = 5_000
"""Pages that are given back to the file system at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """Other interests of a service."""

    service: ServiceKey
    interests: tuple[Interest, ...]
    batch: tuple[()] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """Feedback that somebody waits for."""

    service: ServiceKey
    batch: Sequence[Feedback]
    done: "Future[Received]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """Predictions that somebody waits for."""

    service: ServiceKey
    batch: Sequence[Said]
    done: "Future[Received]"


Job = Begun | Posted | Predicted


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Files that are read on. predictions: the folder to which replicas write."""

    spool: Spool
    predictions: Path

    def files(self, service: ServiceKey) -> Iterator[tuple[Path, RevisionId | None]]:
        """Files of one service, each with the revision that writes it; None for the requests that were routed."""
        yield self.spool.path(service), None
        yield from tail.files(self.predictions, service)


class Writer:
    """One file and its one writer. `write` and `tidy` are called by one thread; the rest is answered from memory."""

    def __init__(
        self, path: Path, sources: Sources, now: Callable[[], float], *, rows_max: int = ROWS_MAX
    ) -> None:
        self._path, self._sources, self._now, self._rows_max = path, sources, now, rows_max
        self._services: dict[ServiceKey, known.Kept] = {}
        self._database: sqlite3.Connection | None = None
        self._joins: dict[ServiceKey, Join] = {}
        self._early: list[Job] = []
        self._rows = self._at_s = 0
        self._tidied = -TIDY_S
        self.name = ""
        self.reads = False
        """Whether files of replicas are read."""

    def open(self) -> list[ServiceKey]:
        """Open the file; the services that were followed when it was closed. Raises Fault."""
        try:
            self._database, self.name = open_file(self._path)
            self._services = known.load(self._database)
            rows = "SELECT (SELECT count(*) FROM requests) + (SELECT count(*) FROM predictions)"
            self._rows = self._database.execute(rows).fetchone()[0]
            self._at_s = self._database.execute("SELECT max(at) FROM arrivals").fetchone()[0] or 0
        except (sqlite3.Error, OSError) as error:
            raise fault(error, self._path) from error
        return [key for key, one in self._services.items() if one.interests is None]

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            self._database.close()

    def key(self, service: ServiceKey) -> int | None:
        """The number of a service in the file."""
        one = self._services.get(service)
        return one.key if one else None

    def heard(self, service: ServiceKey) -> Heard | None:
        """What became of the feedback on a service."""
        one = self._services.get(service)
        return Heard(**one.counts) if one else None

    def kept_from(self, service: ServiceKey) -> int:
        """The position up to which arrivals of a service are gone."""
        one = self._services.get(service)
        return one.kept_from if one else 0

    def write(self, jobs: Sequence[Job], *, read: bool = True) -> bool:
        """Do all of it in one transaction, or raise and have done nothing. True: there is more to read at once."""
        assert self._database is not None
        before = {key: one.copy() for key, one in self._services.items()}, list(self._early), self._rows
        self._at_s = max(self._at_s, int(self._now()))
        self._joins = {}
        try:
            with transaction(self._database):
                done = [(job, self._do(self._database, job)) for job in self._due(jobs)]
                more = self._read_files(self._database) if read else False
                for service, join in self._joins.items():
                    self._finish(self._database, self._services[service], join)
        except BaseException:
            self._services, self._early, self._rows = before
            raise
        for job, result in done:
            if isinstance(job, Posted | Predicted):
                assert result is not None, job
                job.done.set_result(result)
        self.reads = any(one.interests for one in self._services.values())
        return more

    def tidy(self) -> bool:
        """Now and then delete what is too old to be of use, a part at a time; whether there is more to delete."""
        if time.monotonic() < self._tidied + TIDY_S:
            return False
        assert self._database is not None
        gone = 0
        with transaction(self._database):
            for one in self._services.values():
                gone += self._age(self._database, one)
        if not gone:
            self._tidied = time.monotonic()
            self._database.execute(f"PRAGMA incremental_vacuum({PAGES_MAX})").fetchall()
        return gone > 0

    def _age(self, database: sqlite3.Connection, one: known.Kept) -> int:
        if one.interests is None:
            return 0
        deleted = [delete_old(database, one, self._at_s)]
        self._rows -= deleted[0]["requests"] + deleted[0]["predictions"]
        if self._rows > self._rows_max:
            deleted.append(forget(database, one, self._at_s))
            self._rows -= sum(deleted[1].values())
        return sum(sum(gone.values()) for gone in deleted)

    def _due(self, jobs: Sequence[Job]) -> Iterator[Job]:
        """The jobs in their order. What comes before it is known what a followed service wants waits for that."""
        for job in jobs:
            one = self._services.get(job.service)
            if isinstance(job, Begun):
                yield job
                yield from [early for early in self._early if early.service == job.service]
                self._early = [early for early in self._early if early.service != job.service]
            elif one is not None and one.interests is None:
                self._early.append(job)
            else:
                yield job

    def _do(self, database: sqlite3.Connection, job: Job) -> Received | None:
        one = self._services.get(job.service)
        follows = one is not None and bool(one.interests)
        match job:
            case Begun():
                self._begin(database, job)
            case _ if not follows:
                return Received(unneeded=len(job.batch))
            case Posted():
                return self._join(job.service).posted(job.batch)
            case Predicted():
                return self._join(job.service).predicted(job.batch)
            case _ as unreachable:
                assert_never(unreachable)
        return None

    def _begin(self, database: sqlite3.Connection, job: Begun) -> None:
        """Other interests. What was predicted before the first of them is nobody's, so reading begins behind it."""
        service = job.service
        if service not in self._services:
            self._services[service] = known.add(database, service)
        one = self._services[service]
        if service in self._joins:
            self._finish(database, one, self._joins.pop(service))
        if job.interests and one.interests == ():
            for path, _ in self._sources.files(service):
                if (place := tail.end(path)) is not None:
                    one.stand(database, path.name, place)
        one.follow(database, job.interests)
        self._tidied = -TIDY_S

    def _join(self, service: ServiceKey) -> Join:
        """The one join of a service in this transaction."""
        if service not in self._joins:
            one = self._services[service]
            assert self._database is not None
            wish = Wish(service=one.key, interests=one.interests or ())
            self._joins[service] = Join(self._database, wish, self._at_s, one.counts["waiting"])
        return self._joins[service]

    def _finish(self, database: sqlite3.Connection, one: known.Kept, join: Join) -> None:
        join.finish()
        for name, change in join.counts.items():
            if name in one.counts:
                one.count(database, name, change)
            else:
                self._rows += change

    def _read_files(self, database: sqlite3.Connection) -> bool:
        """Read on in the files of routed requests and of predictions, some of it; whether there is more."""
        read = 0
        for service, one in self._services.items():
            for path, revision in self._sources.files(service) if one.interests else ():
                more = True
                while more:
                    if read >= LINES_MAX:
                        return True
                    place = one.places.get(path.name)
                    lines, to, more = tail.read_on(path, place)
                    if to is not None and to != place:
                        one.stand(database, path.name, to)
                        self._take(self._join(service), lines, revision)
                    read += len(lines)
        return False

    def _take(self, join: Join, lines: Sequence[bytes], revision: RevisionId | None) -> None:
        if revision is None:
            join.routed(requests(lines))
        else:
            join.predicted(said for line in lines if (said := read_line(line, revision)))
