"""A draw inside a group: by header, cookie or query; everybody else stays on blue."""

import asyncio

import pytest
from envoy_asking import ask_all, drawing
from envoy_world import route_spec, running

from celadon.domain.draw import Condition, Match, Where
from celadon.domain.plan import FULL

pytestmark = pytest.mark.e2e

ODD = "a b.c|d (é) 50%"


def one(where, name, *values):
    return Match(conditions=(Condition(where=where, name=name, values=values),))


async def sides(match, asked):
    """Which side answers each of (headers, query): `a` is green, which gets the whole group."""
    async with running() as world:
        blue, green = await world.upstream("blue"), await world.upstream("green")
        wish = await world.serve(drawing(world, blue, green, FULL, route_spec(), match=match))
        found = [await ask_all(wish.route.port, [headers], f"/who{query}") for headers, query in asked]
        return "".join(answer.side for (answer,) in found)


def test_by_a_header_that_has_one_of_some_values_exactly():
    asked = [
        ({"x-tier": v}, "")
        for v in ("gold", "silver", "gol", "golden", "Gold", ODD.encode().decode("latin-1"))
    ]
    asked += [({"X-TIER": "gold"}, ""), ({"other": "gold"}, "")]
    assert asyncio.run(sides(one(Where.HEADER, "X-Tier", "gold", "silver", ODD), asked)) == "aabbbaab"


def test_by_a_header_that_is_there_at_all():
    asked = [({"x-beta": "1"}, ""), ({"x-beta": ""}, ""), ({}, "")]
    assert asyncio.run(sides(one(Where.HEADER, "x-beta"), asked)) == "aab"


def test_by_a_cookie_among_others():
    cookies = ("group=b", "x=1; group=b", "group=c; y=2", "group=bb", "agroup=b", "Group=b", "x=group=b", "")
    asked = [({"cookie": cookie}, "") for cookie in cookies]
    assert asyncio.run(sides(one(Where.COOKIE, "group", "b", "c"), asked)) == "aaabbbbb"
    asked = [({"cookie": "group="}, ""), ({"cookie": "x=1; group=q"}, ""), ({"cookie": "x=1"}, ""), ({}, "")]
    assert asyncio.run(sides(one(Where.COOKIE, "group"), asked)) == "aabb"


def test_by_a_query_parameter_however_it_is_encoded():
    queries = ("?v=2", "?a=1&v=2", "?v=%32", "?v=22", "?w=2", "", "?v=")
    asked = [({}, query) for query in queries]
    assert asyncio.run(sides(one(Where.QUERY, "v", "2"), asked)) == "aaabbbb"
    odd = (
        "a%20b.c%7Cd%20(%C3%A9)%2050%25",
        "a+b.c%7cd+%28%c3%a9%29+50%25",
        "a%20b.c%7Cd",
        "axb.c%7Cd%20(%C3%A9)%2050%25",
    )
    asked = [({}, f"?v={value}") for value in odd]
    assert asyncio.run(sides(one(Where.QUERY, "v", ODD), asked)) == "aabb"
    asked = [({}, "?v"), ({}, "?v="), ({}, "?v=9&x"), ({}, "?x")]
    assert asyncio.run(sides(one(Where.QUERY, "v"), asked)) == "aaab"


def test_all_conditions_have_to_hold_together_with_plain_headers():
    match = Match(
        headers=(("x-tester", "yes"),),
        conditions=(
            Condition(where=Where.HEADER, name="x-tier", values=("gold",)),
            Condition(where=Where.COOKIE, name="group", values=("b",)),
            Condition(where=Where.QUERY, name="v"),
        ),
    )
    whole = {"x-tester": "yes", "x-tier": "gold", "cookie": "group=b"}
    asked = [(whole, "?v=1"), (whole, "")]
    asked += [({k: v for k, v in whole.items() if k != left_out}, "?v=1") for left_out in whole]
    assert asyncio.run(sides(match, asked)) == "abbbb"


def test_many_and_long_values_are_no_trouble():
    values = tuple(f"customer-{number:04}-with-a-rather-long-name" for number in range(200))
    asked = [
        ({"x-customer": values[0]}, ""),
        ({"x-customer": values[199]}, ""),
        ({"x-customer": "nobody"}, ""),
    ]
    assert asyncio.run(sides(one(Where.HEADER, "x-customer", *values), asked)) == "aab"
