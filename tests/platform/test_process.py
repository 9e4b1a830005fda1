"""Replicas as processes: they start, get ready, stop, and are found again."""

import os
import signal
import sys

from platform_given import SERVICE, alive, facts, launch, until, until_none, until_state

from celadon.domain.facts import ReplicaState, Unknown
from celadon.platform.process import ProcessPlatform
from celadon.platform.process.rundir import holder, run_dirs

READY, EXITED = ReplicaState.READY, ReplicaState.EXITED


def test_a_replica_starts_gets_ready_and_stops_without_a_trace(workshop):
    async def story(shop):
        platform = await shop.platform()
        platform.start(launch())
        fact = await until_state(platform, READY)
        assert fact.address.host == "127.0.0.1"
        assert fact.exits == 0
        assert fact.last_exit is None
        assert fact.notes == ()
        assert shop.wakes >= 2
        platform.stop(fact.id, 5.0)
        assert facts(platform)[0].state is ReplicaState.STOPPING
        await until_none(platform)
        assert not alive(fact.pid)
        assert not list((shop.home / "run").glob("*"))

    workshop.run(story)


def test_a_new_daemon_finds_the_same_process_and_can_stop_it(workshop):
    async def story(shop):
        first = await shop.platform()
        first.start(launch())
        before = await until_state(first, READY)
        await first.close()
        second = await shop.platform()
        after = facts(second)[0]
        assert (after.pid, after.address, after.state) == (before.pid, before.address, READY)
        second.start(launch())
        assert facts(second)[0].pid == before.pid
        second.stop(after.id, 5.0)
        await until_none(second)
        assert not alive(before.pid)

    workshop.run(story)


def test_nothing_is_known_before_the_platform_has_looked(tmp_path):
    platform = ProcessPlatform(tmp_path, lambda _: None, lambda: 0.0)
    assert isinstance(platform.observe(SERVICE), Unknown)
