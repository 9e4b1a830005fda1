"""kill -9 of the daemon at every journal step of a release, under load: no request is lost, and the release ends as
it would have.

Every life of the daemon writes one record of the service and is then killed, either right after the commit and
before anything of it is begun, or when the next record is about to be written and everything of this one was begun.
So each release dies once at every step, on both sides of its effects. This proves that crashes of the process cost
nothing. It does not prove the same of power losses: whatever the kernel was given stays with the kernel here.
"""

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys

import pytest
from e2e_load import Load, ask
from e2e_world import MORTAL, until, world

from celadon.doors.cli.client import DaemonGoneError

pytestmark = [pytest.mark.e2e, pytest.mark.long]

LIVES_MAX = 40


@pytest.fixture(scope="module")
def made():
    with world() as made:
        made.done("deploy", "-f", made.service(answer={"score": 0}, release={"holdSeconds": 2}))
        made.score = 0
        yield made


@pytest.fixture(params=["after", "before"])
def when(request):
    return request.param


def live_one(made, when, act, *, done):
    """One life of the daemon, with `act` once it answers. Says whether it was killed before `done` was true."""
    life = subprocess.Popen(
        [sys.executable, MORTAL, made.home, "score", when, "1"],
        env=made.environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    with life:
        try:
            until(lambda: life.poll() is not None or made.answers(), 20)
            asked(act)
            until(lambda: life.poll() is not None or asked(done), 20)
            killed = life.poll() is not None
        finally:
            life.kill()
    if killed:
        assert life.returncode == -signal.SIGKILL
    return killed


def asked(question):
    """What the daemon says, None when it dies before it has said it."""
    try:
        return question()
    except DaemonGoneError:
        return None


def lives(made, when, done, act):
    """Lives of the daemon, one record each, until `done`; then one that stays. Returns how many were killed."""
    made.done("stop")
    killed = 0
    try:
        while live_one(made, when, act, done=done):
            killed += 1
            assert killed < LIVES_MAX, "the release goes round in circles"
    finally:
        made.up()
    return killed


def ended(made, count):
    """Whether that many releases have ended, and of blue and green only what is live is left."""

    def look():
        releases = made.history()
        view = made.view()
        over = len(releases) == count and releases[-1]["ended_at"] is not None
        running = [r for of in view["revisions"] for r in of["replicas"]]
        return over and view["predecessor"] is None and len(running) == 1 and not view["waiting_commands"]

    return look


def offered(made, **answer):
    """A next revision, and who answers for it."""
    made.score += 1
    return made.service(
        answer={"score": made.score % 9, "number": made.score, **answer}, release={"holdSeconds": 2}
    )


def every_step(made, when):
    """How many times a daemon that dies at every record has died by the end of the last release."""
    with contextlib.closing(sqlite3.connect(made.home / "journal.db")) as database:
        rows = [json.loads(row[0]) for row in database.execute("SELECT record FROM journal ORDER BY seq")]
    asked_at = max(n for n, row in enumerate(rows) if "revision" in row["body"].get("command", {}))
    written = sum(row["kind"] != "leader" for row in rows[asked_at:])
    # A tick that finds several steps permitted takes them at once.
    assert written >= 6, rows[asked_at:]
    return written if when == "after" else written - 1


def deploy_once(made, file):
    """Deploy until it is journalled: a person whose daemon died at once asks again."""

    def act():
        if len(made.history()) == act.before and not made.view()["waiting_commands"]:
            made.run("deploy", "-f", file, "--detach")

    act.before = len(made.history())
    return act


def test_a_good_release_ends_promoted_and_no_request_fails(made, when):
    file = offered(made)
    blue, count = made.live(), len(made.history()) + 1
    with Load(port=made.port()) as load:
        killed = lives(made, when, ended(made, count), deploy_once(made, file))
    assert load.failed() == []
    release = made.history()[-1]
    assert (release["outcome"], release["cause"], release["blue"]) == ("promoted", "plan", blue)
    assert made.live() == release["green"]
    assert load.answered_by(release["green"])
    assert killed == every_step(made, when)


def test_a_failing_release_is_taken_back_and_only_its_own_answers_are_bad(made, when):
    file = offered(made, fails=True)
    blue, count = made.live(), len(made.history()) + 1
    with Load(port=made.port()) as load:
        killed = lives(made, when, ended(made, count), deploy_once(made, file))
    release = made.history()[-1]
    assert load.failed(but=[release["green"]]) == []
    assert (release["outcome"], release["cause"], release["blue"]) == ("rolled_back", "verdict", blue)
    assert release["reason"]["code"] == "back_on_blue"
    assert made.live() == blue
    assert json.loads(ask(made.port()).body)["score"] != made.score % 9
    assert killed == every_step(made, when)


def test_an_aborted_release_is_taken_back_by_the_person_and_no_request_fails(made, when):
    file = offered(made)
    blue, count = made.live(), len(made.history()) + 1
    deploy = deploy_once(made, file)

    def act():
        deploy()
        if made.phase() == "watching":
            made.run("abort", "score")

    with Load(port=made.port()) as load:
        killed = lives(made, when, ended(made, count), act)
    assert load.failed() == []
    release = made.history()[-1]
    assert (release["outcome"], release["cause"], release["blue"]) == ("rolled_back", "person", blue)
    assert made.live() == blue
    assert killed == every_step(made, when)
