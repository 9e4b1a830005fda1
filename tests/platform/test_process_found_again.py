"""Replicas outlive the daemon: whatever happened in between, the next one tells them rightly."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from platform_given import SERVE, alive, facts, launch, until, until_gone, until_none, until_state

from celadon.domain.facts import ReplicaState
from celadon.platform.process.rundir import holder, run_dirs

READY, EXITED = ReplicaState.READY, ReplicaState.EXITED

DAEMON = """
import asyncio, sys, time
from dataclasses import replace
from pathlib import Path
from platform_given import launch, until_state
from celadon.domain.facts import ReplicaState
from celadon.platform.process import ProcessPlatform

async def main():
    platform = ProcessPlatform(Path(sys.argv[1]), lambda _: None, time.time)
    await platform.open()
    platform.start(launch())
    print((await until_state(platform, ReplicaState.READY)).pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def start_daemon(home):
    return subprocess.Popen(
        [sys.executable, "-c", DAEMON, home],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )


async def left_ready(shop):
    """A replica that was ready when its platform went: what was told of it last."""
    platform = await shop.platform()
    platform.start(launch())
    ready = await until_state(platform, READY)
    await platform.close()
    return ready


def test_a_closed_platform_leaves_its_replicas_to_the_next_one(workshop):
    async def story(shop):
        before = await left_ready(shop)
        assert alive(before.pid)
        second = await shop.platform()
        after = facts(second)[0]
        assert (after.pid, after.address, after.state) == (before.pid, before.address, READY)
        assert after.since == before.since
        second.start(launch())
        assert facts(second)[0].pid == before.pid
        second.stop(after.id, 5.0)
        await until_none(second)
        assert not alive(before.pid)

    workshop.run(story)


def test_one_that_was_not_ready_meanwhile_is_ready_anew(workshop):
    async def story(shop):
        before = await left_ready(shop)
        run = next(run_dirs(shop.home))
        (run.work / "unready").touch()
        second = await shop.platform()
        await until(lambda: run.read("history.json")["ready_at"] is None)
        await second.close()
        (run.work / "unready").unlink()
        again = await until_state(await shop.platform(), READY)
        assert again.pid == before.pid
        assert again.since > before.since

    workshop.run(story)


def test_a_killed_daemon_costs_no_replica(workshop):
    async def story(shop):
        daemon = start_daemon(shop.home)
        with daemon:
            pid = int(daemon.stdout.readline())
            daemon.kill()
        platform = await shop.platform()
        fact = facts(platform)[0]
        assert (fact.pid, fact.state, fact.exits) == (pid, READY, 0)
        os.kill(pid, signal.SIGKILL)
        assert (await until_state(platform, EXITED)).last_exit.code == -signal.SIGKILL

    workshop.run(story)


def test_an_exit_while_no_daemon_looked_is_told_and_counted_once(workshop):
    async def story(shop):
        first = await shop.platform()
        first.start(launch("import sys\nprint('no luck', file=sys.stderr)\nsys.exit(3)"))
        await until_state(first, EXITED)
        first.start(launch())
        before = await until_state(first, READY)
        await first.close()
        found = holder(next(run_dirs(shop.home)))
        os.kill(before.pid, signal.SIGKILL)
        until_gone(found.pid)
        os.close(found.pidfd)
        for _ in range(2):
            platform = await shop.platform()
            fact = facts(platform)[0]
            assert (fact.state, fact.exits, fact.last_exit.code) == (EXITED, 2, -signal.SIGKILL)

    workshop.run(story)


def test_after_a_reboot_replicas_are_lost_without_blame_and_can_start(workshop):
    async def story(shop):
        before = await left_ready(shop)
        run = next(run_dirs(shop.home))
        os.kill(run.read("lock")["pid"], signal.SIGKILL)
        until_gone(before.pid)
        # The pid of a living process, as after a reboot any process may have it.
        identity = run.read("lock") | {"boot": "another", "pid": os.getpid()}
        (run.path / "lock").write_text(json.dumps(identity))
        second = await shop.platform()
        fact = facts(second)[0]
        assert (fact.state, fact.exits, fact.last_exit.code) == (EXITED, 0, None)
        assert "machine was started again" in fact.last_exit.stderr[-1]
        second.start(launch())
        assert (await until_state(second, READY)).exits == 0

    workshop.run(story)


def test_a_stop_goes_on_without_the_daemon_and_is_forgotten_by_the_next(workshop):
    async def story(shop):
        first = await shop.platform()
        first.start(launch())
        fact = await until_state(first, READY)
        first.stop(fact.id, 5.0)
        await first.close()
        until_gone(fact.pid)
        second = await shop.platform()
        await until_none(second)
        assert not list(run_dirs(shop.home))

    workshop.run(story)


def test_two_daemons_that_start_the_same_replica_get_one_process(workshop):
    async def story(shop):
        first, second = await shop.platform(), await shop.platform()
        first.start(launch())
        pid = (await until_state(first, READY)).pid
        second.start(launch())
        assert (await until_state(second, READY)).pid == pid
        assert facts(first)[0].pid == pid

    workshop.run(story)


def test_an_unknown_holder_of_the_lock_is_told(workshop):
    async def story(shop):
        first = await shop.platform()
        first.start(launch())
        await until_state(first, READY)
        await first.close()
        run = next(run_dirs(shop.home))
        pid = run.read("lock")["pid"]
        identity = run.read("lock") | {"start": "1"}
        (run.path / "lock").write_text(json.dumps(identity))
        second = await shop.platform()
        await until_state(second, EXITED)
        until_gone(pid)
        second.start(launch(SERVE))
        await until_state(second, READY)

    workshop.run(story)


def test_the_zone_of_a_replica_is_told_to_it_and_found_again(workshop):
    async def story(shop):
        first = await shop.platform()
        tells = "import os; print('zone', os.environ.get('CELADON_ZONE'), flush=True)\n" + SERVE
        first.start(replace(launch(tells), zone="b"))
        assert facts(first)[0].zone == "b"
        before = await until_state(first, READY)
        await first.close()
        second = await shop.platform()
        assert facts(second)[0].zone == before.zone == "b"
        lines = [line async for _, line in second.logs(before.id.service)]
        assert any(line.endswith("zone b") for line in lines)

    workshop.run(story)
