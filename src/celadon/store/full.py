"""A full disk for the journal alone, as drills need it: SQLite may not take one more page, and says SQLITE_FULL."""

import sqlite3
from contextlib import closing

from celadon.domain.problem import TransientFault
from celadon.store.sqlite import RETRY_S

PAGES_MAX = 2**32 - 2
"""SQLite's own limit, which is none."""

TABLE = "no_space"


class FullDisk:
    """Limits the pages of one open database. The limit is the connection's: it ends with the process."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._filled = False
        self._refused = 0

    def fill(self) -> None:
        """From now on no transaction finds a free page."""
        self._filled, self._refused = True, 0
        self._pragma(f"max_page_count = {self._pragma('page_count')}")

    def free(self) -> None:
        """There is space again."""
        self._filled = False
        self._pragma(f"max_page_count = {PAGES_MAX}")

    def refused(self) -> int:
        """How many writes found the disk full since it was filled."""
        return self._refused

    def meet(self) -> None:
        """In a transaction: need more pages than are left. On a real disk the next record would soon do so by itself.

        Raises TransientFault, for SQLite's SQLITE_FULL, while the disk is full; the transaction is rolled back.
        """
        if not self._filled:
            return
        free = self._pragma("freelist_count") + 2
        try:
            self._database.execute(f"CREATE TABLE {TABLE} (space BLOB)")
            self._database.execute(
                f"INSERT INTO {TABLE} VALUES (zeroblob(?))",  # noqa: S608 -- a name of ours
                (free * self._pragma("page_size"),),
            )
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_FULL:
                raise
            self._refused += 1
            what = "a drill leaves no space for the journal, so nothing can be decided; what serves goes on serving"
            hint = "it ends by itself; `celadon drill end` and the name of its service end it now"
            raise TransientFault(what, hint, retry_s=RETRY_S) from error

    def _pragma(self, name: str) -> int:
        with closing(self._database.execute(f"PRAGMA {name}")) as rows:
            return int(rows.fetchone()[0])
