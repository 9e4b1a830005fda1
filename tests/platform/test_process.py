"""Replicas as processes: they start, get ready, stop, and are found again."""

import os
import signal

from platform_given import (
    SERVER,
    SERVICE,
    alive,
    facts,
    launch,
    pss_kib,
    until,
    until_gone,
    until_none,
    until_state,
)

from celadon.domain.facts import ReplicaState, Unknown
from celadon.platform.process import ProcessPlatform
from celadon.platform.process.rundir import run_dirs

READY, UNREADY, EXITED = ReplicaState.READY, ReplicaState.UNREADY, ReplicaState.EXITED
STOPPING, STARTING = ReplicaState.STOPPING, ReplicaState.STARTING

SERVER_THAT_STAYS = (
    SERVER
    + """
signal.signal(signal.SIGTERM, lambda *_: print("not me", file=sys.stderr, flush=True))
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Answer).serve_forever()
"""
)
SERVER_WITH_FAMILY = (
    SERVER
    + """
import subprocess
own = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
far = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
open("family", "w").write(f"{own.pid} {far.pid}")
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Answer).serve_forever()
"""
)


def test_a_replica_starts_gets_ready_and_stops_without_a_trace(workshop):
    async def story(shop):
        platform = await shop.platform()
        platform.start(launch())
        assert facts(platform)[0].state is STARTING
        fact = await until_state(platform, READY)
        assert fact.address.host == "127.0.0.1"
        assert (fact.exits, fact.last_exit, fact.notes) == (0, None, ())
        assert shop.wakes >= 2
        platform.stop(fact.id, 5.0)
        assert facts(platform)[0].state is STOPPING
        await until_none(platform)
        assert not alive(fact.pid)
        assert not list((shop.home / "run").glob("*"))

    workshop.run(story)


def test_starting_twice_starts_one_process(workshop):
    async def story(shop):
        platform = await shop.platform()
        platform.start(launch())
        platform.start(launch())
        fact = await until_state(platform, READY)
        platform.start(launch())
        assert [(found.id, found.pid) for found in facts(platform)] == [(fact.id, fact.pid)]

    workshop.run(story)


def test_replicas_of_a_service_have_ports_of_their_own(workshop):
    async def story(shop):
        platform = await shop.platform()
        platform.start(launch(index=0))
        platform.start(launch(index=1))
        first, second = await until_state(platform, READY, 0), await until_state(platform, READY, 1)
        assert first.address != second.address
        platform.stop(first.id, 5.0)
        await until(lambda: len(facts(platform)) == 1)
        assert facts(platform)[0].state is READY

    workshop.run(story)


def test_a_replica_that_is_stopped_while_it_starts_is_gone(workshop):
    async def story(shop):
        platform = await shop.platform()
        what = launch()
        platform.start(what)
        platform.stop(what.replica, 5.0)
        await until_none(platform)
        assert not list(run_dirs(shop.home))

    workshop.run(story)


def test_sigterm_that_is_ignored_is_followed_by_sigkill_after_the_grace(workshop):
    async def story(shop):
        platform = await shop.platform()
        platform.start(launch(SERVER_THAT_STAYS))
        fact = await until_state(platform, READY)
        platform.stop(fact.id, 0.3)
        await until_none(platform)
        assert not alive(fact.pid)
        lines = [line async for _, line in platform.logs(SERVICE)]
        assert any(line.endswith(" err not me") for line in lines)

    workshop.run(story)


def test_a_shorter_grace_hurries_a_stop(workshop):
    async def story(shop):
        platform = await shop.platform()
        platform.start(launch(SERVER_THAT_STAYS))
        fact = await until_state(platform, READY)
        platform.stop(fact.id, 600.0)
        assert facts(platform)[0].state is STOPPING
        platform.stop(fact.id, 0.1)
        await until_none(platform)

    workshop.run(story)


def test_nothing_that_a_replica_started_outlives_it(workshop):
    async def story(shop):
        platform = await shop.platform()
        platform.start(launch(SERVER_WITH_FAMILY))
        fact = await until_state(platform, READY)
        family = _family(shop)
        assert all(map(alive, family))
        platform.stop(fact.id, 5.0)
        await until_none(platform)
        assert not any(map(alive, family))

    workshop.run(story)


def test_a_replica_that_ends_is_reported_at_once_with_its_exit(workshop):
    async def story(shop):
        platform = await shop.platform()
        platform.start(launch())
        fact = await until_state(platform, READY)
        _kill(fact.pid)
        ended = await until(lambda: facts(platform)[0].state is EXITED and facts(platform)[0], within_s=2.0)
        assert ended.last_exit.code == -signal.SIGKILL
        assert (ended.exits, ended.pid, ended.address) == (1, None, None)
        platform.start(launch())
        again = await until_state(platform, READY)
        assert again.pid != fact.pid
        assert again.exits == 1
        _kill(again.pid)
        await until(lambda: facts(platform)[0].exits == 2)
        platform.stop(fact.id, 5.0)
        await until_none(platform)

    workshop.run(story)


def test_exits_in_a_row_are_forgiven_after_a_calm_time(workshop, monkeypatch):
    async def story(shop):
        platform = await shop.platform()
        platform.start(launch())
        _kill((await until_state(platform, READY)).pid)
        await until_state(platform, EXITED)
        monkeypatch.setattr("celadon.platform.process.replica.CALM_S", 0.1)
        platform.start(launch())
        await until_state(platform, READY)
        await until(lambda: facts(platform)[0].exits == 0)
        await until(lambda: next(run_dirs(shop.home)).read("history.json")["exits"] == 0)

    workshop.run(story)


def test_a_killed_launcher_takes_the_whole_replica_with_it(workshop):
    async def story(shop):
        platform = await shop.platform()
        platform.start(launch(SERVER_WITH_FAMILY))
        fact = await until_state(platform, READY)
        family = _family(shop)
        _kill(_launcher(shop))
        ended = await until_state(platform, EXITED)
        assert ended.last_exit.code is None
        assert "lost" in ended.last_exit.stderr[-1]
        assert not alive(fact.pid)
        assert not any(map(alive, family))
        platform.start(launch())
        await until_state(platform, READY)

    workshop.run(story)


def test_a_silent_replica_is_unready_and_ready_again_once_it_answers(workshop):
    async def story(shop):
        platform = await shop.platform()
        platform.start(launch())
        fact = await until_state(platform, READY)
        switch = next(run_dirs(shop.home)).work / "unready"
        switch.touch()
        assert (await until_state(platform, UNREADY)).pid == fact.pid
        switch.unlink()
        assert (await until_state(platform, READY)).pid == fact.pid

    workshop.run(story)


def test_nothing_is_known_before_the_platform_has_looked(tmp_path):
    platform = ProcessPlatform(tmp_path, lambda _: None, lambda: 0.0)
    assert isinstance(platform.observe(SERVICE), Unknown)


def test_launchers_stay_small(workshop):
    async def story(shop):
        platform = await shop.platform()
        platform.start(launch())
        await until_state(platform, READY)
        assert pss_kib(_launcher(shop)) < 14 * 1024

    workshop.run(story)


def _kill(pid):
    os.kill(pid, signal.SIGKILL)
    until_gone(pid)


def _launcher(shop):
    return next(run_dirs(shop.home)).read("lock")["pid"]


def _family(shop):
    return [int(pid) for pid in (next(run_dirs(shop.home)).work / "family").read_text().split()]
