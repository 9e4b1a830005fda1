"""One SQLite file, opened so that what was committed is there after a power loss, and its failures as Faults."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from celadon.domain.problem import Fault, LastingFault, TransientFault

BUSY_S = 1.0
"""How long another process's hold on the file is waited for, such as that of a backup."""

RETRY_S = 5.0

APPLICATION = 0x63656C61
"""`cela`: tells celadon's journal from any other SQLite file."""

TABLE = """
CREATE TABLE IF NOT EXISTS journal (
    namespace TEXT NOT NULL,
    service TEXT NOT NULL,
    seq INTEGER NOT NULL,
    record BLOB NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (namespace, service, seq)
) WITHOUT ROWID
"""


def open_file(path: Path) -> sqlite3.Connection:
    """The database at `path`, made when it is missing: file mode 0600, its folder 0700 when that is made too."""
    with faults(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its -wal and -shm files the mode of the database, so the mode must be right from the start.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
        database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        try:
            _prepare(database, path)
        except BaseException:
            database.close()
            raise
    return database


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    found = _pragma(database, "application_id")
    tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and found != APPLICATION:
        raise LastingFault(f"{path} is a database of something else", "move it away, or choose another home")
    if not tables:
        # Only a file that is still empty takes this: space of removed records goes back to the disk.
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    if not tables:
        database.execute(f"PRAGMA application_id = {APPLICATION}")
    database.execute(TABLE)


def _pragma(database: sqlite3.Connection, name: str) -> int:
    with closing(database.execute(f"PRAGMA {name}")) as rows:
        return int(rows.fetchone()[0])


@contextmanager
def transaction(database: sqlite3.Connection, path: Path) -> Iterator[None]:
    """All or nothing, and durable when it ends."""
    with faults(path):
        database.execute("BEGIN IMMEDIATE")
        try:
            yield
            database.execute("COMMIT")
        except BaseException:
            # A full disk makes SQLite roll back by itself.
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise


@contextmanager
def faults(path: Path) -> Iterator[None]:
    """Failures of SQLite and of the file system become Faults that say what would help."""
    try:
        yield
    except sqlite3.Error as error:
        raise _fault(error, path) from error
    except OSError as error:
        raise LastingFault(
            f"the journal {path} can not be opened: {error.strerror or error}",
            "check that this user may write there",
        ) from error


def _fault(error: sqlite3.Error, path: Path) -> Fault:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    match code:
        case sqlite3.SQLITE_FULL:
            what = f"no space is left for the journal {path}, so nothing can be decided; what serves goes on serving"
            return TransientFault(what, "free some space on that disk", retry_s=RETRY_S)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            what = f"another process holds the journal {path}"
            return TransientFault(what, "end what has it open, such as a sqlite3 shell", retry_s=RETRY_S)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
            return LastingFault(
                f"the journal {path} can not be written ({error})",
                "check that its disk is writable and that this user owns the file and its folder",
            )
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return LastingFault(
                f"the journal {path} is damaged ({error})",
                "stop the daemon, keep a copy of the file for inspection, and restore a backup of it",
            )
        case _:
            return LastingFault(
                f"the journal {path} failed ({error})", "look for disk errors in the system's log"
            )
