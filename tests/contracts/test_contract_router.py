"""What every router promises, the simulated one and Envoy's."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from contract_given import Virtual, nothing, play, wait
from envoy_world import BLUE, GREEN, caller, route_spec, running
from platform_given import launch

from celadon.domain.draw import EVERY
from celadon.domain.facts import Known, RouteFacts
from celadon.domain.goal import Endpoint, Part, Route, Stamp, Wanted
from celadon.domain.names import ReplicaId, ServiceKey
from celadon.domain.plan import FULL
from celadon.sim.callers import Callers
from celadon.sim.kernel import Link
from celadon.sim.observers import Labels
from celadon.sim.proxies import Proxies, Proxy
from celadon.sim.replicas import Character, Machine, Reach
from celadon.sim.router import SimRouter

FRAUD = ServiceKey(name="fraud")


class Side:
    """What the stories need of either side. A wish names the revision that gets everything."""

    seq = 0

    def wish(self, revision):
        self.seq += 1
        split = (Part(revision=revision, share=FULL),)
        return Wanted(
            service=FRAUD,
            stamp=Stamp(epoch=1, seq=self.seq),
            route=self.route,
            routes=(Route(match=EVERY, split=split),),
            endpoints=tuple(
                (one, () if at is None else (Endpoint(address=at),)) for one, at in self.addresses.items()
            ),
            ready=tuple((one, "/ready") for one in self.addresses),
            preview=None,
        )

    def facts(self):
        seen = self.router.observe(FRAUD)
        return seen.value if isinstance(seen, Known) else RouteFacts(notes=(seen.why,))

    async def serve(self, wanted):
        self.router.set(wanted)
        await self.until(lambda: self.facts().confirmed == wanted)
        return wanted

    def counted(self, since):
        seen = self.router.samples(FRAUD, since)
        assert isinstance(seen, Known)
        assert seen.value.cursor_from == (since or seen.value.cursor_to)
        return {one.revision: one.requests for one in seen.value.counts if one.requests}, seen.value


class Simulated(Side, Virtual):
    def __init__(self):
        super().__init__()
        self.route = route_spec()
        characters = {BLUE: Character(), GREEN: Character()}
        quiet = {"starting": nothing, "stopping": nothing, "dying": nothing}
        self.machine = Machine(self.kernel, self.clock, characters, changed=nothing, **quiet)
        proxies = (Proxy(0), Proxy(1))
        self.proxies = Proxies(
            self.kernel, self.clock, Link(self.kernel), proxies, moved=nothing, took=nothing
        )
        made = (self.kernel, self.clock, self.proxies, self.machine, Labels(), characters)
        self.callers = Callers(*made, rate=0.0)
        for revision in (BLUE, GREEN):
            replica = ReplicaId(service=FRAUD, revision=revision, index=0)
            self.machine.start(replace(launch(), replica=replica))
        self.pass_s(5.0)
        self.addresses = {one.id.revision: one.address for one in self.machine.there.values()}

    async def open(self):
        self.router = SimRouter(
            kernel=self.kernel,
            clock=self.clock,
            proxies=self.proxies,
            machine=self.machine,
            reach=Reach(),
            point=nothing,
        )

    async def half_gone(self):
        """The first proxy has let go of the route, and the second has not."""
        first, second = self.proxies.all
        await self.until(lambda: first.in_force is None)
        assert second.in_force is not None

    async def ask(self, count):
        self.callers.catch_up()
        self.callers.rate = count / 2.0
        self.pass_s(2.0)
        self.callers.catch_up()
        self.callers.rate = 0.0

    def hold(self, revision):
        (self.held,) = [one for one in self.machine.there.values() if one.id.revision == revision]
        self.held.busy_until = float("inf")

    async def release(self):
        self.held.busy_until = self.kernel.at


class Envoy(Side):
    def __init__(self, world):
        self.world, self.route = world, route_spec()
        self.asking = []

    @property
    def router(self):
        return self.world.router

    async def begin(self):
        self.upstreams = {one: await self.world.upstream(one[:1]) for one in (BLUE, GREEN)}
        self.addresses = {one: upstream.address for one, upstream in self.upstreams.items()}

    async def open(self):
        await self.world.restart_daemon()

    async def until(self, condition):
        return await wait(condition)

    async def half_gone(self):
        """As far as it comes at once."""
        await asyncio.sleep(0)

    async def ask(self, count):
        async with caller(self.wish(BLUE)) as client:
            for _ in range(count):
                assert (await client.get("/who")).status_code == 200

    def hold(self, revision):
        self.held = self.upstreams[revision].held = asyncio.Event()
        self.asking.append(asyncio.get_running_loop().create_task(self.ask(1)))

    async def held_up(self, revision):
        await wait(lambda: self.upstreams[revision].open_answers)

    async def release(self):
        self.held.set()
        await asyncio.gather(*self.asking)


@asynccontextmanager
async def simulated():
    side = Simulated()
    await side.open()
    yield side


@asynccontextmanager
async def envoy():
    async with running() as world:
        side = Envoy(world)
        await side.begin()
        yield side


@pytest.fixture(params=[simulated, pytest.param(envoy, marks=pytest.mark.e2e)])
def kept(request):
    return lambda story: play(request.param, story)


def test_a_wish_is_confirmed_once_it_is_in_force_and_the_same_again_changes_nothing(kept):
    async def story(side):
        assert side.facts().confirmed is None
        wanted = await side.serve(side.wish(BLUE))
        side.router.set(wanted)
        await side.until(lambda: side.facts().pending is None)
        assert side.facts().confirmed == wanted
        assert side.facts().refused is None

    kept(story)


def test_an_older_wish_is_refused_whenever_it_comes(kept):
    async def story(side):
        older, newer, newest = side.wish(BLUE), side.wish(GREEN), side.wish(GREEN)
        await side.serve(newer)
        side.router.set(older)
        first = side.counted(())[1].cursor_to
        await side.ask(3)
        await side.until(lambda: side.counted(first)[0] == {GREEN: 3})
        assert side.facts().confirmed == newer
        await side.serve(newest)
        second = side.counted(first)[1].cursor_to
        await side.ask(3)
        await side.until(lambda: side.counted(second)[0] == {GREEN: 3})

    kept(story)


def test_who_is_taken_out_is_drained_only_when_nothing_is_in_flight_any_more(kept):
    async def story(side):
        await side.serve(side.wish(BLUE))
        side.hold(BLUE)
        if isinstance(side, Envoy):
            await side.held_up(BLUE)
        await side.serve(side.wish(GREEN))
        blue, green = side.addresses[BLUE], side.addresses[GREEN]
        await side.until(lambda: blue in side.facts().unrouted)
        assert blue not in side.facts().drained
        await side.release()
        await side.until(lambda: blue in side.facts().drained)
        assert green not in side.facts().drained | side.facts().unrouted.keys()

    kept(story)


def test_requests_do_not_move_to_where_nobody_is_while_somebody_serves_them(kept):
    async def story(side):
        await side.serve(side.wish(BLUE))
        first = side.counted(())[1].cursor_to
        green, side.addresses[GREEN] = side.addresses[GREEN], None
        side.router.set(side.wish(GREEN))
        await side.ask(60)
        assert side.facts().pending is not None
        await side.until(lambda: side.counted(first)[0] == {BLUE: 60})
        side.addresses[GREEN] = green
        await side.serve(side.wish(GREEN))
        second = side.counted(first)[1].cursor_to
        await side.ask(3)
        await side.until(lambda: side.counted(second)[0] == {GREEN: 3})

    kept(story)


def test_a_dropped_service_is_served_no_more(kept):
    async def story(side):
        await side.serve(side.wish(BLUE))
        side.router.drop(FRAUD)
        await side.until(lambda: side.facts().confirmed is None and side.facts().pending is None)

    kept(story)


def test_who_may_get_requests_by_a_route_that_goes_is_not_forgotten_with_the_daemon(kept):
    async def story(side):
        await side.serve(side.wish(BLUE))
        side.router.drop(FRAUD)
        await side.half_gone()
        await side.open()
        facts, blue = side.facts(), side.addresses[BLUE]
        named = [w for w in (facts.confirmed, facts.pending) if w is not None]
        assert named or blue in facts.unrouted.keys() | facts.drained
        await side.until(lambda: side.facts().confirmed is None and blue in side.facts().drained)

    kept(story)


def test_samples_are_the_answers_between_two_positions_and_outlive_the_daemon(kept):
    async def story(side):
        await side.serve(side.wish(BLUE))
        counts, told = side.counted(())
        assert counts == {}
        first = told.cursor_to
        await side.ask(6)
        await side.until(lambda: side.counted(first)[0] == {BLUE: 6})
        second = side.counted(first)[1].cursor_to
        assert side.counted(second)[0] == {}
        await side.open()
        await side.serve(side.wish(GREEN))
        await side.ask(4)
        await side.until(lambda: side.counted(second)[0] == {GREEN: 4})
        assert side.counted(first)[0] == {BLUE: 6, GREEN: 4}
        assert side.counted(first)[1].complete

    kept(story)


def test_what_is_in_force_outlives_the_daemon(kept):
    async def story(side):
        wanted = await side.serve(side.wish(BLUE))
        await side.open()
        await side.until(lambda: side.facts().confirmed == wanted)

    kept(story)
