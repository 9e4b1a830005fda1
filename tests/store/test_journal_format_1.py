"""A journal of format 1 is read for ever. If a test here fails, the code is wrong and not the fixture.

The fixture was written once, by `write()` below, and is never written again: `python tests/store/test_journal_format_1.py`
refuses while the files are there.
"""

import json
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

import pytest

from celadon.domain.command import Command
from celadon.domain.memory import Memory
from celadon.domain.names import ServiceKey
from celadon.domain.record import Kind
from celadon.domain.release import Phase, Taken
from celadon.store.chain import BrokenChainError, Link, canonical, follow
from celadon.store.codec import decode, encode
from celadon.store.fold import fold, fold_all
from celadon.store.journal import SqliteJournal

FIXTURES = Path(__file__).parent / "fixtures"
JOURNAL = FIXTURES / "journal-format-1.jsonl"
MEMORY = FIXTURES / "journal-format-1.memory.json"
FRAUD = ServiceKey(name="fraud")
LATER = {"probation"}
"""Fields of memory that did not exist when the fixture was written: it is read without them."""


def lines():
    return JOURNAL.read_bytes().splitlines()


def followed(stored):
    link = Link()
    for data in stored:
        record, link = follow(link, FRAUD, data)
        yield record


def test_its_chain_holds():
    assert [record.seq for record in followed(lines())] == list(range(1, len(lines()) + 1))


def test_it_still_folds_to_what_was_remembered():
    pinned = json.loads(MEMORY.read_text())
    memory = Memory(service=FRAUD)
    compared = set()
    for record in followed(lines()):
        memory = fold(memory, record)
        if str(record.seq) in pinned:
            assert memory == decode(Memory, pinned[str(record.seq)]), f"record {record.seq}"
            compared.add(str(record.seq))
    assert compared == set(pinned)
    assert len(compared) > 4


def test_it_is_a_rich_story():
    records = list(followed(lines()))
    assert {record.kind for record in records} == set(Kind)
    told = {record.body["command"]["type"] for record in records if record.kind == Kind.COMMAND}
    assert told == {cls.__name__ for cls in Command.__args__}
    ticks = [record.body["set"] for record in records if record.kind == Kind.TICK]
    assert {t["release"]["phase"] for t in ticks if t.get("release")} == set(Phase) - {Phase.FROZEN}
    steps = [step for record in records for step in record.body.get("steps", ())]
    assert [decode(Taken, step).phase for step in steps] == [Phase.PREPARING, None]
    written = {name for tick in ticks for name in tick}
    assert written | {"service", "seq", "epoch", "commands", "releases_asked"} | LATER == {
        f.name for f in fields(Memory)
    }


def test_a_checkpoint_in_it_stands_for_everything_before():
    stored = lines()
    place = next(i for i, data in enumerate(stored) if json.loads(data)["kind"] == "checkpoint")
    whole = fold_all(Memory(service=FRAUD), followed(stored))
    assert fold_all(Memory(service=FRAUD), followed(stored[place:])) == whole


@pytest.mark.parametrize("place", [0, 3, 11])
def test_a_change_anywhere_in_it_is_seen_in_the_next_record(place):
    stored = lines()
    record = json.loads(stored[place])
    stored[place] = canonical({**record, "at": record["at"] + 1})
    with pytest.raises(BrokenChainError, match="hash of the record before"):
        list(followed(stored))


def test_it_can_be_imported_into_a_journal_and_read_there(tmp_path):
    journal = SqliteJournal(tmp_path / "journal.db")
    link = Link()
    for data in lines():
        _, link = follow(link, FRAUD, data)
        journal._insert(FRAUD, link, data)
    assert encode(journal.read(FRAUD)) == encode(fold_all(Memory(service=FRAUD), followed(lines())))
    journal.close()


def write():
    """The files of a new format, from the story in journal_story.py."""
    from journal_story import tell

    if JOURNAL.exists() or MEMORY.exists():
        sys.exit("the fixture is there, and it is kept for ever; a new format gets files of its own")
    with tempfile.TemporaryDirectory() as home:
        journal = SqliteJournal(Path(home) / "journal.db")
        tell(journal)
        query = "SELECT record FROM journal WHERE service = 'fraud' ORDER BY seq"
        stored = [bytes(row[0]) for row in journal._database.execute(query)]
        journal.close()
    memory, pinned = Memory(service=FRAUD), {}
    for record in followed(stored):
        memory = fold(memory, record)
        if record.seq % 5 == 4 or record.seq == len(stored):
            pinned[str(record.seq)] = encode(memory)
    JOURNAL.write_bytes(b"\n".join(stored) + b"\n")
    MEMORY.write_text(json.dumps(pinned, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write()
