"""The adapter behind the port `Labels`: one thread writes one SQLite file, and the loop reads beside it."""

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from celadon.domain.facts import Known, Unknown
from celadon.domain.feedback import Feedback, Heard, Interest, Received, Routed
from celadon.domain.names import ServiceKey
from celadon.domain.problem import Fault, TransientFault
from celadon.domain.samples import Cursor, Samples
from celadon.observe.labels.answer import Said
from celadon.observe.labels.file import fault, open_reader
from celadon.observe.labels.read import cursor, position, samples
from celadon.observe.labels.spool import Spool
from celadon.observe.labels.write import Begun, Job, Posted, Predicted, Sources, Writer

POLL_S = 0.2
"""How long predictions lie in the files of replicas before they are read."""

RETRY_S = 1.0
OPEN_AGAIN_S = 5.0
"""How long a file that could not be opened is left alone."""

ROWS_MAX = 2_000
"""Arrivals that one tick reads at most; the next reads on."""

ROUND_MAX = 20_000
"""Labels that are written in one transaction, about."""

POST_S = 30.0
CLOSED = "labels are not read any more"


class SqliteLabels:
    """What comes to be known later, of all services of one home. Public methods are called from one event loop.

    Only `post` and `predicted` wait for the disk; call them in a thread.
    """

    def __init__(self, home: Path, now: Callable[[], float] = time.time) -> None:
        self._path, self._now = home / "labels.db", now
        self._spool = Spool(home / "routed")
        self._writer = Writer(self._path, Sources(spool=self._spool, predictions=home / "predictions"), now)
        self._jobs: deque[Job] = deque()
        self._news = threading.Condition()
        self._closing = False
        self._followed: dict[ServiceKey, tuple[Interest, ...] | None] = {}
        self._why: str | None = None
        self._tried_at = 0.0
        self._reader: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._write_on, name="labels", daemon=True)

    def start(self) -> None:
        """Open the file and begin to write. A file that can not be used is said by every answer and stops nothing.

        It is tried again now and then, whenever somebody asks for samples.
        """
        try:
            self._followed = dict.fromkeys(self._writer.open())
        except Fault as failure:
            self._why, self._tried_at = str(failure), time.monotonic()
            return
        self._why = None
        self._thread.start()

    async def close(self) -> None:
        """Write what waits, and let go of the file."""
        with self._news:
            self._closing = True
            self._news.notify()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)
        if self._reader is not None:
            self._reader.close()
        self._writer.close()
        self._spool.close()
        self._why = CLOSED

    def follow(self, service: ServiceKey, interests: tuple[Interest, ...]) -> None:
        """From now on keep what these releases want to know, and no more. Cheap when nothing changed."""
        if self._followed.get(service, ()) == interests:
            return
        self._followed[service] = interests
        if not interests:
            self._spool.drop(service)
        self._put(Begun(service=service, interests=interests))

    def routed(self, service: ServiceKey, batch: Sequence[Routed]) -> None:
        """Requests that the router logged. What was taken is not lost when the daemon is killed.

        Raises TransientFault when they can not be kept just now; then they must be told again, and may be at any time.
        """
        if self._followed.get(service, ()) != ():
            self._spool.append(service, batch)

    def post(self, service: ServiceKey, feedback: Sequence[Feedback]) -> Received:
        """What the owner knows of answers. Durable when it returns; raises Fault when it can not be kept."""
        done: Future[Received] = Future()
        self._put(Posted(service=service, batch=feedback, done=done))
        return _result(done)

    def predicted(self, service: ServiceKey, batch: Sequence[Said]) -> Received:
        """What replicas answered, told by them over the API. Durable, and raises, as `post` does."""
        done: Future[Received] = Future()
        self._put(Predicted(service=service, batch=batch, done=done))
        return _result(done)

    def samples(self, service: ServiceKey, since: Cursor, interest: Interest) -> Known[Samples] | Unknown:
        """What came to be known for one release after a position, the oldest first."""
        shut = self._why is not None and not self._thread.is_alive() and not self._closing
        if shut and time.monotonic() > self._tried_at + OPEN_AGAIN_S:
            self.start()
        if self._why is not None:
            return Unknown(why=self._why)
        file, gone_to = self._writer.name, self._writer.kept_from(service)
        pos = position(since, file) if since else gone_to
        try:
            rows = self._rows(service, pos or 0)
        except sqlite3.Error as error:
            return Unknown(why=str(fault(error, self._path)))
        complete = pos is not None and gone_to <= pos
        to = cursor(file, rows[-1][0] if rows else max(pos or 0, gone_to))
        told = samples(rows, interest, since, to, complete=complete)
        return Known(value=told, taken_at=self._now())

    def heard(self, service: ServiceKey) -> Heard | None:
        """What became of all feedback on a service; None where nothing was ever compared."""
        return self._writer.heard(service)

    def _rows(self, service: ServiceKey, pos: int) -> list[tuple[int, int, int, str]]:
        key = self._writer.key(service)
        if key is None:
            return []
        if self._reader is None:
            self._reader = open_reader(self._path)
        return self._reader.execute(
            "SELECT pos, at, kind, body FROM arrivals WHERE service = ? AND pos > ? ORDER BY pos LIMIT ?",
            (key, pos, ROWS_MAX),
        ).fetchall()

    def _put(self, job: Job) -> None:
        if not self._thread.is_alive() or self._closing:
            if isinstance(job, Posted | Predicted):
                job.done.set_exception(TransientFault(self._why or CLOSED, "try again", retry_s=RETRY_S))
            return
        with self._news:
            self._jobs.append(job)
            self._news.notify()

    def _write_on(self) -> None:
        """The life of the writing thread. What could not be written is tried again, and said meanwhile."""
        more = False
        while True:
            jobs, more = self._next(more=more), False
            try:
                more = self._writer.write(jobs.jobs, read=not jobs.last)
                self._why = None
            except (sqlite3.Error, OSError) as error:
                self._again(jobs.jobs, fault(error, self._path))
            except Exception as bug:  # noqa: BLE001 -- our bug costs this batch and is said; the thread must go on
                self._drop(jobs.jobs, f"this is a bug in celadon: {type(bug).__name__}: {bug}")
            if jobs.last and not self._jobs:
                return
            more = self._tidy() or more

    def _tidy(self) -> bool:
        try:
            return not self._closing and self._writer.tidy()
        except (sqlite3.Error, OSError) as error:
            self._why = str(fault(error, self._path))
            return False

    def _next(self, *, more: bool) -> "_Round":
        """Wait for work, or until the files of replicas are to be read again."""
        with self._news:
            if not self._jobs and not more and not self._closing:
                self._news.wait(POLL_S if self._writer.reads else None)
            jobs: list[Job] = []
            size = 0
            while self._jobs and size < ROUND_MAX:
                jobs.append(self._jobs.popleft())
                size += len(jobs[-1].batch)
            return _Round(jobs=jobs, last=self._closing)

    def _again(self, jobs: list[Job], failure: Fault) -> None:
        """Whoever waits is told; what nobody waits for is kept for the next try."""
        self._why = str(failure)
        with self._news:
            for job in reversed(jobs):
                if isinstance(job, Posted | Predicted):
                    job.done.set_exception(failure)
                elif not self._closing:
                    self._jobs.appendleft(job)
            if not self._closing:
                self._news.wait(RETRY_S)

    def _drop(self, jobs: list[Job], why: str) -> None:
        self._why = why
        for job in jobs:
            if isinstance(job, Posted | Predicted) and not job.done.done():
                job.done.set_exception(TransientFault(why, "post it again", retry_s=RETRY_S))


def _result(done: "Future[Received]") -> Received:
    try:
        return done.result(POST_S)
    except TimeoutError:
        what = "what was posted could not be written in time; some of it may be"
        hint = "post it again: what is there already counts once"
        raise TransientFault(what, hint, retry_s=RETRY_S) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """What is written next. last: there will be nothing more."""

    jobs: list[Job]
    last: bool
