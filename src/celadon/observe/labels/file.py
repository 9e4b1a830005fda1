"""The SQLite file in which requests, predictions and labels wait for each other, and its failures as Faults."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from celadon.domain.problem import Fault, LastingFault, TransientFault

BUSY_S = 1.0
RETRY_S = 5.0
FORMAT = 2
"""Another one for every change of the tables: a file of other tables is refused, and the reason is told."""
OURS = 0x63656C6C
"""`cell`: tells this file from celadon's journal and from any other SQLite file."""

TABLES = """
CREATE TABLE services (key INTEGER PRIMARY KEY, namespace TEXT, name TEXT, followed INTEGER, UNIQUE (namespace, name));
CREATE TABLE requests (service INTEGER, id TEXT, at INTEGER, revision TEXT, share INTEGER, caller TEXT, unit TEXT,
    PRIMARY KEY (service, id)) WITHOUT ROWID;
CREATE INDEX requests_at ON requests (service, at);
CREATE TABLE predictions (service INTEGER, id TEXT, mirrored INTEGER, revision TEXT, at INTEGER, answer TEXT,
    PRIMARY KEY (service, id, mirrored, revision)) WITHOUT ROWID;
CREATE INDEX predictions_at ON predictions (service, at);
CREATE TABLE labels (service INTEGER, id TEXT, at INTEGER, wrong INTEGER, label TEXT, score REAL, done INTEGER,
    PRIMARY KEY (service, id)) WITHOUT ROWID;
CREATE INDEX labels_at ON labels (service, at);
CREATE TABLE units (service INTEGER, unit TEXT, told INTEGER, at INTEGER, PRIMARY KEY (service, unit, told)) WITHOUT ROWID;
CREATE INDEX units_at ON units (service, at);
CREATE TABLE arrivals (pos INTEGER PRIMARY KEY AUTOINCREMENT, service INTEGER, at INTEGER, kind INTEGER, body TEXT);
CREATE INDEX arrivals_of ON arrivals (service, pos);
CREATE TABLE tails (service INTEGER, file TEXT, inode INTEGER, offset INTEGER, PRIMARY KEY (service, file)) WITHOUT ROWID;
CREATE TABLE counts (service INTEGER, name TEXT, number INTEGER, PRIMARY KEY (service, name)) WITHOUT ROWID;
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""

NAMED = "INSERT INTO about VALUES ('name', lower(hex(randomblob(6))));"


def open_file(path: Path) -> tuple[sqlite3.Connection, str]:
    """The database, made where it is missing (mode 0600), and the name that it was given when it was made.

    A position is only good in the file it was read from, so a file that takes the place of a lost one has another name.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its -wal and -shm files the mode of the database, so the mode must be right from the start.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)
    database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        return database, _prepared(database, path)
    except BaseException:
        database.close()
        raise


def _prepared(database: sqlite3.Connection, path: Path) -> str:
    tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not tables:
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
    database.execute("PRAGMA journal_mode = WAL")
    # A position is journalled elsewhere once it was read, so what was read must be there after a power loss.
    database.execute("PRAGMA synchronous = FULL")
    if not tables:
        # All at once: who is killed here leaves a file that nobody has used, and none that looks like another's.
        numbers = f"PRAGMA user_version = {FORMAT}; PRAGMA application_id = {OURS};"
        database.executescript(f"BEGIN; {TABLES} {NAMED} {numbers} COMMIT;")
    found = [database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
    if found != [OURS, FORMAT]:
        hint = "move it away: what it holds can not be joined any more"
        raise LastingFault(f"{path} is a database of something else or of another celadon", hint)
    return str(database.execute("SELECT value FROM about WHERE name = 'name'").fetchone()[0])


def open_reader(path: Path) -> sqlite3.Connection:
    """A second connection, which never waits for the one that writes."""
    database = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA query_only = ON")
    return database


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, and durable when it ends."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        # A full disk makes SQLite roll back by itself.
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def fault(error: sqlite3.Error | OSError, path: Path) -> Fault:
    """What went wrong with the file, and what would help."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return TransientFault(
            f"no space is left for {path}, so labels wait", "free some space on that disk", retry_s=RETRY_S
        )
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        what = f"another process holds {path}"
        return TransientFault(what, "end what has it open, such as a sqlite3 shell", retry_s=RETRY_S)
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        hint = "stop the daemon and move the file away; labels that were posted before are then lost"
        return LastingFault(f"{path} is damaged ({error})", hint)
    return LastingFault(f"{path} can not be used ({error})", "check that this user may write there")
