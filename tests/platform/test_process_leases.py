"""Leases of failures, held by real processes: whom they meet, and that they end whoever is still alive."""

import asyncio
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from celadon.domain.drill import DrillKind, Lease
from celadon.domain.names import ServiceKey
from celadon.platform.process import Again, ProcessLeases, holder

pytestmark = pytest.mark.e2e

FRAUD = ServiceKey(name="fraud")


def story(told):
    """A test that lives in an event loop of its own."""

    @functools.wraps(told)
    def test(**given):
        asyncio.run(told(**given))

    return test


@pytest.fixture
def victim():
    process = subprocess.Popen([sys.executable, "-S", "-c", "import signal; signal.pause()"])
    yield process
    process.kill()
    process.wait()


def leases(home):
    again = Again(lock=home / "daemon.lock", argv=("true",), cwd=home, log=home / "log")
    return ProcessLeases(home, again)


def lease(kind, lasts_s=30.0, until=None):
    return Lease(drill=3, kind=kind, until=time.time() + lasts_s if until is None else until, lasts_s=lasts_s)


def run_of(process):
    return process.pid, holder.start_ticks(process.pid)


def state(process):
    return Path(f"/proc/{process.pid}/stat").read_bytes().rpartition(b")")[2].split()[0]


async def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition was not met in time"
        await asyncio.sleep(0.01)
    return found


def struck(made):
    fact = made.observe(FRAUD, time.time())
    return fact if fact is not None and fact.struck_at is not None else None


def undone(made):
    fact = made.observe(FRAUD, time.time())
    return fact if fact is not None and fact.undone_at is not None else None


@story
async def test_a_stopped_process_goes_on_when_its_lease_is_undone(tmp_path, victim):
    made = leases(tmp_path)
    made.strike(FRAUD, lease(DrillKind.HANG_REPLICA), [run_of(victim)])
    assert (await until(lambda: struck(made))).hit == 1
    await until(lambda: state(victim) == b"T")
    made.undo(FRAUD, 3)
    await until(lambda: undone(made))
    await until(lambda: state(victim) == b"S")
    await made.close()
    made.forget(FRAUD)
    assert list((tmp_path / "drills").rglob("lease-*")) == []


@story
async def test_a_lease_ends_by_itself_and_a_later_daemon_reads_it(tmp_path, victim):
    made = leases(tmp_path)
    made.strike(FRAUD, lease(DrillKind.HANG_REPLICA, 1.0), [run_of(victim)])
    await until(lambda: struck(made))
    await made.close()
    await until(lambda: state(victim) == b"S")
    later = leases(tmp_path)
    assert later.services() == (FRAUD,)
    fact = await until(lambda: undone(later))
    assert fact.undone_at - fact.struck_at < 5.0


@story
async def test_what_a_killed_holder_left_is_undone_by_another_one(tmp_path, victim):
    made = leases(tmp_path)
    made.strike(FRAUD, lease(DrillKind.HANG_REPLICA), [run_of(victim)])
    await until(lambda: state(victim) == b"T")
    folder = next((tmp_path / "drills").rglob("lease-3"))
    await made.close()
    for pid in holders(folder):
        os.kill(pid, signal.SIGKILL)
    await until(lambda: not holder.held(str(folder / "lock")))
    assert state(victim) == b"T"
    later = leases(tmp_path)
    later.undo(FRAUD, 3)
    await until(lambda: undone(later))
    await until(lambda: state(victim) == b"S")
    await later.close()


def holders(folder):
    """Processes that hold the lease in this folder, by their arguments."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                told = (place / "cmdline").read_bytes()
            except OSError:
                continue
            if b"holder.py" in told and str(folder).encode() in told:
                found.append(int(place.name))
    return found


@story
async def test_another_process_with_the_same_id_is_spared(tmp_path, victim):
    made = leases(tmp_path)
    made.strike(FRAUD, lease(DrillKind.KILL_REPLICA), [(victim.pid, "1")])
    fact = await until(lambda: undone(made))
    assert (fact.hit, victim.poll()) == (0, None)
    await made.close()


@story
async def test_a_killed_process_is_killed_and_nothing_is_left_to_undo(tmp_path, victim):
    made = leases(tmp_path)
    made.strike(FRAUD, lease(DrillKind.KILL_REPLICA), [run_of(victim)])
    assert (await until(lambda: undone(made))).hit == 1
    assert await asyncio.to_thread(victim.wait, 10) == -signal.SIGKILL
    await made.close()


@story
async def test_a_lease_that_is_over_before_it_began_does_nothing(tmp_path, victim):
    made = leases(tmp_path)
    made.strike(FRAUD, lease(DrillKind.HANG_REPLICA, until=time.time() - 1.0), [run_of(victim)])
    fact = await until(lambda: undone(made))
    assert (fact.struck_at, fact.why) == (None, "nothing was done before its time was over")
    assert state(victim) == b"S"
    await made.close()


DAEMON = """
import pathlib, signal, sys
kept = [signal.getsignal(n) is signal.SIG_DFL for n in (signal.SIGTERM, signal.SIGHUP)]
with pathlib.Path(sys.argv[1]).open("a") as file:
    file.write(f"{kept}\\n")
"""


@story
async def test_a_daemon_is_started_with_the_signals_it_is_ended_by_and_not_where_its_home_is_gone(
    tmp_path, victim
):
    home, said = tmp_path / "home", tmp_path / "said"
    home.mkdir()
    argv = (sys.executable, "-S", "-c", DAEMON, str(said))
    made = ProcessLeases(home, Again(lock=home / "daemon.lock", argv=argv, cwd=tmp_path, log=home / "log"))
    made.strike(FRAUD, lease(DrillKind.KILL_DAEMON), [run_of(victim)])
    assert await until(lambda: said.exists() and said.read_text()) == "[True, True]\n"
    folder = next((home / "drills").rglob("lease-3"))
    await made.close()
    shutil.rmtree(home)
    await until(lambda: holders(folder) == [])


def test_a_daemon_that_ends_at_its_start_is_not_started_for_ever(tmp_path):
    """In a process of its own, with pauses that nobody has to wait for."""
    said = tmp_path / "said"
    again = {"lock": str(tmp_path / "daemon.lock"), "cwd": str(tmp_path), "log": str(tmp_path / "log")}
    again["argv"] = [sys.executable, "-S", "-c", DAEMON, str(said)]
    order = {"victims": [], "stop": False, "until": time.time(), "lasts_s": 1.0, "again": again}
    holder.write_json(str(tmp_path / "order.json"), order)
    script = (
        "import sys; from celadon.platform.process import holder; holder.START_S = holder.SUPERVISOR_S = 0.0;"
        "holder.Holder(sys.argv[1]).run()"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=60)
    asyncio.run(until(lambda: said.exists() and said.read_text().count("\n") == holder.TRIES_MAX))
    assert (tmp_path / "undone.json").exists()


@story
async def test_holders_are_not_started_faster_than_they_can_take_their_lock(tmp_path, victim):
    made = leases(tmp_path)
    made.strike(FRAUD, lease(DrillKind.HANG_REPLICA), [run_of(victim)])
    for _ in range(20):
        made.undo(FRAUD, 3)
    assert len(made._tasks) == 1
    await until(lambda: undone(made))
    await made.close()


@story
async def test_how_it_is_undone_is_on_the_disk_before_anything_is_done(tmp_path, victim):
    made = leases(tmp_path)
    made.strike(FRAUD, lease(DrillKind.HANG_REPLICA), [run_of(victim)])
    order = json.loads(next((tmp_path / "drills").rglob("order.json")).read_bytes())
    assert order["victims"] == [{"pid": victim.pid, "start": holder.start_ticks(victim.pid)}]
    assert order["stop"]
    await until(lambda: struck(made))
    made.undo(FRAUD, 3)
    await until(lambda: undone(made))
    await made.close()
