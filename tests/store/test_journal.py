"""The journal keeps every acknowledged word, in order, and says when it can not be trusted."""

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace

import pytest
from journal_story import (
    BLUE,
    COMMANDS,
    FRAUD,
    GREEN,
    NOW,
    RANKER,
    STEPS,
    changes,
    goal,
    release,
    steady,
    tell,
)

from celadon.domain.command import Abort, Promote, Rollback
from celadon.domain.goal import Stamp
from celadon.domain.memory import Memory
from celadon.domain.names import ServiceKey
from celadon.domain.problem import LastingFault, TransientFault
from celadon.domain.reason import Code, because
from celadon.domain.record import Kind
from celadon.domain.release import Phase, Taken
from celadon.store.chain import canonical, sha256, to_bytes
from celadon.store.codec import decode
from celadon.store.fold import next_epoch
from celadon.store.journal import CHECKPOINT_RECORDS, SqliteJournal


@pytest.fixture
def journal(tmp_path):
    opened = SqliteJournal(tmp_path / "home" / "journal.db")
    yield opened
    opened.close()


def reopened(journal):
    journal.close()
    return SqliteJournal(journal.path)


def reread(journal):
    other = SqliteJournal(journal.path)
    memory = other.read(FRAUD)
    other.close()
    return memory


def rewrite(journal, statement, *values):
    with sqlite3.connect(journal.path) as database:
        database.execute(statement, values)
    database.close()


def test_a_service_without_records_is_remembered_as_nothing(journal):
    assert journal.read(FRAUD) == Memory(service=FRAUD)
    assert journal.services() == ()
    assert journal.records(FRAUD) == ()


def test_an_acknowledged_command_survives_a_restart(journal):
    asked = [journal.ask(FRAUD, command, NOW) for command in COMMANDS]
    again = reopened(journal)
    assert again.read(FRAUD).commands == tuple(asked)
    assert [a.seq for a in asked] == list(range(1, len(COMMANDS) + 1))
    assert again.read(FRAUD).releases_asked == 3
    again.close()


def test_what_is_remembered_is_what_a_restart_reads(journal):
    tell(journal)
    before = {service: journal.read(service) for service in journal.services()}
    again = reopened(journal)
    assert {service: again.read(service) for service in again.services()} == before
    assert set(before) == {FRAUD, RANKER}
    again.close()


def routes_of(memory):
    return memory.goal.routes if memory.goal else ()


def test_reading_gives_every_field_that_ticks_wrote(journal):
    wanted = journal.read(FRAUD)
    for change in changes(wanted):
        before = journal.read(FRAUD)
        after = journal.record(before, replace(before, **change), because(Code.STEADY), NOW)
        wanted = replace(wanted, **change)
        if change.get("goal") is not None:
            goal = replace(wanted.goal, stamp=after.goal.stamp)
            moved = goal.routes != routes_of(before)
            wanted = replace(wanted, goal=goal, goal_at=NOW, routed_at=NOW if moved else before.routed_at)
        assert after == replace(wanted, seq=after.seq, epoch=after.epoch)


def test_a_tick_answers_commands_and_leaves_the_others(journal):
    first, second = journal.ask(FRAUD, Promote(release="a"), NOW), journal.ask(FRAUD, Abort(release="a"), NOW)
    before = journal.read(FRAUD)
    after = journal.record(before, replace(before, commands=(second,)), because(Code.STEADY), NOW)
    assert after.commands == (second,)
    assert journal.records(FRAUD)[-1].body["handled"] == [first.seq]


def test_a_tick_that_missed_a_command_is_refused_and_nothing_is_lost(journal):
    before = journal.read(FRAUD)
    asked = journal.ask(FRAUD, Abort(release="fraud-1"), NOW)
    with pytest.raises(TransientFault, match="moved on"):
        journal.record(before, *steady(before, live=GREEN.id), NOW)
    assert journal.read(FRAUD).commands == (asked,)
    assert journal.read(FRAUD).live is None
    again = journal.read(FRAUD)
    assert journal.record(again, *steady(again, live=GREEN.id), NOW).commands == (asked,)


def test_a_changed_goal_carries_the_place_of_its_record(journal):
    led = journal.lead(FRAUD, 5, NOW)
    first = journal.record(led, *steady(led, goal=goal(GREEN)), NOW)
    assert first.goal.stamp == Stamp(epoch=5, seq=2)
    same = journal.record(first, *steady(first, goal=goal(GREEN), live=GREEN.id), NOW)
    assert same.goal.stamp == Stamp(epoch=5, seq=2), "an unchanged goal keeps its stamp"
    other = journal.record(same, *steady(same, goal=goal(BLUE)), NOW)
    assert other.goal.stamp == Stamp(epoch=5, seq=4)


def test_a_new_leader_stamps_what_it_finds_with_its_higher_epoch(journal):
    led = journal.lead(FRAUD, 5, NOW)
    had = journal.record(led, *steady(led, goal=goal(GREEN)), NOW)
    now = journal.lead(FRAUD, 9, NOW)
    assert (now.epoch, now.goal.stamp) == (9, Stamp(epoch=9, seq=3))
    assert now.goal.stamp > had.goal.stamp
    assert journal.lead(FRAUD, 2, NOW).epoch == 10, "an epoch never falls, whatever the clock says"


def test_epochs_rise_with_the_clock_and_without_it():
    assert next_epoch(0, 12.5) == 12_500
    assert next_epoch(99_999, 12.5) == 100_000


def test_a_new_service_starts_above_every_epoch_that_was_lost(journal):
    journal.ask(FRAUD, COMMANDS[0], NOW)
    assert journal.read(FRAUD).epoch == int(NOW * 1000)


def test_a_record_says_only_what_changed_and_which_release_it_was_about(journal):
    before = journal.read(FRAUD)
    moving = journal.record(before, *steady(before, release=release(4, Phase.MOVING)), NOW)
    body = journal.records(FRAUD)[-1].body
    assert set(body["set"]) == {"release"}
    assert body["release"] == "fraud-4"
    journal.record(moving, *steady(moving, release=None, last=release(4, Phase.ENDED)), NOW)
    assert journal.records(FRAUD)[-1].body["release"] == "fraud-4"
    idle = journal.read(FRAUD)
    journal.record(idle, *steady(idle), NOW)
    assert journal.records(FRAUD)[-1].body == {
        "set": {},
        "reason": {"code": "steady", "fields": {}},
        "release": None,
        "handled": [],
    }


def test_stored_records_have_the_fields_of_the_format_and_hash_the_one_before(journal):
    tell(journal)
    with sqlite3.connect(journal.path) as database:
        query = "SELECT record FROM journal WHERE service = 'fraud' ORDER BY seq"
        stored = [bytes(row[0]) for row in database.execute(query)]
    database.close()
    fields = {"format", "service", "seq", "epoch", "at", "kind", "body", "previousHash"}
    hashes = [""] + [sha256(data) for data in stored]
    for data, previous in zip(stored, hashes[:-1], strict=True):
        record = json.loads(data)
        assert set(record) == fields
        assert record["previousHash"] == previous
        assert canonical(record) == data
    assert {json.loads(data)["kind"] for data in stored} == set(Kind)


def test_history_can_be_read_in_pages(journal):
    tell(journal)
    whole = journal.records(FRAUD)
    assert journal.records(FRAUD, after=3, limit=4) == whole[3:7]
    assert journal.records(FRAUD, after=len(whole)) == ()


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        (
            "UPDATE journal SET record = CAST(replace(record, 'fraud-1', 'fraud-7') AS BLOB) WHERE seq = 2 AND service = 'fraud'",
            2,
        ),
        ("UPDATE journal SET record = 'text' WHERE seq = 3 AND service = 'fraud'", 3),
        ("DELETE FROM journal WHERE seq = 4 AND service = 'fraud'", 5),
        ("DELETE FROM journal WHERE seq = 1 AND service = 'fraud'", 2),
        ("UPDATE journal SET record = x'00ff' WHERE seq = 3 AND service = 'fraud'", 3),
        (
            "UPDATE journal SET record = CAST(replace(record, 'true', 'false') AS BLOB) WHERE seq = 24 AND service = 'fraud'",
            24,
        ),
    ],
)
def test_a_broken_chain_holds_its_service_and_no_other(journal, statement, seq):
    tell(journal)
    journal.close()
    rewrite(journal, statement)
    again = SqliteJournal(journal.path)
    # A start reads from the last checkpoint on; what is damaged before it shows to the first who reads it.
    for attempt in (again.records, again.read, lambda s: again.ask(s, COMMANDS[0], NOW)):
        with pytest.raises(LastingFault, match=rf"service fraud is held.*record {seq} "):
            attempt(FRAUD)
    assert again.read(RANKER).commands
    assert FRAUD in again.services()
    again.close()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"kind": "drill"}, "drill"),
        ({"format": 2}, "format 2"),
        ({"body": {"command": {"type": "Explode"}}}, "Explode"),
        ({"kind": "tick", "body": {"set": {"colour": "green"}, "handled": []}}, "colour"),
        ({"kind": "tick", "body": {}}, "set"),
    ],
)
def test_a_record_of_a_newer_celadon_holds_its_service(journal, change, why):
    journal.ask(FRAUD, COMMANDS[0], NOW)
    journal.ask(RANKER, COMMANDS[0], NOW)
    data = to_bytes(replace(journal.records(FRAUD)[0], **change))
    rewrite(journal, "UPDATE journal SET record = ?, hash = ? WHERE service = 'fraud'", data, sha256(data))
    again = reopened(journal)
    with pytest.raises(LastingFault, match=f"(?s)service fraud.*record 1 .*{why}.*update celadon"):
        again.read(FRAUD)
    assert again.read(RANKER).seq == 1
    again.close()


def test_appending_is_create_only(journal, tmp_path):
    journal.ask(FRAUD, COMMANDS[0], NOW)
    with pytest.raises(sqlite3.IntegrityError), sqlite3.connect(journal.path) as database:
        database.execute("INSERT INTO journal VALUES ('default', 'fraud', 1, x'00', '')")
    database.close()


def test_a_journal_restored_under_a_running_daemon_gets_a_higher_epoch(journal):
    led = journal.lead(FRAUD, 5, NOW)
    journal.record(led, *steady(led, goal=goal(GREEN)), NOW)
    newer = journal.record(journal.read(FRAUD), *steady(journal.read(FRAUD), goal=goal(BLUE)), NOW)
    rewrite(journal, "DELETE FROM journal WHERE seq > 2")
    with pytest.raises(TransientFault, match="restored"):
        journal.ask(FRAUD, Promote(release="fraud-1"), NOW)
    now = journal.read(FRAUD)
    assert now.seq == 3
    assert now.goal.stamp > newer.goal.stamp, "nothing decided on the lost records outranks what follows"
    assert journal.ask(FRAUD, Promote(release="fraud-1"), NOW).seq == 4


def test_a_journal_replaced_under_a_running_daemon_is_refused(journal, tmp_path):
    journal.ask(FRAUD, COMMANDS[0], NOW)
    (tmp_path / "other").write_bytes(b"")
    (tmp_path / "other").replace(journal.path)
    with pytest.raises(LastingFault, match="replaced"):
        journal.ask(FRAUD, COMMANDS[0], NOW)


def test_a_checkpoint_lets_older_records_go(journal):
    tell(journal)
    point = journal.checkpoint(FRAUD, NOW)
    journal.ask(FRAUD, Promote(release="x"), NOW)
    remembered = journal.read(FRAUD)
    rewrite(journal, "DELETE FROM journal WHERE service = 'fraud' AND seq < ?", point.seq)
    again = reopened(journal)
    assert again.read(FRAUD) == remembered
    assert [record.seq for record in again.records(FRAUD)] == [point.seq, point.seq + 1]
    again.close()


def test_only_the_owner_can_read_the_journal(journal):
    journal.ask(FRAUD, COMMANDS[0], NOW)
    assert stat.S_IMODE(journal.path.parent.stat().st_mode) == 0o700
    files = list(journal.path.parent.iterdir())
    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_full_disk_is_a_fault_and_the_next_append_goes_on(journal):
    journal.ask(FRAUD, COMMANDS[0], NOW)
    pages = journal._database.execute("PRAGMA page_count").fetchone()[0]
    journal._database.execute(f"PRAGMA max_page_count = {pages}")

    def ask_on():
        for _ in range(10):
            journal.ask(FRAUD, COMMANDS[0], NOW)

    with pytest.raises(TransientFault, match=r"(?s)no space is left.*free some space"):
        ask_on()
    before = journal.read(FRAUD)
    stored = reread(journal)
    assert stored == before, "what was not written is not remembered"
    journal._database.execute(f"PRAGMA max_page_count = {pages + 100}")
    assert journal.ask(FRAUD, Promote(release="a"), NOW).seq == before.seq + 1


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    (tmp_path / "text").write_text("not a database, but long enough to be looked at" * 9)
    with pytest.raises(LastingFault, match="damaged"):
        SqliteJournal(tmp_path / "text")
    with sqlite3.connect(tmp_path / "other") as database:
        database.execute("CREATE TABLE t (x)")
    database.close()
    with pytest.raises(LastingFault, match="something else"):
        SqliteJournal(tmp_path / "other")
    (tmp_path / "file").write_text("")
    with pytest.raises(LastingFault, match="can not be opened"):
        SqliteJournal(tmp_path / "file" / "journal.db")


def test_another_process_that_writes_the_file_is_waited_for_and_named(journal):
    with sqlite3.connect(journal.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TransientFault, match="another process"):
            journal.ask(FRAUD, COMMANDS[0], NOW)
        other.execute("ROLLBACK")
    other.close()
    assert journal.ask(FRAUD, COMMANDS[0], NOW).seq == 1


WRITER = """
import sys
from pathlib import Path
from celadon.domain.command import Promote
from celadon.domain.names import ServiceKey
from celadon.store.journal import CHECKPOINT_RECORDS, SqliteJournal

journal = SqliteJournal(Path(sys.argv[1]))
while True:
    asked = journal.ask(ServiceKey(name="fraud"), Promote(release="x" * 500), 1.5)
    print(asked.seq, flush=True)
"""


def test_a_writer_killed_in_the_middle_of_appends_loses_nothing_it_acknowledged(tmp_path):
    path = tmp_path / "journal.db"
    acknowledged = 0
    for kill_after in (1, 7, 23):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            wanted = acknowledged + kill_after
            while acknowledged < wanted:
                acknowledged = int(writer.stdout.readline())
            os.kill(writer.pid, signal.SIGKILL)
            rest = [line for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
            acknowledged = int(rest[-1]) if rest else acknowledged
        journal = SqliteJournal(path)
        memory = journal.read(ServiceKey(name="fraud"))
        assert memory.seq in (acknowledged, acknowledged + 1)
        assert [asked.seq for asked in memory.commands] == list(range(1, memory.seq + 1))
        acknowledged = memory.seq
        journal.close()


def test_a_journal_that_can_not_be_written_is_a_clear_fault_and_can_still_be_read(journal):
    journal.ask(FRAUD, COMMANDS[0], NOW)
    journal._database.execute("PRAGMA query_only = ON")
    with pytest.raises(LastingFault, match=r"(?s)can not be written.*disk is writable"):
        journal.ask(FRAUD, COMMANDS[0], NOW)
    assert journal.read(FRAUD).seq == 1


def test_damaged_pages_are_a_clear_fault(journal):
    tell(journal)
    journal.close()
    content = bytearray(journal.path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    journal.path.write_bytes(content)
    with pytest.raises(LastingFault, match=r"(?s)damaged.*restore a backup"):
        SqliteJournal(journal.path).services()


def test_steps_that_a_tick_took_are_kept_for_people(journal):
    tell(journal)
    told = [record.body["steps"] for record in journal.records(FRAUD) if "steps" in record.body]
    assert [[decode(Taken, step) for step in steps] for steps in told] == [list(STEPS)]


def test_what_is_appended_together_is_there_as_a_whole_or_not_at_all(journal):
    journal.ask(FRAUD, COMMANDS[0], NOW)
    before = journal.read(FRAUD)
    with journal.together():
        moving = journal.record(before, *steady(before, release=release(1, Phase.MOVING)), NOW)
        assert journal.read(FRAUD) == moving, "what is read inside sees what was appended"
        journal.lead(RANKER, 7, NOW)
        assert reread(journal) == before, "nobody else does yet"
    assert reread(journal) == journal.read(FRAUD) == moving
    assert journal.read(RANKER).epoch == 7

    def broken_off():
        with journal.together():
            journal.record(moving, *steady(moving, release=None), NOW)
            raise KeyError

    with pytest.raises(KeyError):
        broken_off()
    assert reread(journal) == journal.read(FRAUD) == moving


def test_a_batch_that_finds_no_space_leaves_everything_as_it_was(journal):
    journal.ask(FRAUD, COMMANDS[0], NOW)
    journal.ask(RANKER, COMMANDS[0], NOW)
    before = {key: journal.read(key) for key in (FRAUD, RANKER)}
    pages = journal._database.execute("PRAGMA page_count").fetchone()[0]
    journal._database.execute(f"PRAGMA max_page_count = {pages}")

    def record_on():
        with journal.together():
            for number in range(50):
                memory = journal.read(FRAUD)
                journal.record(memory, *steady(memory, release=release(number + 1, Phase.MOVING)), NOW)
            journal.lead(RANKER, 9, NOW)

    with pytest.raises(TransientFault, match="no space is left"):
        record_on()
    assert {key: journal.read(key) for key in before} == before
    journal._database.execute(f"PRAGMA max_page_count = {pages + 100}")
    assert journal.lead(RANKER, 9, NOW).seq == before[RANKER].seq + 1


def test_what_one_service_is_refused_leaves_the_others_in_the_batch(journal):
    led = journal.lead(FRAUD, 5, NOW)
    journal.record(led, *steady(led, goal=goal(GREEN)), NOW)
    rewrite(journal, "DELETE FROM journal WHERE seq > 1")
    with journal.together():
        memory = journal.read(FRAUD)
        with pytest.raises(TransientFault, match="restored"):
            journal.record(memory, *steady(memory, goal=goal(BLUE)), NOW)
        journal.lead(RANKER, 5, NOW)
    assert reread(journal) == journal.read(FRAUD)
    assert journal.read(FRAUD).epoch > led.epoch
    assert journal.read(RANKER).epoch == 5


def lives_on(journal, records):
    with journal.together():
        for _ in range(records):
            memory = journal.read(FRAUD)
            journal.record(memory, *steady(memory, release=None), NOW)


def releases_end(journal, count):
    for _ in range(count):
        number = journal.read(FRAUD).releases_asked + 1
        command = Rollback(release=f"fraud-{number}", revision=BLUE.id)
        asked = journal.ask(FRAUD, command, NOW)
        memory = journal.read(FRAUD)
        ended = replace(memory, last=release(number, Phase.ENDED), commands=())
        journal.record(memory, ended, because(Code.STEADY), NOW)
        assert asked.seq == memory.seq


def test_a_journal_that_has_grown_long_gets_a_checkpoint_and_a_start_reads_no_more_than_from_there(journal):
    journal.ask(FRAUD, COMMANDS[0], NOW)
    journal.tidy(FRAUD, NOW)
    assert journal.read(FRAUD).seq == 1, "a short journal is left alone"
    lives_on(journal, CHECKPOINT_RECORDS)
    journal.tidy(FRAUD, NOW)
    assert journal.records(FRAUD)[-1].kind == Kind.CHECKPOINT
    before = journal.read(FRAUD)
    # What lies before the checkpoint is not read again: not even damage there is noticed by a start.
    rewrite(journal, "UPDATE journal SET record = x'00' WHERE service = 'fraud' AND seq = 5")
    again = reopened(journal)
    assert again.read(FRAUD) == before
    assert again.ask(FRAUD, Promote(release="x"), NOW).seq == before.seq + 1
    again.close()


def test_the_last_releases_are_kept_and_what_is_older_goes(tmp_path):
    journal = SqliteJournal(tmp_path / "journal.db", releases_kept=3)
    for _ in range(3):
        releases_end(journal, 2)
        lives_on(journal, CHECKPOINT_RECORDS)
        journal.tidy(FRAUD, NOW)
    kept = journal.records(FRAUD)
    assert kept[0].kind == Kind.CHECKPOINT
    asked = [record.body["command"]["release"] for record in kept if record.kind == Kind.COMMAND]
    assert asked == ["fraud-3", "fraud-4", "fraud-5", "fraud-6"]
    again = reopened(journal)
    assert again.read(FRAUD).releases_asked == 6
    assert again.read(FRAUD).last.id == "fraud-6"
    again.close()


def test_the_file_of_a_service_that_lives_on_for_ever_stays_as_large_as_it_is(tmp_path):
    journal = SqliteJournal(tmp_path / "journal.db", releases_kept=1)
    sizes = []
    for _ in range(6):
        releases_end(journal, 1)
        lives_on(journal, CHECKPOINT_RECORDS)
        journal.tidy(FRAUD, NOW)
        sizes.append(journal._database.execute("PRAGMA page_count").fetchone()[0])
    assert sizes[-1] <= 1.1 * sizes[2]
    journal.close()
