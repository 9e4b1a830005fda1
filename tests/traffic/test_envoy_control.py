"""The control arm: a second set of blue with a share of its own, and everything that holds for replicas holds for it."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from envoy_asking import as_drawn, ask_all, drawing
from envoy_world import BLUE, GREEN, eventually, route_spec, running

from celadon.domain.draw import StickyCookie, StickyHeader
from celadon.domain.goal import Endpoint
from celadon.domain.plan import FULL

pytestmark = pytest.mark.e2e


async def three(world):
    return [await world.upstream(name) for name in ("blue", "green", "control")]


async def answered(port, asked):
    answers = await ask_all(port, asked)
    assert {answer.status for answer in answers} == {200}
    return Counter(answer.text for answer in answers)


@pytest.mark.parametrize("sticky", [None, StickyHeader(header="x-user"), StickyCookie()])
def test_a_control_arm_gets_its_share_under_its_own_name_and_answers_as_blue(sticky):
    async def story():
        async with running() as world:
            blue, green, control = await three(world)
            wish = drawing(
                world, blue, green, 2000, route_spec(), control=[control], sticky=sticky, shares=(2000,)
            )
            await world.serve(wish)
            found = await answered(wish.route.port, [{"x-user": f"user-{n}"} for n in range(1000)])
            assert as_drawn(found["green"], 1000, 2000)
            assert as_drawn(found["control"], 1000, 2000)
            assert found.total() == 1000
            view = await world.router._seats.first.admin.view([f"default/fraud/{BLUE}-control"])
            assert {host.requests for hosts in view.values() for host in hosts.values()} == {found["control"]}
            assert {head["x-celadon-share"] for head in control.heads} == {"2000"}

    asyncio.run(story())


def test_a_control_arm_without_a_replica_is_served_by_blue_and_its_coming_loses_no_request():
    async def story():
        async with running() as world:
            blue, green, control = await three(world)
            route = route_spec()
            wish = drawing(world, blue, green, 3000, route, control=[control])
            await world.serve(replace(wish, controls=((BLUE, ()),)))
            found = await answered(route.port, [{}] * 400)
            assert as_drawn(found["green"], 400, 3000)
            assert found["control"] == 0
            await world.serve(drawing(world, blue, green, 3000, route, control=[control]))
            found = await answered(route.port, [{}] * 400)
            assert as_drawn(found["control"], 400, 3000)

    asyncio.run(story())


def test_a_control_replica_that_leaves_is_drained_like_any_other_and_cuts_no_answer():
    async def story():
        async with running() as world:
            blue, green, control = await three(world)
            route = route_spec()
            control.held = asyncio.Event()
            await world.serve(drawing(world, blue, green, 5000, route, control=[control]))
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(answered(route.port, [{}] * 64))
                await eventually(lambda: control.open_answers)
                leaving = Endpoint(address=control.address, draining=True)
                wish = await world.serve(drawing(world, blue, green, 5000, route, control=[leaving]))
                assert control.address in world.facts(wish).unrouted
                assert control.address not in world.facts(wish).drained
                control.held.set()
            assert asking.result()["control"] > 0
            await eventually(lambda: control.address in world.facts(wish).drained)
            both = {BLUE: [blue], GREEN: [green]}
            without = await world.serve(world.wish("fraud", both, {BLUE: FULL}, route))
            await eventually(lambda: f"{BLUE}-control" not in str(dict(world.router._plane.xds.versions)))
            assert world.facts(without).confirmed == without

    asyncio.run(story())


def test_a_control_arm_is_found_again_by_a_new_daemon():
    async def story():
        async with running() as world:
            blue, green, control = await three(world)
            wish = await world.serve(drawing(world, blue, green, 5000, route_spec(), control=[control]))
            await world.restart_daemon()
            await eventually(lambda: world.facts(wish).confirmed == wish)
            assert (await answered(wish.route.port, [{}] * 200))["control"] > 0

    asyncio.run(story())
