"""A full disk for the journal alone: SQLite itself refuses, nothing that was confirmed is lost, and it ends."""

import sqlite3
from pathlib import Path

import pytest

from celadon.domain.command import MarkDrill, Remove
from celadon.domain.names import ServiceKey
from celadon.domain.problem import TransientFault
from celadon.store.journal import SqliteJournal

FRAUD = ServiceKey(name="fraud")


def test_a_full_disk_refuses_every_write_and_keeps_what_was_confirmed(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    kept = journal.ask(FRAUD, MarkDrill(drill=1), 1.0)
    journal.disk.fill()
    for tries in range(1, 4):
        with pytest.raises(TransientFault, match=r"(?s)a drill leaves no space.*celadon drill end") as found:
            journal.ask(FRAUD, Remove(), 2.0)
        assert isinstance(found.value.__cause__, sqlite3.OperationalError)
        assert found.value.__cause__.sqlite_errorname == "SQLITE_FULL"
        assert journal.disk.refused() == tries
    assert journal.read(FRAUD).commands == (kept,)
    journal.disk.free()
    after = journal.ask(FRAUD, Remove(), 3.0)
    assert after.seq == kept.seq + 1
    journal.close()
    again = SqliteJournal(tmp_path / "journal.db")
    assert [asked.seq for asked in again.read(FRAUD).commands] == [kept.seq, after.seq]
    again.close()


def test_free_pages_do_not_help_a_full_disk(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    for at in range(200):
        journal.ask(FRAUD, MarkDrill(drill=1), float(at))
    with sqlite3.connect(tmp_path / "journal.db") as other:
        other.execute("CREATE TABLE made_room (text BLOB)")
        other.execute("INSERT INTO made_room VALUES (zeroblob(200000))")
        other.execute("DROP TABLE made_room")
    other.close()
    journal.disk.fill()
    with pytest.raises(TransientFault):
        journal.ask(FRAUD, Remove(), 2.0)
    journal.disk.free()
    journal.ask(FRAUD, Remove(), 2.0)
    journal.close()


def test_only_a_mark_is_taken_for_one(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    mark, other = journal.ask(FRAUD, MarkDrill(drill=1), 1.0), journal.ask(FRAUD, Remove(), 1.0)
    assert journal.marked(FRAUD, [mark.seq, other.seq, other.seq + 1]) == {mark.seq}
    assert journal.marked(FRAUD, []) == frozenset()
    journal.close()
