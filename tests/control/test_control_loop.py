"""One loop for all services: who is due, one commit for all, and nobody falls with another."""

import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from control_worlds import Worlds
from release_given import BLUE, GREEN

from celadon.control.loop import DWELL_MAX_S, LEAD_AGAIN_S, PERIOD_S
from celadon.domain.command import Pause
from celadon.domain.names import ServiceKey
from celadon.domain.problem import LastingFault, TransientFault
from celadon.domain.reason import Code
from celadon.domain.release import Phase
from celadon.domain.spec import Watch
from celadon.store.journal import SqliteJournal

FRAUD, RANKER, SEARCH = (ServiceKey(name=name) for name in ("fraud", "ranker", "search"))


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[Worlds]:
    made = Worlds(folder=tmp_path, names=("fraud", "ranker", "search"))
    yield made
    made.journal.close()


def test_nothing_is_due_before_a_service_is_there_and_a_command_is_due_at_once(worlds: Worlds) -> None:
    assert worlds.loop.next_due(worlds.monotonic) == math.inf
    worlds.deploy(FRAUD, BLUE)
    assert worlds.loop.next_due(worlds.monotonic) == worlds.monotonic


def test_a_service_at_rest_is_due_once_a_period_and_when_it_is_woken(worlds: Worlds) -> None:
    for key in worlds.of:
        worlds.deploy(key, BLUE)
    worlds.until_live(BLUE)
    while worlds.loop.next_due(worlds.monotonic) == worlds.monotonic:
        worlds.turn(0.0)
    assert worlds.loop.next_due(worlds.monotonic) == worlds.monotonic + PERIOD_S
    worlds.turn(PERIOD_S / 2)
    seen = {key: worlds.view(key).at for key in worlds.of}
    worlds.loop.wake(RANKER)
    assert worlds.loop.next_due(worlds.monotonic) == worlds.monotonic
    worlds.turn(PERIOD_S / 4)
    assert {key for key in worlds.of if worlds.view(key).at > seen[key]} == {RANKER}
    worlds.turn(PERIOD_S / 4)
    assert {key for key in worlds.of if worlds.view(key).at > seen[key]} == {FRAUD, RANKER, SEARCH}
    assert worlds.view(RANKER).at < worlds.wall, "its period began anew when it was woken"


def test_a_checkpoint_wakes_nobody_and_any_other_record_does(worlds: Worlds) -> None:
    worlds.deploy(FRAUD, BLUE)
    worlds.until_live(BLUE, of=[FRAUD])
    worlds.deploy(FRAUD, GREEN, watch=Watch(watch_s=25, requests_min=10, deadline_s=60))
    woken: dict[bool, set[bool]] = {True: set(), False: set()}
    while worlds.view(FRAUD).memory.live == BLUE.id:
        seq = worlds.journal.read(FRAUD).seq
        worlds.turn()
        for record in worlds.journal.records(FRAUD, after=seq):
            at_once = worlds.loop.next_due(worlds.monotonic) == worlds.monotonic
            woken[record.body["reason"]["code"] == Code.CHECKPOINT].add(at_once)
    assert woken == {True: {False}, False: {True}}


def test_releases_of_several_services_move_side_by_side_and_survive_a_new_daemon(worlds: Worlds) -> None:
    for key in worlds.of:
        worlds.deploy(key, BLUE)
    worlds.until_live(BLUE)
    for key in worlds.of:
        worlds.deploy(key, GREEN)
    for _ in range(5):
        worlds.turn()
    worlds.journal.close()
    worlds.open()
    worlds.until_live(GREEN)
    assert {world.lost for world in worlds.of.values()} == {0}


def test_no_effect_begins_before_the_decisions_of_all_are_durable(worlds: Worlds) -> None:
    for key in worlds.of:
        worlds.deploy(key, BLUE)
    fetch, seen = worlds.effects.sources.fetch, []

    def look_from_outside(tree: object) -> None:
        other = SqliteJournal(worlds.journal.path)
        seen.append([other.read(key).goal is not None for key in worlds.of])
        other.close()
        fetch(tree)  # type: ignore[arg-type]

    worlds.effects.sources.fetch = look_from_outside  # type: ignore[method-assign]
    worlds.turn()
    assert seen
    assert all(all(there) for there in seen)


def test_a_sweep_over_many_is_one_transaction(worlds: Worlds) -> None:
    for key in worlds.of:
        worlds.deploy(key, BLUE)
    said: list[str] = []
    worlds.journal._database.set_trace_callback(said.append)
    worlds.turn()
    assert [word for word in said if word == "COMMIT"] == ["COMMIT"]
    assert sum(word.startswith("INSERT") for word in said) == len(worlds.of)


def test_a_service_that_can_not_be_read_holds_no_other(worlds: Worlds) -> None:
    for key in worlds.of:
        worlds.deploy(key, BLUE)
    worlds.journal.close()
    with sqlite3.connect(worlds.journal.path) as database:
        database.execute("UPDATE journal SET record = x'00' WHERE service = 'ranker'")
    database.close()
    worlds.open()
    del worlds.of[RANKER]
    worlds.until_live(BLUE)
    assert "service ranker is held" in worlds.view(RANKER).fault


def test_who_can_not_be_led_now_is_led_later_and_nothing_is_decided_before(worlds: Worlds) -> None:
    for key in worlds.of:
        worlds.deploy(key, BLUE)
    epochs = {key: worlds.journal.read(key).epoch for key in worlds.of}
    worlds.journal.close()
    worlds.unwritable = True
    worlds.open()
    assert "can not be written" in worlds.view(FRAUD).fault
    with pytest.raises(LastingFault):
        worlds.deploy(RANKER, GREEN)
    worlds.turn()
    assert worlds.loop.next_due(worlds.monotonic) == worlds.monotonic + LEAD_AGAIN_S
    worlds.journal._database.execute("PRAGMA query_only = OFF")
    worlds.deploy(RANKER, GREEN)
    worlds.until_live(BLUE, of=(FRAUD, SEARCH))
    worlds.until_live(GREEN, of=(RANKER,))
    for key, before in epochs.items():
        kinds = [record.kind for record in worlds.journal.records(key)]
        assert kinds[1] == "leader"
        assert worlds.journal.read(key).epoch > before


def test_who_is_led_by_a_command_that_could_not_be_journalled_itself_is_ticked_all_the_same(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    worlds.deploy(FRAUD, BLUE)
    worlds.journal.close()
    worlds.unwritable = True
    worlds.open()
    worlds.journal._database.execute("PRAGMA query_only = OFF")
    with monkeypatch.context() as full:

        def ask(*_: object) -> None:
            raise TransientFault("no space is left", retry_s=1.0)

        full.setattr(worlds.journal, "ask", ask)
        with pytest.raises(TransientFault):
            worlds.deploy(FRAUD, GREEN)
    worlds.until_live(BLUE, of=(FRAUD,))


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (TransientFault("the launchers are away", retry_s=1.0), "the launchers are away"),
        (KeyError("index"), "this is a bug in celadon: KeyError: 'index'"),
    ],
)
@pytest.mark.parametrize("where", ["observe", "start"])
def test_what_breaks_one_service_breaks_no_other(
    worlds: Worlds, where: str, trouble: Exception, told: str
) -> None:
    def broken(*_: object) -> None:
        raise trouble

    port = worlds.effects.platform.ports[RANKER]  # type: ignore[attr-defined]
    setattr(port, where, broken)
    for key in worlds.of:
        worlds.deploy(key, BLUE)
    others = worlds.of.pop(RANKER)
    worlds.until_live(BLUE)
    assert told in worlds.view(RANKER).fault
    assert RANKER not in worlds.turn(), "why it stands still is told once"
    delattr(port, where)
    worlds.of[RANKER] = others
    worlds.until_live(BLUE)
    assert worlds.view(RANKER).fault == ""


def test_while_nothing_can_be_written_what_is_new_waits_and_what_serves_is_kept_up(worlds: Worlds) -> None:
    for key in worlds.of:
        worlds.deploy(key, BLUE)
    worlds.until_live(BLUE)
    worlds.turn()
    database = worlds.journal._database
    worlds.deploy(RANKER, GREEN)
    worlds.deploy(SEARCH, GREEN)
    database.execute("PRAGMA query_only = ON")
    seqs = {key: worlds.journal.read(key).seq for key in worlds.of}
    dead = next(iter(worlds.of[FRAUD].there))
    del worlds.of[FRAUD].there[dead]
    begun = {key: len(worlds.of[key].begun) for key in worlds.of}
    worlds.turn()
    assert {key: worlds.journal.read(key).seq for key in worlds.of} == seqs
    for key in (RANKER, SEARCH):
        assert "can not be written" in worlds.view(key).fault
        assert len(worlds.of[key].begun) == begun[key], "no effect without a recorded goal"
    assert worlds.view(FRAUD).fault == ""
    assert dead in worlds.of[FRAUD].there, "a lost replica needs no record to be started again"
    database.execute("PRAGMA query_only = OFF")
    for _ in range(100):
        worlds.turn()
    assert worlds.view(RANKER).memory.live == GREEN.id
    assert worlds.view(RANKER).fault == ""


def test_a_jump_of_the_clock_is_noticed_by_every_service_once(worlds: Worlds) -> None:
    for key in worlds.of:
        worlds.deploy(key, BLUE)
    worlds.until_live(BLUE)
    worlds.deploy(FRAUD, GREEN)
    while not worlds.view(FRAUD).memory.release:
        worlds.turn()
    before = {key: len(worlds.journal.records(key)) for key in worlds.of}
    worlds.turn(jumped_s=3_600.0)
    told = worlds.journal.records(FRAUD)[-1].body
    assert "clock_jumped" in str(told)
    worlds.turn(jumped_s=1.0)
    after = {key: len(worlds.journal.records(key)) for key in worlds.of}
    assert after[RANKER] - before[RANKER] == 1


def test_time_that_nobody_watched_adds_little_to_a_dwell(worlds: Worlds) -> None:
    worlds.deploy(FRAUD, BLUE)
    del worlds.of[RANKER], worlds.of[SEARCH]
    worlds.until_live(BLUE)
    worlds.deploy(FRAUD, GREEN)
    while (release := worlds.view(FRAUD).memory.release) is None or release.phase is not Phase.WATCHING:
        worlds.turn()
    worlds.turn()
    before = worlds.view(FRAUD).memory.release
    worlds.turn(60.0)
    after = worlds.view(FRAUD).memory.release
    assert before is not None
    assert after is not None
    assert 0 < after.dwelt_s - before.dwelt_s <= DWELL_MAX_S


def test_a_command_for_a_release_that_moves_is_answered_at_the_next_turn(worlds: Worlds) -> None:
    worlds.deploy(FRAUD, BLUE)
    del worlds.of[RANKER], worlds.of[SEARCH]
    worlds.until_live(BLUE)
    worlds.deploy(FRAUD, GREEN)
    worlds.turn()
    worlds.loop.ask(FRAUD, Pause(release="fraud-2"), worlds.wall)
    worlds.turn(0.0)
    release = worlds.view(FRAUD).memory.release
    assert release is not None
    assert release.paused
