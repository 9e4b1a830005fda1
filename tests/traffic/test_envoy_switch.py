"""A switch moves every request and nobody notices."""

import asyncio
import functools
import time

import pytest
from envoy_world import BLUE, GREEN, caller, eventually, free_port, route_spec, running

from celadon.domain.draw import Match
from celadon.domain.facts import Known
from celadon.domain.goal import Endpoint
from celadon.domain.plan import FULL
from celadon.domain.spec import RetryWhen
from celadon.traffic.envoy.confirm import Confirmer

pytestmark = pytest.mark.e2e


def test_a_switch_is_confirmed_reaches_green_and_drains_blue():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            route = route_spec()
            both = {BLUE: [blue], GREEN: [green]}
            before = await world.serve(world.wish("fraud", both, {BLUE: FULL}, route))
            async with caller(before) as client:
                answer = await client.get("/who", headers={"x-request-id": "mine"})
                assert (answer.text, answer.headers["x-celadon-revision"]) == ("blue", BLUE)
                assert answer.headers["x-request-id"] == "mine"
                assert blue.address not in world.facts(before).drained
                assert blue.address not in world.facts(before).unrouted
                after = await world.serve(world.wish("fraud", both, {GREEN: FULL}, route))
                assert (await client.get("/who")).text == "green"
                assert (await client.get("/who")).headers["x-request-id"]
            await eventually(lambda: world.facts(after).drained == {blue.address})
            assert after.service in world.woken
            assert world.facts(after).unrouted[blue.address] <= time.time()
            assert green.address not in world.facts(after).unrouted

    asyncio.run(story())


def test_routes_that_nobody_saw_come_into_force_are_told_until_something_is_seen(monkeypatch):
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            route, both = route_spec(), {BLUE: [blue], GREEN: [green]}
            first = await world.serve(world.wish("fraud", both, {BLUE: FULL}, route))
            shown, blind = Confirmer._shown, True

            async def unless_blind(confirmer, seat, change):
                return not (blind and change.tables) and await shown(confirmer, seat, change)

            monkeypatch.setattr(Confirmer, "_shown", unless_blind)
            away = world.wish("fraud", both, {GREEN: FULL}, route)
            world.router.set(away)
            await eventually(lambda: world.facts(first).unseen == away)
            back = world.wish("fraud", both, {BLUE: FULL}, route)
            world.router.set(back)
            seen = world.facts(first)
            assert (seen.confirmed, seen.pending, seen.unseen) == (first, back, away)
            await eventually(lambda: world.router._plane.tracks[first.service].kept.published == back)
            seen = world.facts(first)
            assert (seen.confirmed, seen.pending, seen.unseen) == (first, back, away)
            blind = False
            await eventually(lambda: world.facts(first).confirmed == back)
            assert (world.facts(first).pending, world.facts(first).unseen) == (None, None)

    asyncio.run(story())


def test_switching_back_and_forth_under_load_loses_nothing_and_cuts_no_stream():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            route, both = route_spec(RetryWhen.NEVER), {BLUE: [blue], GREEN: [green]}
            wish = await world.serve(world.wish("fraud", both, {BLUE: FULL}, route))
            done, answers = asyncio.Event(), []

            async def ask(client):
                while not done.is_set():
                    answers.append((await client.get("/slow/0.01")).status_code)

            async with caller(wish) as client, asyncio.TaskGroup() as group:
                streams = [group.create_task(client.get("/stream/1.5")) for _ in range(5)]
                for _ in range(8):
                    group.create_task(ask(client))
                for step in range(20):
                    side = (GREEN, BLUE)[step % 2]
                    await world.serve(world.wish("fraud", both, {side: FULL}, route))
                # Blue leaves altogether while its streams are still open.
                await world.serve(world.wish("fraud", {GREEN: [green]}, {GREEN: FULL}, route))
                texts = [(await stream).text for stream in streams]
                done.set()
            assert all(text.endswith("end") for text in texts)
            assert set(answers) == {200}
            assert len(answers) > 50

    asyncio.run(story())


def test_no_request_fails_when_replicas_change_in_the_same_wish_as_the_shares():
    async def story():
        async with running() as world:
            first, second, third = [await world.upstream(n) for n in ("one", "two", "three")]
            route = route_spec(RetryWhen.NEVER)
            wish = await world.serve(world.wish("fraud", {BLUE: [first]}, {BLUE: FULL}, route))
            done, answers = asyncio.Event(), []

            async def ask(client):
                while not done.is_set():
                    answers.append((await client.get("/slow/0.005")).status_code)

            async with caller(wish) as client, asyncio.TaskGroup() as group:
                for _ in range(4):
                    group.create_task(ask(client))
                leaving = Endpoint(address=first.address, draining=True)
                await world.serve(world.wish("fraud", {BLUE: [leaving, second]}, {BLUE: FULL}, route))
                await world.serve(
                    world.wish(
                        "fraud",
                        {BLUE: [Endpoint(address=second.address, draining=True)], GREEN: [third]},
                        {GREEN: FULL},
                        route,
                    )
                )
                await eventually(lambda: len(third.seen) > 20)
                done.set()
            assert set(answers) == {200}
            assert third.seen

    asyncio.run(story())


def test_shares_are_drawn_as_asked_and_a_match_selects_before_the_draw():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            chosen = Match(headers=(("x-tester", "yes"),))
            wish = await world.serve(
                world.wish(
                    "fraud",
                    {BLUE: [blue], GREEN: [green]},
                    {BLUE: 7000, GREEN: 3000},
                    matched=[(chosen, {GREEN: FULL})],
                )
            )
            async with caller(wish) as client:
                texts = [(await client.get("/who")).text for _ in range(400)]
                assert 70 <= texts.count("green") <= 170
                tested = [(await client.get("/who", headers={"x-tester": "yes"})).text for _ in range(20)]
                assert set(tested) == {"green"}

    asyncio.run(story())


def test_a_lone_draining_replica_gets_nothing_new_and_finishes_what_it_has():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            route = route_spec(RetryWhen.NEVER)
            wish = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}, route))
            async with caller(wish) as client:
                stream = asyncio.get_running_loop().create_task(client.get("/stream/1.2"))
                await eventually(lambda: blue.open_answers == 1)
                leaving = Endpoint(address=blue.address, draining=True)
                await world.serve(world.wish("fraud", {BLUE: [leaving]}, {BLUE: FULL}, route))
                assert (await client.get("/who")).status_code == 503
                assert blue.address not in world.facts(wish).drained
                assert blue.open_answers == 1
                assert (await stream).text.endswith("end")
            await eventually(lambda: blue.address in world.facts(wish).drained)
            assert blue.seen == ["/stream/1.2"]

    asyncio.run(story())


def test_green_gets_requests_only_once_a_replica_of_it_is_healthy():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            green.ready = False
            route = route_spec()
            await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}, route))
            wish = world.wish("fraud", {BLUE: [blue], GREEN: [green]}, {GREEN: FULL}, route)
            world.router.set(wish)
            async with caller(wish) as client:
                until = time.monotonic() + 1.0
                while time.monotonic() < until:
                    assert (await client.get("/who")).text == "blue"
                assert world.facts(wish).pending == wish
                green.ready = True
                await eventually(lambda: world.facts(wish).confirmed == wish)
                assert (await client.get("/who")).text == "green"

    asyncio.run(story())


def test_an_answer_of_20_seconds_arrives_and_a_stated_timeout_is_kept():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            patient = await world.serve(world.wish("patient", {BLUE: [blue]}, {BLUE: FULL}))
            hasty_route = route_spec(RetryWhen.NEVER, timeout_s=0.3)
            hasty = await world.serve(world.wish("hasty", {BLUE: [blue]}, {BLUE: FULL}, hasty_route))
            async with caller(patient) as slow, caller(hasty) as quick, asyncio.TaskGroup() as group:
                long = group.create_task(slow.get("/slow/20"))
                assert (await quick.get("/slow/1")).status_code == 504
                answer = await long
            assert (answer.status_code, answer.text) == (200, "blue")

    asyncio.run(story())


def test_other_services_coming_and_going_cut_nothing():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            wish = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}))
            shared = route_spec(port=wish.route.port, hostnames=("other.test",))
            async with caller(wish) as client:
                stream = asyncio.get_running_loop().create_task(client.get("/stream/1.5"))
                await eventually(lambda: blue.open_answers == 1)
                for route in (route_spec(), shared, route_spec(port=free_port(), prefix="/x")):
                    other = await world.serve(world.wish("other", {GREEN: [blue]}, {GREEN: FULL}, route))
                    world.router.drop(other.service)
                    await eventually(lambda: world.facts(wish.service).confirmed == wish)
                    await eventually(functools.partial(world.serves_nothing, other))
                assert (await stream).text.endswith("end")
            seen = world.router.observe(other.service)
            assert isinstance(seen, Known)

    asyncio.run(story())
