"""Copies: marked, counted, and never felt by a caller, whatever becomes of them."""

import asyncio

import pytest
from envoy_asking import as_drawn, ask_all, drawing
from envoy_world import BLUE, GREEN, caller, eventually, route_spec, running

from celadon.domain.draw import StickyCookie, StickyHeader
from celadon.domain.plan import FULL
from celadon.traffic.envoy.clusters import COPIES_MAX, COPIES_WAITING_MAX
from celadon.traffic.envoy.snapshot import Use, cluster_name

pytestmark = pytest.mark.e2e


def shadowing(world, blue, green, route, mirrors, share=0, **more):
    return drawing(world, blue, green, share, route, shares=(share,), mirrors=mirrors, **more)


async def counted(world, wish, revision):
    """How many copies Envoy says it sent to a revision, and how many it let fall."""
    name = cluster_name(wish.service, revision, Use.MIRROR)
    found = await world.router._seats.first.admin._json(
        f"/stats?format=json&filter=cluster.{name}.upstream_rq_"
    )
    stats = {s["name"].rpartition(".")[2]: s.get("value", 0) for s in found["stats"] if "name" in s}
    return stats["upstream_rq_total"], stats["upstream_rq_pending_overflow"]


def copies(upstream):
    return [head for head in upstream.heads if head.get("x-celadon-mirrored") == "1"]


def test_every_copy_is_marked_paired_and_counted_and_nobody_else_can_mark():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            wish = shadowing(world, blue, green, route_spec(), {GREEN: FULL, BLUE: FULL}, group="x-team")
            await world.serve(wish)
            forged = {
                "x-celadon-mirrored": "1",
                "x-celadon-share": "7",
                "x-celadon-group": "z",
                "x-team": "a",
            }
            answers = await ask_all(wish.route.port, [forged] * 200)
            assert {(a.status, a.side, a.text) for a in answers} == {(200, "b", "blue")}
            await eventually(lambda: len(green.heads) == 200 and len(blue.heads) == 400)
            assert len(copies(green)) == 200
            assert len(copies(blue)) == 200
            assert not any("x-celadon-revision" in head for head in (*blue.heads, *green.heads))
            asked = {answer.headers["x-request-id"] for answer in answers}
            for copied in (copies(green), copies(blue)):
                assert {head["x-request-id"] for head in copied} == asked
                assert {(h["x-celadon-share"], h["x-celadon-group"], h["host"]) for h in copied} == {
                    ("0", "a", "x.test")
                }
            originals = [head for head in blue.heads if "x-celadon-mirrored" not in head]
            assert {head["x-request-id"] for head in originals} == asked
            assert await counted(world, wish, GREEN) == (200, 0)

    asyncio.run(story())


def test_as_many_are_copied_as_asked():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            wish = await world.serve(shadowing(world, blue, green, route_spec(), {GREEN: 2500}))
            await ask_all(wish.route.port, [{}] * 800)
            sent, fallen = await counted(world, wish, GREEN)
            assert as_drawn(sent, 800, 2500)
            assert fallen == 0
            await eventually(lambda: len(green.heads) == sent)

    asyncio.run(story())


def test_callers_are_answered_while_copies_hang_and_only_so_many_do_and_a_drain_waits_for_them():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            green = await world.upstream("green", held=asyncio.Event())
            route = route_spec()
            wish = await world.serve(shadowing(world, blue, green, route, {GREEN: FULL}))
            asked = COPIES_MAX + 200
            answers = await ask_all(route.port, [{}] * asked)
            assert [(a.status, a.text) for a in answers] == [(200, "blue")] * asked
            fallen = asked - COPIES_MAX - COPIES_WAITING_MAX
            assert await counted(world, wish, GREEN) == (COPIES_MAX, fallen)
            await eventually(lambda: green.open_answers == COPIES_MAX)
            both = {BLUE: [blue], GREEN: [green]}
            without = await world.serve(world.wish("fraud", both, {BLUE: FULL}, route))
            assert green.address not in world.facts(without).drained
            green.held.set()
            await eventually(lambda: green.address in world.facts(without).drained)
            assert green.open_answers == 0
            assert len(green.heads) == COPIES_MAX + COPIES_WAITING_MAX

    asyncio.run(story())


def test_bodies_of_five_megabytes_are_copied_whole_and_a_held_copy_holds_nobody():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            wish = await world.serve(shadowing(world, blue, green, route_spec(), {GREEN: FULL}))
            body = b"x" * 5_000_000
            async with caller(wish) as client:
                for _ in range(4):
                    assert (await client.post("/echo", content=body)).text == "5000000"
                await eventually(lambda: green.sizes == [len(body)] * 4)
                green.held = asyncio.Event()
                for _ in range(4):
                    assert (await client.post("/echo", content=body)).text == "5000000"
                green.held.set()
                await green.stop()
                assert (await client.post("/echo", content=body)).text == "5000000"

    asyncio.run(story())


@pytest.mark.parametrize("way", ["dead", "resets", "breaks", "fails", "unready"])
def test_whatever_becomes_of_copies_callers_get_blues_answers(way):
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            route = route_spec()
            wish = await world.serve(shadowing(world, blue, green, route, {GREEN: FULL}))
            green.path = {"resets": "/reset", "breaks": "/break", "fails": "/status/500"}.get(way)
            green.ready = way != "unready"
            if way == "dead":
                await green.stop()
            answers = await ask_all(wish.route.port, [{}] * 200)
            assert [(a.status, a.text) for a in answers] == [(200, "blue")] * 200
            await eventually(lambda: copies(green) or way == "dead")

    asyncio.run(story())


@pytest.mark.parametrize("sticky", [None, StickyHeader(header="x-user"), StickyCookie()])
def test_a_freeze_with_copies_waits_for_no_dead_green_and_changes_nothing_but_routes(sticky):
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            route = route_spec()
            await world.serve(shadowing(world, blue, green, route, {}, share=500, sticky=sticky))
            await green.stop()
            files = world.router._plane.xds.versions
            before = dict(files)
            more = {"share": 500, "frozen": True, "sticky": sticky}
            await world.serve(shadowing(world, blue, green, route, {GREEN: FULL}, **more))
            changed = {name for name, version in files.items() if version != before.get(name)}
            assert len(changed) == 1
            assert changed.pop().startswith("routes.")
            answers = await ask_all(route.port, [{}] * 100)
            assert [(a.status, a.text) for a in answers] == [(200, "blue")] * 100

    asyncio.run(story())
