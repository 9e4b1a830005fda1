"""What labels survive: the daemon's death at any moment, rotation, a full disk, a damaged file, time."""

import asyncio
import itertools
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from labels_given import BLUE, DIGITS, GREEN, Home, interest, routed

from celadon.domain.compare import Compare, LabelMargin, Margin, PairMargin
from celadon.domain.facts import Known, Unknown
from celadon.domain.feedback import Feedback, Heard, Received
from celadon.domain.names import ServiceKey
from celadon.domain.problem import Fault, TransientFault
from celadon.observe.labels import SqliteLabels, tail
from celadon.observe.labels.age import SLACK_S
from celadon.observe.labels.file import open_file
from celadon.observe.labels.spool import Spool, requests
from celadon.observe.labels.write import Begun, Posted, Sources, Writer

MORTAL = """
import json, sys
from pathlib import Path
from labels_given import Home, routed
from celadon.domain.feedback import Feedback
home = Home(Path(sys.argv[1])).open()
for line in sys.stdin:
    step = json.loads(line)
    home.route(*(routed(request) for request in step["route"]))
    print("routed", flush=True)
    home.post(*(Feedback(request=request, label=label) for request, label in step["tell"]))
    print("told", flush=True)
"""


class Mortal:
    """A process with the labels of a home, which does a step at a time and can be killed anywhere in it."""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            [sys.executable, "-c", MORTAL, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        )

    def begin(self, step):
        self.process.stdin.write(json.dumps(step) + "\n")
        self.process.stdin.flush()

    def until(self, word):
        assert self.process.stdout.readline().strip() == word

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


def steps():
    """Labels for requests of the step itself, of the step before and of the step after."""
    for number in range(6):
        mine = [f"s{number}-{n}" for n in range(40)]
        late = [f"s{number - 1}-{n}" for n in range(40, 60)] if number else []
        early = [f"s{number + 1}-{n}" for n in range(30, 40)] if number < 5 else []
        yield {
            "route": mine + [f"s{number}-{n}" for n in range(40, 60)],
            "tell": [(request, str(len(request) % 2)) for request in (*mine[:30], *late, *early)],
        }


def test_a_daemon_that_is_killed_at_any_moment_loses_no_label_and_counts_none_twice(tmp_path):
    home = Home(tmp_path).open()
    asyncio.run(home.close())
    for step in steps():
        for request in step["route"]:
            home.predict(request, 1)
    came, cursor = [], ()
    for number, step in enumerate(steps()):
        mortal = Mortal(tmp_path)
        mortal.begin(step)
        mortal.until("routed")
        if number % 2:
            mortal.until("told")
        mortal.kill()
        home.open()
        home.route(*map(routed, step["route"][: number * 10]))
        home.post(*(Feedback(request=request, label=label) for request, label in step["tell"]))
        home.cursor = cursor
        came += home.read().labels
        cursor = home.cursor
        asyncio.run(home.close())
    told = {request: label for step in steps() for request, label in step["tell"]}
    assert len(came) == len(told)
    assert sum(label.wrong for label in came) == sum(label != "1" for label in told.values())
    home.open()
    assert (home.heard.accepted, home.heard.waiting) == (len(told), 0)
    home.cursor = ()
    assert list(home.read().labels) == came
    asyncio.run(home.close())


def test_a_kill_between_two_batches_changes_nothing_of_what_is_told(tmp_path):
    told = []
    for name, restarts in (("calm", False), ("killed", True)):
        home, came = Home(tmp_path / name), []
        home.folder.mkdir()
        home.open()
        for step in steps():
            home.route(*map(routed, step["route"]))
            for request in step["route"]:
                home.predict(request, 1)
            home.settle()
            home.post(*(Feedback(request=request, label=label) for request, label in step["tell"]))
            came.append(home.read().labels)
            if restarts:
                asyncio.run(home.close())
                home.open()
        asyncio.run(home.close())
        told.append(came)
    assert told[0] == told[1]


def test_predictions_are_read_on_across_rotations_and_restarts(tmp_path):
    home = Home(tmp_path).open(interest(Compare(pairs=PairMargin())))
    path = tmp_path / "predictions" / f"default.digits.{GREEN}.0.jsonl"
    seen = 0
    for number in range(6):
        home.predict(f"a{number}", "3")
        if number % 2:
            path.replace(f"{path}.1")
            home.predict(f"b{number}", "3")
        if number == 3:
            asyncio.run(home.close())
            home.open(interest(Compare(pairs=PairMargin())))
        seen += sum(count for _, _, count in home.read().classes)
    assert seen == 9
    asyncio.run(home.close())


def test_what_was_predicted_before_a_release_compared_is_left_out(tmp_path):
    home = Home(tmp_path)
    home.predict("a", "3")
    home.open()
    home.predict("b", "4")
    assert home.read().classes == ((GREEN, "4", 1),)
    home.follow()
    home.predict("c", "5")
    home.follow(interest())
    home.predict("d", "6")
    assert home.read().classes == ((GREEN, "6", 1),)
    asyncio.run(home.close())


def test_lines_that_are_no_predictions_cost_nobody_anything(home, tmp_path):
    folder = tmp_path / "predictions"
    home.predict("a", "3")
    with (folder / f"default.digits.{GREEN}.0.jsonl").open("ab") as file:
        file.write(b"nonsense\n[]\n\xff\xfe\n{}\n" + b"[" * 5000 + b"\n" + b"x" * 40_000 + b"\n")
    home.predict("b", "3")
    with (folder / f"default.digits.{GREEN}.0.jsonl").open("a") as file:
        file.write('{"id": "c", "answer": "3"')
    assert home.read().classes == ((GREEN, "3", 2),)
    with (folder / f"default.digits.{GREEN}.0.jsonl").open("a") as file:
        file.write("}\n")
    assert home.read().classes == ((GREEN, "3", 1),)


def test_a_replica_can_not_make_celadon_read_what_is_not_its_own(home, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(json.dumps({"id": "a", "answer": "3"}) + "\n")
    folder = tmp_path / "predictions"
    folder.mkdir()
    (folder / f"default.digits.{GREEN}.0.jsonl").symlink_to(secret)
    os.mkfifo(folder / f"default.digits.{GREEN}.1.jsonl")
    assert home.read().classes == ()
    line = {"id": "b", "answer": "3", "revision": BLUE}
    (folder / f"default.digits.{GREEN}.2.jsonl").write_text(json.dumps(line) + "\n")
    assert home.read().classes == ((GREEN, "3", 1),)


def test_a_file_that_began_again_is_read_from_its_beginning(tmp_path):
    path = tmp_path / "lines"
    path.write_text("one\ntwo\n")
    lines, place, more = tail.read_on(path, None)
    assert (lines, more) == ([b"one", b"two"], False)
    path.write_text("new\n")
    assert tail.read_on(path, place)[0] == [b"new"]
    assert tail.read_on(tmp_path / "missing", place) == ([], place, False)


def test_requests_that_find_no_room_are_told_again(home):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    home.route(routed("a"))
    home.settle()
    size = home.labels._spool.path(DIGITS).stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.raises(TransientFault, match="can not be written"):
            home.route(routed("b"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    home.route(routed("b"))
    home.settle()
    assert home.post(Feedback(request="a", wrong=True), Feedback(request="b", wrong=True)) == Received(
        accepted=2
    )


def test_a_spool_never_grows_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr("celadon.observe.labels.spool.FILE_BYTES_MAX", 300)
    spool, got, place = Spool(tmp_path), [], None
    for number in range(20):
        spool.append(DIGITS, [routed(f"r{number}", group="ä")])
        lines, place, _ = tail.read_on(spool.path(DIGITS), place)
        got += requests(lines)
        if not lines or number % 3 == 0:
            lines, place, _ = tail.read_on(spool.path(DIGITS), place)
            got += requests(lines)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 600
    while lines:
        lines, place, _ = tail.read_on(spool.path(DIGITS), place)
        got += requests(lines)
    assert [one.request for one in got] == [f"r{number}" for number in range(20)]
    assert got[0] == routed("r0", group="ä")
    spool.drop(DIGITS)
    assert list(tmp_path.iterdir()) == []


def test_labels_that_wait_for_a_restarted_daemons_first_tick_are_not_turned_away(tmp_path):
    home = Home(tmp_path).open()
    home.route(routed("a"))
    home.settle()
    asyncio.run(home.close())
    again = SqliteLabels(tmp_path, lambda: 1000.0)
    again.start()

    with ThreadPoolExecutor() as pool:
        waits = pool.submit(again.post, DIGITS, [Feedback(request="a", wrong=True)])
        deadline = time.monotonic() + 20
        while not again._writer._early:
            assert time.monotonic() < deadline, "the label was not taken"
        again.follow(DIGITS, (interest(),))
        assert waits.result(20) == Received(accepted=1)
    asyncio.run(again.close())


def makes_file_and_dies(path, before):
    """A process makes the file and ends before the statement of that number; says whether it came so far."""
    child = os.fork()
    if child == 0:
        try:
            real, numbers = sqlite3.connect, itertools.count()
            sqlite3.connect = lambda *given, **more: traced(real(*given, **more), numbers, before)
            open_file(path)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 9


def traced(database, numbers, before):
    database.set_trace_callback(lambda _: os._exit(9) if next(numbers) == before else None)
    return database


def test_whoever_is_killed_while_the_file_is_made_leaves_one_that_can_be_used(tmp_path):
    statements = 0
    while makes_file_and_dies(tmp_path / f"{statements}.db", before=statements):
        database, name = open_file(tmp_path / f"{statements}.db")
        database.close()
        assert len(name) == 12
        statements += 1
    assert statements > 15


def test_a_damaged_file_is_said_and_stops_nothing(tmp_path):
    (tmp_path / "labels.db").write_bytes(b"this is no database" * 100)
    labels = SqliteLabels(tmp_path)
    labels.start()
    labels.follow(DIGITS, (interest(),))
    labels.routed(DIGITS, [routed("a")])
    told = labels.samples(DIGITS, (), interest())
    assert isinstance(told, Unknown)
    assert "damaged" in told.why
    with pytest.raises(Fault, match="damaged"):
        labels.post(DIGITS, [Feedback(request="a", wrong=True)])
    asyncio.run(labels.close())


def test_a_file_that_can_be_used_again_is_used_without_a_restart(tmp_path, monkeypatch):
    monkeypatch.setattr("celadon.observe.labels.store.OPEN_AGAIN_S", -1.0)
    (tmp_path / "labels.db").mkdir()
    home = Home(tmp_path)
    home.labels = SqliteLabels(tmp_path, lambda: 1000.0)
    home.labels.start()
    home.labels.follow(DIGITS, (interest(),))
    assert isinstance(home.labels.samples(DIGITS, (), interest()), Unknown)
    (tmp_path / "labels.db").rmdir()
    assert isinstance(home.labels.samples(DIGITS, (), interest()), Known)
    home.follow(interest())
    home.route(routed("a"))
    home.settle()
    assert home.tell("a", wrong=True) == Received(accepted=1)
    asyncio.run(home.close())


def test_a_file_that_was_lost_makes_the_evidence_incomplete_once(tmp_path):
    home = Home(tmp_path).open()
    home.route(routed("a"))
    home.settle()
    home.tell("a", wrong=True)
    assert home.read().complete
    asyncio.run(home.close())
    for path in tmp_path.glob("labels.db*"):
        path.unlink()
    home.open()
    assert home.read().complete is False
    home.route(routed("b"))
    home.settle()
    home.tell("b", wrong=True)
    after = home.read()
    assert (after.complete, len(after.labels)) == (True, 1)
    asyncio.run(home.close())


def test_the_files_are_their_owners_alone(home, tmp_path):
    home.route(routed("a"))
    home.settle()
    files = [*tmp_path.glob("labels.db*"), *(tmp_path / "routed").iterdir()]
    assert len(files) == 4
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)


def writer_of(folder, **more):
    clock = [1000.0]
    sources = Sources(spool=Spool(folder / "routed"), predictions=folder / "predictions")
    writer = Writer(folder / "labels.db", sources, lambda: clock[0], **more)
    writer.open()
    return writer, sources.spool, clock


def post(writer, *feedback):
    done = Future()
    writer.write([Posted(service=DIGITS, batch=feedback, done=done)])
    return done.result(0)


def tidied(writer):
    while writer.tidy():
        pass
    return {
        table: writer._database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("requests", "predictions", "labels", "arrivals")
    }


def test_what_is_too_old_goes_and_labels_that_still_wait_are_counted(tmp_path):
    compare = Compare(labels=LabelMargin(wrong=Margin(), mature_s=100.0))
    writer, spool, clock = writer_of(tmp_path)
    writer.write([Begun(service=DIGITS, interests=(interest(compare),))])
    spool.append(DIGITS, [routed("a", at_s=1000), routed("b", at_s=1000 + 200)])
    writer.write([])
    post(writer, Feedback(request="a", wrong=True), Feedback(request="nobody", wrong=True))
    clock[0] = 1000.0 + 100 + SLACK_S + 50
    post(writer, Feedback(request="b", wrong=True))
    writer._tidied = -1e9
    assert tidied(writer) == {"requests": 1, "predictions": 0, "labels": 1, "arrivals": 1}
    assert writer.heard(DIGITS) == Heard(accepted=2, unjoined=1, late=1)
    assert writer.kept_from(DIGITS) == 1
    writer.write([Begun(service=DIGITS, interests=())])
    assert set(tidied(writer).values()) == {0}
    writer.close()


def test_too_many_requests_are_given_up_oldest_first_and_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("celadon.observe.labels.age.CHUNK", 10)
    writer, spool, _ = writer_of(tmp_path, rows_max=25)
    writer.write([Begun(service=DIGITS, interests=(interest(),))])
    spool.append(DIGITS, [routed(f"r{n}", at_s=900 + n) for n in range(40)])
    writer.write([])
    assert tidied(writer)["requests"] == 20
    assert writer.heard(DIGITS).forgotten == 20
    assert post(writer, Feedback(request="r19", wrong=True), Feedback(request="r20", wrong=True)) == Received(
        accepted=1, waiting=1
    )
    writer.close()


def test_a_reader_that_stayed_away_too_long_is_told_that_something_is_missing(tmp_path):
    home = Home(tmp_path).open()
    home.route(routed("a"))
    home.settle()
    home.read()
    since = home.cursor
    home.tell("a", wrong=True)
    home.at += 4 * 86_400
    asyncio.run(home.close())
    home.open()
    home.cursor = since
    deadline = time.monotonic() + 20
    while not home.labels._writer.kept_from(DIGITS):
        assert time.monotonic() < deadline, "nothing was deleted"
        home.settle()
    assert home.read().complete is False
    assert home.read().complete is True
    asyncio.run(home.close())


def test_services_keep_their_numbers_and_counts_over_a_restart(tmp_path):
    home = Home(tmp_path).open()
    home.tell("a", wrong=True)
    other = ServiceKey(namespace="eu", name="digits")
    home.labels.follow(other, (interest(),))
    home.labels.post(other, [Feedback(request="b", wrong=True)] * 3)
    asyncio.run(home.close())
    home.open()
    assert home.heard == Heard(waiting=1)
    assert home.labels.heard(other) == Heard(waiting=1, twice=2)
    assert isinstance(home.labels.samples(other, (), interest()), Known)
    assert home.labels.heard(ServiceKey(name="nobody")) is None
    asyncio.run(home.close())
