"""The daemon as it ships, with a journal that ends the whole process with SIGKILL at one record.

    python mortal_daemon.py HOME SERVICE after|before COUNT

after: right when the COUNTth record of SERVICE has been committed, and before anything of it is begun.
before: when the record that follows the COUNTth is about to be written, so that everything was begun and has gone
as far as it could, and nothing says so. Records of a daemon that takes over do not count.
"""

import json
import os
import signal
import sys
from pathlib import Path

from celadon.control import wire
from celadon.domain.record import Kind
from celadon.doors.api.serve import serve
from celadon.store.journal import SqliteJournal

HOME, SERVICE, WHEN, COUNT = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class MortalJournal(SqliteJournal):
    """Ends where it is told to."""

    written = 0

    def _insert(self, rows, before=()):
        counts = sum(
            name == SERVICE and json.loads(data)["kind"] != Kind.LEADER for _, name, _, data, _ in rows
        )
        if counts and WHEN == "before" and self.written == COUNT:
            die()
        super()._insert(rows, before)
        self.written += counts
        if counts and WHEN == "after" and self.written >= COUNT:
            die()


wire.SqliteJournal = MortalJournal
serve(HOME)
