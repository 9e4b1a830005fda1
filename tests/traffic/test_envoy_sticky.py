"""Whoever was drawn to a side stays there: by a header or by a cookie, through a ramp, a freeze and a restart."""

import asyncio
import os
import re
import signal

import pytest
from envoy_asking import Answer, as_drawn, ask_all, drawing
from envoy_world import caller, eventually, route_spec, running

from celadon.domain.draw import StickyCookie, StickyHeader
from celadon.domain.plan import FULL

pytestmark = pytest.mark.e2e

RAMP = (500, 2500, 5000, FULL)
USERS = [f"user-{number}" for number in range(1000)]
BY_HEADER = StickyHeader(header="X-User")
BY_COOKIE = StickyCookie()


async def green_users(port: int) -> set[str]:
    answers = await ask_all(port, [{"x-user": user} for user in USERS])
    return {user for user, answer in zip(USERS, answers, strict=True) if answer.side == "a"}


def test_by_header_a_ramp_never_moves_a_unit_back_and_shares_are_as_asked():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            route, on_green = route_spec(), set()
            for stage, share in enumerate(RAMP):
                shares = RAMP[: stage + 1]
                await world.serve(drawing(world, blue, green, share, route, sticky=BY_HEADER, shares=shares))
                now = await green_users(route.port)
                assert now >= on_green
                assert as_drawn(len(now), len(USERS), share)
                on_green = now
            assert len(on_green) == len(USERS)

    asyncio.run(story())


def test_by_header_units_are_the_same_after_a_freeze_and_after_a_restart_and_others_in_the_next_release():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            route = route_spec()

            def at(share, **more):
                return drawing(world, blue, green, share, route, sticky=BY_HEADER, **more)

            await world.serve(at(2500))
            before = await green_users(route.port)
            await world.serve(at(2500, frozen=True))
            assert await green_users(route.port) == set()
            wish = await world.serve(at(2500))
            assert await green_users(route.port) == before
            await restart_envoy(world, wish)
            assert await green_users(route.port) == before
            await world.serve(at(2500, salt="fraud/2"))
            others = await green_users(route.port)
            assert as_drawn(len(others), len(USERS), 2500)
            assert as_drawn(len(others & before), len(before), 2500)

    asyncio.run(story())


async def restart_envoy(world, wish):
    """Kills it, and returns when another one serves what this one did."""
    os.kill(world.router._seats.first.proxy.identity().pid, signal.SIGKILL)
    await eventually(lambda: world.facts(wish).confirmed is None)
    await eventually(lambda: world.facts(wish).confirmed == wish)


def test_without_the_header_every_request_is_drawn_for_itself():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            wish = await world.serve(drawing(world, blue, green, 5000, route_spec(), sticky=BY_HEADER))
            for nobody in ({}, {"x-user": ""}):
                answers = await ask_all(wish.route.port, [nobody] * 400)
                assert as_drawn(sum(a.side == "a" for a in answers), 400, 5000)
            assert all("x-celadon-unit" not in head for head in green.heads)
            (answer,) = await ask_all(wish.route.port, [{"x-user": "ada", "x-celadon-unit": "forged"}])
            assert (green if answer.side == "a" else blue).heads[-1]["x-celadon-unit"] == "ada"

    asyncio.run(story())


class Browser:
    """Keeps what it is told to keep."""

    def __init__(self) -> None:
        self.kept = ""
        self.side = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"cookie": f"theme=dark; {self.kept}; lang=\xe9" if self.kept else "theme=dark"}

    def take(self, answer: Answer) -> bool:
        """Whether it was given a cookie."""
        self.side = answer.side
        given = answer.headers.get("set-cookie", "")
        if given:
            self.kept = given.partition(";")[0]
        return bool(given)


async def visit(port: int, browsers: list[Browser]) -> int:
    """How many of them were given a cookie."""
    answers = await ask_all(port, [browser.headers for browser in browsers])
    assert {answer.status for answer in answers} == {200}
    return sum(browser.take(answer) for browser, answer in zip(browsers, answers, strict=True))


def on_green(browsers: list[Browser]) -> set[Browser]:
    return {browser for browser in browsers if browser.side == "a"}


def test_by_cookie_a_ramp_never_moves_a_caller_back_and_shares_are_as_asked():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            route, browsers, late = route_spec(), [Browser() for _ in range(300)], Browser()
            before: set[Browser] = set()
            for stage, share in enumerate(RAMP):
                shares = RAMP[: stage + 1]
                await world.serve(drawing(world, blue, green, share, route, sticky=BY_COOKIE, shares=shares))
                given = await visit(route.port, browsers)
                now = on_green(browsers)
                assert now >= before
                assert as_drawn(len(now), len(browsers), share)
                assert given == len(browsers) - len(before)
                assert await visit(route.port, browsers) == 0
                assert on_green(browsers) == now
                before = now
            await visit(route.port, [late])
            assert late.side == "a"

    asyncio.run(story())


def test_by_cookie_callers_who_missed_stages_are_drawn_as_if_they_had_not():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            route, browsers = route_spec(), [Browser() for _ in range(600)]
            for shares in ((2000,), (2000, 3000, 3000, 6000)):
                await world.serve(
                    drawing(world, blue, green, shares[-1], route, sticky=BY_COOKIE, shares=shares)
                )
                before = on_green(browsers)
                await visit(route.port, browsers)
                assert on_green(browsers) >= before
                assert as_drawn(len(on_green(browsers)), len(browsers), shares[-1])

    asyncio.run(story())


def test_by_cookie_a_freeze_changes_no_cookie_and_the_next_release_counts_none():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            route, browsers = route_spec(), [Browser() for _ in range(100)]

            def at(**more):
                return drawing(world, blue, green, 5000, route, sticky=BY_COOKIE, shares=(5000,), **more)

            await world.serve(at())
            await visit(route.port, browsers)
            before = on_green(browsers)
            await world.serve(at(frozen=True))
            assert await visit(route.port, [*browsers, Browser()]) == 0
            assert on_green(browsers) == set()
            wish = await world.serve(at())
            assert await visit(route.port, browsers) == 0
            assert on_green(browsers) == before
            await restart_envoy(world, wish)
            assert await visit(route.port, browsers) == 0
            assert on_green(browsers) == before
            await world.serve(at(salt="fraud/2"))
            assert await visit(route.port, browsers) == len(browsers)

    asyncio.run(story())


def test_a_cookie_holds_a_unit_that_replicas_are_told_and_that_stays_when_it_is_drawn_anew():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            route, kept = route_spec(prefix="/who"), ""
            for shares in ((1,), (1, FULL)):
                await world.serve(
                    drawing(world, blue, green, shares[-1], route, sticky=BY_COOKIE, shares=shares)
                )
                asked = [{"x-celadon-unit": "forged"}]
                if len(shares) == 2:
                    asked = [{"cookie": f"celadon=of.another.path; {kept}; celadon=none"}]
                (answer,) = await ask_all(route.port, asked)
                given = answer.headers["set-cookie"]
                kept, *rest = given.split("; ")
                assert rest == ["Path=/who", "Max-Age=2592000", "HttpOnly", "SameSite=Lax"]
                last = (green if answer.side == "a" else blue).heads[-1]
                assert re.fullmatch(r"celadon=[0-9a-f]{16}\.\d\.[bg]\.[0-9a-f-]{36}", kept)
                assert kept.rpartition(".")[2] == last["x-celadon-unit"]
                units = {head["x-celadon-unit"] for head in (*blue.heads, *green.heads)}
                assert len(units) == 1
            (again,) = await ask_all(route.port, [{"cookie": kept}])
            assert again.side == "a"
            assert green.heads[-1]["x-celadon-unit"] in units

    asyncio.run(story())


def test_what_only_looks_like_a_cookie_of_ours_is_none():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            wish = await world.serve(
                drawing(world, blue, green, 5000, route_spec(), sticky=BY_COOKIE, shares=(5000,))
            )
            browser = Browser()
            await visit(wish.route.port, [browser])
            name, _, value = browser.kept.partition("=")
            for forged in (f"x{name}={value}", f"{name}={value}x", f"{name}=x{value}", f"a={browser.kept}x"):
                (answer,) = await ask_all(wish.route.port, [{"cookie": forged}])
                assert "set-cookie" in answer.headers

    asyncio.run(story())


RETURN = (5000, 3333, 1000)
"""What is left on green, step by step, of the half that was drawn to it."""


def test_by_header_requests_return_in_steps_and_whoever_went_back_stays_there():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            route = route_spec()
            await world.serve(drawing(world, blue, green, 5000, route, sticky=BY_HEADER, shares=(5000,)))
            before = await green_users(route.port)
            for share in RETURN:
                left = {"sticky": BY_HEADER, "shares": (5000,), "returning": True}
                await world.serve(drawing(world, blue, green, share, route, **left))
                now = await green_users(route.port)
                assert now <= before
                assert as_drawn(len(now), len(USERS), share)
                before = now

    asyncio.run(story())


def test_by_cookie_requests_return_in_steps_and_whoever_went_back_stays_there():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            route, browsers = route_spec(), [Browser() for _ in range(600)]
            await world.serve(drawing(world, blue, green, 5000, route, sticky=BY_COOKIE, shares=(5000,)))
            await visit(route.port, browsers)
            before = on_green(browsers)
            for share in RETURN:
                left = {"sticky": BY_COOKIE, "shares": (5000,), "returning": True}
                await world.serve(drawing(world, blue, green, share, route, **left))
                strangers = [Browser() for _ in range(200)]
                assert await visit(route.port, [*browsers, *strangers]) == 0, "nobody is drawn anew"
                now = on_green(browsers)
                assert now <= before
                assert as_drawn(len(now), len(browsers), share)
                assert as_drawn(len(on_green(strangers)), len(strangers), share)
                before = now

    asyncio.run(story())


def test_a_switch_of_a_sticky_draw_is_confirmed_and_remembered_by_a_new_daemon():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            route = route_spec()
            for sticky in (BY_HEADER, BY_COOKIE):
                wish = await world.serve(
                    drawing(world, blue, green, 5000, route, sticky=sticky, shares=(500, 5000))
                )
                await world.restart_daemon()
                await eventually(lambda wish=wish: world.facts(wish).confirmed == wish)
            async with caller(wish) as client:
                assert (await client.get("/who")).status_code == 200

    asyncio.run(story())
