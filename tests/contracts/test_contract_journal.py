"""What every journal promises, the simulated one and that in SQLite."""

from contextlib import suppress
from random import Random

import pytest
from journal_story import COMMANDS, FRAUD, NOW, RANKER, release, steady

from celadon.domain.command import Promote
from celadon.domain.memory import Memory
from celadon.domain.problem import Fault, TransientFault
from celadon.domain.release import Phase
from celadon.sim.disk import Disk
from celadon.sim.journal import SimJournal
from celadon.store.journal import SqliteJournal


class Simulated:
    """A journal on a simulated disk."""

    def __init__(self, _):
        self.disk = Disk(Random(1))

    def open(self):
        return SimJournal(self.disk)

    def fill(self, _):
        self.disk.full = True

    def free(self, _):
        self.disk.full = False

    def close(self, _):
        self.disk.tear(None)


class Sqlite:
    """A journal in a file."""

    def __init__(self, folder):
        self.path = folder / "home" / "journal.db"

    def open(self):
        return SqliteJournal(self.path)

    def fill(self, journal):
        self.pages = journal._database.execute("PRAGMA page_count").fetchone()[0]
        journal._database.execute(f"PRAGMA max_page_count = {self.pages}")

    def free(self, journal):
        journal._database.execute(f"PRAGMA max_page_count = {self.pages + 1000}")

    def close(self, journal):
        journal.close()


@pytest.fixture(params=[Simulated, Sqlite])
def side(request, tmp_path):
    return request.param(tmp_path)


@pytest.fixture
def journal(side):
    opened = side.open()
    yield opened
    side.close(opened)


def read_anew(side, service=FRAUD):
    """What a daemon that starts now would remember."""
    other = side.open()
    memory = other.read(service)
    if isinstance(side, Sqlite):
        other.close()
    return memory


def decide(journal, number=1):
    """One tick's record."""
    before = journal.read(FRAUD)
    return journal.record(before, *steady(before, release=release(number, Phase.MOVING)), NOW)


def test_of_a_service_without_records_nothing_is_remembered(journal):
    assert journal.services() == ()
    assert journal.read(FRAUD) == Memory(service=FRAUD)


def test_an_acknowledged_command_survives_a_crash(side, journal):
    asked = [journal.ask(FRAUD, command, NOW) for command in COMMANDS]
    assert read_anew(side).commands == tuple(asked)
    assert [one.seq for one in asked] == list(range(1, len(COMMANDS) + 1))


def test_what_is_remembered_is_what_a_crash_leaves(side, journal):
    journal.lead(FRAUD, 5, NOW)
    decided = decide(journal)
    assert journal.read(FRAUD) == decided == read_anew(side)
    assert journal.services() == (FRAUD,)


def test_a_decision_on_what_is_no_longer_so_is_refused_and_nothing_is_lost(side, journal):
    journal.lead(FRAUD, 5, NOW)
    old = journal.read(FRAUD)
    asked = journal.ask(FRAUD, Promote(release="fraud-1"), NOW)
    with pytest.raises(TransientFault):
        journal.record(old, *steady(old, release=release(1, Phase.MOVING)), NOW)
    assert read_anew(side).commands == (asked,)


def test_whoever_takes_the_lead_is_above_everybody_before(journal):
    first = journal.lead(FRAUD, 5, NOW).epoch
    assert journal.lead(FRAUD, 3, NOW).epoch == first + 1
    assert journal.lead(FRAUD, 100, NOW).epoch == 100


def test_records_are_one_chain_in_order(journal):
    journal.lead(FRAUD, 5, NOW)
    journal.ask(RANKER, COMMANDS[0], NOW)
    decide(journal)
    records = journal.records(FRAUD)
    assert [record.seq for record in records] == [1, 2]
    assert records[0].previous_hash == ""
    assert len(records[1].previous_hash) == 64


def test_what_is_appended_together_is_seen_at_once_and_is_there_as_a_whole(side, journal):
    journal.lead(FRAUD, 5, NOW)
    before = read_anew(side)
    with journal.together():
        decided = decide(journal)
        assert journal.read(FRAUD) == decided
        journal.lead(RANKER, 7, NOW)
        assert read_anew(side) == before, "nobody else sees a part of it"
    assert read_anew(side) == decided
    assert read_anew(side, RANKER).epoch == 7


def test_of_what_is_broken_off_nothing_is_there(side, journal):
    journal.lead(FRAUD, 5, NOW)
    before = journal.read(FRAUD)

    def broken_off():
        with journal.together():
            decide(journal)
            raise KeyError

    with pytest.raises(KeyError):
        broken_off()
    assert journal.read(FRAUD) == before == read_anew(side)


def test_of_what_finds_no_space_nothing_is_there_and_the_next_append_goes_on(side, journal):
    journal.lead(FRAUD, 5, NOW)
    before = journal.read(FRAUD)
    side.fill(journal)

    def record_on():
        with journal.together():
            for number in range(1, 60):
                decide(journal, number)

    with pytest.raises(TransientFault):
        record_on()
    assert journal.read(FRAUD) == before == read_anew(side)
    side.free(journal)
    assert decide(journal).seq == before.seq + 1
    assert read_anew(side) == journal.read(FRAUD)


def test_two_that_append_in_the_same_place_are_never_both_believed(side, journal):
    journal.lead(FRAUD, 5, NOW)
    other = side.open()
    other.read(FRAUD)
    journal.ask(FRAUD, Promote(release="mine"), NOW)
    refused = False
    try:
        other.ask(FRAUD, Promote(release="theirs"), NOW)
        read_anew(side)
    except Fault:
        refused = True
    finally:
        with suppress(AttributeError):
            other.close()
    assert refused


def test_a_torn_tail_is_dropped_and_what_was_acknowledged_stays(tmp_path):
    """SQLite never shows one: its own tests kill a writer in the middle of appends."""
    side = Simulated(tmp_path)
    for cut in range(200):
        side.disk = Disk(Random(cut))
        journal = side.open()
        asked = journal.ask(FRAUD, COMMANDS[0], NOW)
        side.disk.failing = True
        with suppress(Fault):
            journal.ask(FRAUD, Promote(release="fraud-1"), NOW)
        side.disk.failing = False
        side.disk.tear(None)
        found = read_anew(side).commands
        assert found[0] == asked
        assert len(found) in {1, 2}
        assert side.open().ask(FRAUD, COMMANDS[0], NOW).seq == len(found) + 1


def test_a_record_that_lacks_only_the_end_of_its_line_stays_and_the_next_has_a_line_of_its_own(tmp_path):
    side = Simulated(tmp_path)
    asked = [side.open().ask(FRAUD, COMMANDS[0], NOW)]
    whole = side.disk.synced[-1]()
    assert whole.endswith(b"\n")
    side.disk.synced[-1] = lambda: whole[:-1]
    asked.append(side.open().ask(FRAUD, COMMANDS[0], NOW))
    assert list(read_anew(side).commands) == asked
