"""Journals of format 1 are read for ever. If a test here fails, the code is wrong and not the fixture.

Each fixture was written once, by `write()` below, and is never written again: `python tests/store/test_journal_format_1.py`
leaves files alone that are there. What came to be remembered later has a fixture of its own.
"""

import json
import sys
import tempfile
from dataclasses import fields, replace
from pathlib import Path

import pytest

from celadon.domain.command import OF_DRILLS, Command
from celadon.domain.drill import DrillPhase
from celadon.domain.memory import Memory
from celadon.domain.names import ServiceKey
from celadon.domain.record import Kind
from celadon.domain.release import Phase, Taken
from celadon.store.chain import BrokenChainError, Link, canonical, follow
from celadon.store.codec import decode, encode
from celadon.store.fold import KEPT_BY_THE_JOURNAL, fold, fold_all
from celadon.store.journal import SqliteJournal

FIXTURES = Path(__file__).parent / "fixtures"
FIRST = "journal-format-1"
COMPARED = "journal-format-1-compared"
DRILLS = "journal-format-1-drills"
EACH = pytest.mark.parametrize("name", [FIRST, COMPARED, DRILLS])
FRAUD = ServiceKey(name="fraud")
LATER = {"probation", "drill", "drills"}
"""Fields of memory that did not exist when the first fixture was written: it is read without them."""


def lines(name=FIRST):
    return (FIXTURES / f"{name}.jsonl").read_bytes().splitlines()


def followed(stored):
    link = Link()
    for data in stored:
        record, link = follow(link, FRAUD, data)
        yield record


@EACH
def test_its_chain_holds(name):
    assert [record.seq for record in followed(lines(name))] == list(range(1, len(lines(name)) + 1))


@EACH
def test_it_still_folds_to_what_was_remembered(name):
    pinned = json.loads((FIXTURES / f"{name}.memory.json").read_text())
    memory = Memory(service=FRAUD)
    compared = set()
    for record in followed(lines(name)):
        memory = fold(memory, record)
        if str(record.seq) in pinned:
            then = decode(Memory, pinned[str(record.seq)])
            then = replace(then, goal_at=memory.goal_at, routed_at=memory.routed_at)
            assert memory == then, f"record {record.seq}"
            compared.add(str(record.seq))
    assert compared == set(pinned)
    assert len(compared) > 4


def test_what_came_later_is_told_by_the_second():
    releases = [
        r.body["set"]["release"] for r in followed(lines(COMPARED)) if r.body.get("set", {}).get("release")
    ]
    assert Phase.FROZEN in {release["phase"] for release in releases}
    memory = Memory(service=FRAUD)
    seen = []
    for record in followed(lines(COMPARED)):
        memory = fold(memory, record)
        seen.append(memory)
    assert any(m.probation and m.probation.evidence.ledger for m in seen)
    assert any(m.evidence and m.evidence.ledger and m.evidence.ledger.scores for m in seen)
    assert any(m.goal and m.goal.routes[0].draw and m.goal.routes[0].draw.frozen for m in seen)
    assert any(m.last and len(m.last.findings) == 2 for m in seen)


def test_drills_are_told_by_the_third():
    records = list(followed(lines(DRILLS)))
    told = {record.body["command"]["type"] for record in records if record.kind == Kind.COMMAND}
    assert told == {cls.__name__ for cls in OF_DRILLS.__args__}
    drills = [r.body["set"]["drill"] for r in records if r.body.get("set", {}).get("drill")]
    assert {drill["phase"] for drill in drills} == set(DrillPhase)
    memory = fold_all(Memory(service=FRAUD), records)
    assert [report.number for report in memory.drills] == [1, 2]


def test_it_is_a_rich_story():
    records = list(followed(lines()))
    assert {record.kind for record in records} == set(Kind)
    told = {record.body["command"]["type"] for record in records if record.kind == Kind.COMMAND}
    assert told == {cls.__name__ for cls in Command.__args__} - {cls.__name__ for cls in OF_DRILLS.__args__}
    ticks = [record.body["set"] for record in records if record.kind == Kind.TICK]
    assert {t["release"]["phase"] for t in ticks if t.get("release")} == set(Phase) - {Phase.FROZEN}
    steps = [step for record in records for step in record.body.get("steps", ())]
    assert [decode(Taken, step).phase for step in steps] == [Phase.PREPARING, None]
    written = {name for tick in ticks for name in tick}
    assert written | KEPT_BY_THE_JOURNAL | {"releases_asked"} | LATER == {f.name for f in fields(Memory)}


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
        journal._insert([(FRAUD.namespace, FRAUD.name, link.seq, data, link.hash)])
    assert encode(journal.read(FRAUD)) == encode(fold_all(Memory(service=FRAUD), followed(lines())))
    journal.close()


def write(name, tell):
    """The files of one story in journal_story.py."""
    journal_file, memory_file = FIXTURES / f"{name}.jsonl", FIXTURES / f"{name}.memory.json"
    if journal_file.exists() or memory_file.exists():
        sys.stderr.write(f"{name} is there, and it is kept for ever; what is new gets files of its own\n")
        return
    with tempfile.TemporaryDirectory() as home:
        journal = SqliteJournal(Path(home) / "journal.db")
        tell(journal)
        query = "SELECT record FROM journal WHERE service = 'fraud' ORDER BY seq"
        stored = [bytes(row[0]) for row in journal._database.execute(query)]
        journal.close()
    memory, pinned = Memory(service=FRAUD), {}
    every = 5 if name == FIRST else 2
    for record in followed(stored):
        memory = fold(memory, record)
        if record.seq % every == every - 1 or record.seq == len(stored):
            pinned[str(record.seq)] = encode(memory)
    journal_file.write_bytes(b"\n".join(stored) + b"\n")
    memory_file.write_text(json.dumps(pinned, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    from journal_story import tell, tell_drills, tell_later

    write(FIRST, tell)
    write(COMPARED, tell_later)
    write(DRILLS, tell_drills)
