"""What every platform promises, the simulated one and that of processes."""

import os
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from contract_given import Virtual, nothing, play, wait
from platform_given import SERVE, SERVER, SERVICE, Workshop, launch

from celadon.domain.facts import Known, ReplicaState
from celadon.domain.names import ServiceKey
from celadon.sim.replicas import Character, Machine, Reach, SimPlatform

READY, EXITED = ReplicaState.READY, ReplicaState.EXITED
FAILS = f"import sys; sys.exit(1)  # {sys.platform}"
STAYS = SERVER + (
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Answer).serve_forever()\n"
)


class Side:
    """What the stories need of either side."""

    def facts(self, service=SERVICE):
        seen = self.platform.observe(service)
        assert isinstance(seen, Known)
        return {fact.id.index: fact for fact in seen.value}

    async def state(self, state, index=0):
        def there():
            fact = self.facts().get(index)
            return fact if fact is not None and fact.state is state else None

        return await self.until(there)

    async def gone(self):
        await self.until(lambda: not self.facts())


class Simulated(Side, Virtual):
    def __init__(self):
        super().__init__()
        self.character = Character()
        self.machine = Machine(
            self.kernel,
            self.clock,
            {launch().replica.revision: self.character},
            changed=nothing,
            starting=nothing,
            stopping=nothing,
            dying=nothing,
        )

    async def open(self):
        self.platform = SimPlatform(self.machine, self.clock, Reach(), nothing)

    def launch(self, index=0, *, fails=False, stays=False, zone=""):
        self.character.starts, self.stays = not fails, stays
        return replace(launch(index=index), zone=zone)

    def kill(self, fact):
        self.machine.kill(self.machine.there[fact.id])

    def stop(self, fact, grace_s):
        if self.stays:
            self.machine.hang(self.machine.there[fact.id])
        self.platform.stop(fact.id, grace_s)


class Processes(Side):
    def __init__(self, folder):
        self.shop = Workshop(folder / "home")

    async def open(self):
        for old in self.shop.platforms:
            await old.close()
        self.shop.platforms.clear()
        self.platform = await self.shop.platform()

    async def until(self, condition):
        return await wait(condition)

    def launch(self, index=0, *, fails=False, stays=False, zone=""):
        script = FAILS if fails else STAYS if stays else SERVE
        return replace(launch(script, index=index), zone=zone)

    def kill(self, fact):
        os.kill(fact.pid, signal.SIGKILL)

    def stop(self, fact, grace_s):
        self.platform.stop(fact.id, grace_s)


@asynccontextmanager
async def simulated(_):
    side = Simulated()
    await side.open()
    yield side


@asynccontextmanager
async def processes(folder):
    side = Processes(folder)
    try:
        await side.open()
        yield side
    finally:
        for platform in side.shop.platforms:
            await platform.close()
        side.shop.end()


@pytest.fixture(params=[simulated, pytest.param(processes, marks=pytest.mark.e2e)])
def kept(request, tmp_path):
    """A way to let a story hold the platform to its promise."""
    return lambda story: play(request.param, story, tmp_path)


def test_of_a_service_that_nobody_started_it_is_known_that_there_is_nothing(kept):
    async def story(side):
        assert side.facts(ServiceKey(name="nobody")) == {}

    kept(story)


def test_a_started_replica_is_shown_at_once_and_gets_ready_with_address_and_zone(kept):
    async def story(side):
        side.platform.start(side.launch(zone="a"))
        assert side.facts()[0].state is ReplicaState.STARTING
        fact = await side.state(READY)
        assert fact.address is not None
        assert (fact.zone, fact.exits, fact.last_exit) == ("a", 0, None)

    kept(story)


def test_starting_what_runs_changes_nothing(kept):
    async def story(side):
        side.platform.start(side.launch())
        side.platform.start(side.launch())
        fact = await side.state(READY)
        side.platform.start(side.launch())
        assert side.facts() == {0: fact}

    kept(story)


def test_replicas_have_addresses_of_their_own(kept):
    async def story(side):
        for index in (0, 1):
            side.platform.start(side.launch(index))
        facts = [await side.state(READY, index) for index in (0, 1)]
        assert facts[0].address != facts[1].address

    kept(story)


def test_a_stop_is_shown_at_once_and_leaves_nothing_behind(kept):
    async def story(side):
        side.platform.start(side.launch())
        fact = await side.state(READY)
        side.platform.stop(fact.id, 5.0)
        side.platform.stop(fact.id, 5.0)
        assert side.facts()[0].state is ReplicaState.STOPPING
        await side.gone()
        side.platform.stop(fact.id, 5.0)
        assert side.facts() == {}
        side.platform.remove(SERVICE)

    kept(story)


def test_what_does_not_end_by_itself_is_ended_after_its_grace(kept):
    async def story(side):
        side.platform.start(side.launch(stays=True))
        side.stop(await side.state(READY), 1.0)
        await side.gone()

    kept(story)


def test_an_exit_is_reported_with_its_code_and_counted_until_it_is_started_again(kept):
    async def story(side):
        for count in (1, 2):
            side.platform.start(side.launch(fails=True))
            fact = await side.until(
                lambda count=count: (
                    (there := side.facts()[0]).state is EXITED and there.exits == count and there
                )
            )
            assert fact.last_exit.code == 1
        side.platform.stop(fact.id, 1.0)
        await side.gone()

    kept(story)


def test_a_killed_replica_is_seen_and_the_next_start_brings_it_back(kept):
    async def story(side):
        side.platform.start(side.launch())
        side.kill(await side.state(READY))
        fact = await side.state(EXITED)
        assert fact.last_exit.code == -9
        assert fact.exits == 1
        side.platform.start(side.launch())
        await side.state(READY)

    kept(story)


def test_replicas_outlive_the_daemon_and_are_found_again(kept):
    async def story(side):
        side.platform.start(side.launch(zone="b"))
        before = await side.state(READY)
        await side.open()
        found = await side.state(READY)
        assert (found.id, found.address, found.zone) == (before.id, before.address, "b")
        side.platform.start(side.launch(zone="b"))
        assert side.facts()[0].address == before.address

    kept(story)
