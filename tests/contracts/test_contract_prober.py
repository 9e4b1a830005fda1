"""What every prober promises, the simulated one and the one that sends golden requests."""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from contract_given import Virtual, nothing, play, wait
from platform_given import launch
from test_golden_prober import FRAUD, GOLDEN, GREEN, golden_file, prober, server

from celadon.domain.draw import EVERY
from celadon.domain.facts import ProofState
from celadon.domain.goal import Part, Route, Stamp, Wanted
from celadon.domain.names import Address, ReplicaId
from celadon.domain.plan import FULL
from celadon.sim.kernel import Link
from celadon.sim.observers import SimProber
from celadon.sim.orders import ROUTE
from celadon.sim.proxies import Proxies, Proxy
from celadon.sim.replicas import Character, Machine

LINES = [{"name": "first", "method": "POST", "path": "/", "body": {"a": 1}, "expect": {"exact": {"a": 1}}}]
RUNNING, PASSED, FAILED = ProofState.RUNNING, ProofState.PASSED, ProofState.FAILED


class Side:
    """What the stories need of either side."""

    def fact(self):
        return self.prober.observe(FRAUD)

    async def proved(self):
        """How the proof that was begun ended."""
        self.prove()
        assert self.fact().state is RUNNING
        return await self.until(lambda: (fact := self.fact()).state is not RUNNING and fact)


class Simulated(Side, Virtual):
    def __init__(self):
        super().__init__()
        self.characters = {GREEN: Character()}
        quiet = {"changed": nothing, "starting": nothing, "stopping": nothing, "dying": nothing}
        self.machine = Machine(self.kernel, self.clock, self.characters, **quiet)
        link = Link(self.kernel)
        self.proxies = Proxies(self.kernel, self.clock, link, (Proxy(0),), moved=nothing, took=nothing)
        self.prober = SimProber(self.kernel, self.machine, self.proxies, self.characters, nothing)
        self.machine.start(_launch())
        route = Route(match=EVERY, split=(Part(revision=GREEN, share=FULL),))
        self.proxies.publish(
            Wanted(
                service=FRAUD,
                stamp=Stamp(epoch=1, seq=1),
                route=ROUTE,
                routes=(route,),
                endpoints=(),
                ready=(),
                preview=GREEN,
            )
        )
        self.pass_s(5.0)

    def prove(self):
        self.prober.prove(FRAUD, GREEN, GOLDEN, None, Address(host="127.0.0.1", port=1), within_s=None)

    def is_wrong(self):
        self.characters[GREEN].golden = False

    def is_gone(self):
        for one in list(self.machine.there.values()):
            self.machine.kill(one)


def _launch():
    made = launch(service=FRAUD)
    replica = ReplicaId(service=FRAUD, revision=GREEN, index=0)
    return replace(made, replica=replica, revision=replace(made.revision, id=GREEN))


class Golden(Side):
    def __init__(self, made, running, folder):
        self.prober, self.running, self.path = made, running, golden_file(folder, LINES)
        self.address, running.answer = running.address, b'{"a":1}'

    def prove(self):
        self.prober.prove(FRAUD, GREEN, GOLDEN, self.path, self.address, within_s=None)

    def is_wrong(self):
        self.running.answer = b'{"a":2}'

    def is_gone(self):
        self.address = Address(host="127.0.0.1", port=1)

    async def until(self, condition):
        return await wait(condition)


@asynccontextmanager
async def simulated(_):
    yield Simulated()


@asynccontextmanager
async def golden(folder):
    with server(lambda running, _body: (200, GREEN, running.answer)) as running:
        async with prober(patience_s=0.3) as made:
            yield Golden(made, running, folder)


@pytest.fixture(params=[simulated, golden])
def kept(request, tmp_path):
    return lambda story: play(request.param, story, tmp_path)


def test_of_what_nobody_proves_nothing_is_known(kept):
    async def story(side):
        assert side.fact() is None

    kept(story)


def test_right_answers_are_a_proof_and_say_of_what(kept):
    async def story(side):
        fact = await side.proved()
        assert fact.state is PASSED
        assert (fact.revision, fact.golden, fact.mismatches, fact.fault) == (GREEN, GOLDEN, (), "")
        assert fact.asked > 0

    kept(story)


def test_wrong_answers_fail_by_name_and_are_no_fault_of_the_world(kept):
    async def story(side):
        side.is_wrong()
        fact = await side.proved()
        assert (fact.state, fact.fault) == (FAILED, "")
        assert [one.name for one in fact.mismatches] == ["first"]

    kept(story)


def test_who_can_not_be_reached_has_failed_by_a_fault_and_answered_nothing_wrong(kept):
    async def story(side):
        side.is_gone()
        fact = await side.proved()
        assert (fact.state, fact.mismatches) == (FAILED, ())
        assert fact.fault

    kept(story)


def test_proving_again_what_is_proved_changes_nothing_until_it_is_forgotten(kept):
    async def story(side):
        passed = await side.proved()
        side.is_wrong()
        side.prove()
        assert side.fact() == passed
        side.prober.forget(FRAUD)
        assert side.fact() is None
        assert (await side.proved()).state is FAILED

    kept(story)
