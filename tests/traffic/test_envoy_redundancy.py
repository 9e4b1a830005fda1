"""What Envoy is told of a service's redundancy follows from its plan, and Envoy takes it."""

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from envoy_world import BLUE, caller, eventually, route_spec, running
from hypothesis import given
from hypothesis import strategies as st

from celadon.domain.goal import Cover, Endpoint, Mirror, Part, Route, Stamp, Wanted
from celadon.domain.names import Address, ServiceKey
from celadon.domain.plan import FULL
from celadon.domain.spec import Retry, RetryWhen, RouteSpec
from celadon.traffic.envoy.clusters import (
    assignment,
    cluster_with,
    ejected_percent_max,
    factor,
    panic_percent,
)
from celadon.traffic.envoy.proof import objection
from celadon.traffic.envoy.proxy import find_envoy
from celadon.traffic.envoy.routes import route_table
from celadon.traffic.envoy.snapshot import Claim, Use, clusters_of, fold

ZONES = ("a", "b")
RESET = Retry(when=RetryWhen.RESET)


def points(first: int, standby: int = 0) -> tuple[Endpoint, ...]:
    """Replicas of both sets, dealt over two zones."""
    return tuple(
        Endpoint(address=Address(host="127.0.0.1", port=2000 + n), standby=n >= first, zone=ZONES[n % 2])
        for n in range(first + standby)
    )


def wish(cover: Cover, retry: Retry = RESET, there: tuple[Endpoint, ...] | None = None) -> Wanted:
    return Wanted(
        service=ServiceKey(name="fraud"),
        stamp=Stamp(epoch=1, seq=1),
        route=RouteSpec(port=8080, preview_port=9000, retry=retry),
        routes=(Route(split=(Part(revision=BLUE, share=FULL),)),),
        endpoints=((BLUE, points(cover.replicas, cover.standby) if there is None else there),),
        preview=BLUE,
        ready=((BLUE, "/ready"),),
        covers=((BLUE, cover),),
    )


def main(wanted: Wanted):
    return next(c for c in clusters_of(wanted) if c.use is Use.MAIN and not c.preview)


def told(wanted: Wanted):
    return cluster_with(main(wanted), {"type": "EDS"})


@pytest.mark.parametrize(
    ("replicas", "spare", "known", "expected"),
    [
        (2, 1, 2, 200),
        (4, 0, 4, 100),
        (3, 1, 3, 150),
        (4, 2, 4, 200),
        (4, 2, 1, 50),
        (4, 2, 0, 50),
        (1, 0, 1, 100),
    ],
)
def test_the_factor_follows_from_what_may_be_lost(replicas, spare, known, expected):
    cover = Cover(replicas=replicas, spare=spare, standby=1)
    assert factor(main(wish(cover, there=points(known, 1)))) == expected


@given(st.data())
def test_the_first_set_gets_all_of_the_load_exactly_while_enough_of_it_are_ready(data):
    """Envoy's own arithmetic, whole numbers and all, however many of the set it still knows."""
    replicas = data.draw(st.integers(1, 50))
    cover = Cover(replicas=replicas, spare=data.draw(st.integers(0, replicas - 1)), standby=1)
    known = data.draw(st.integers(1, replicas))
    ready = data.draw(st.integers(0, known))
    health = min(100, factor(main(wish(cover, there=points(known, 1)))) * ready // known)
    if ready >= cover.needed:
        assert health == 100
    else:
        assert abs(health - 100 * ready / cover.needed) <= 2
        assert health < 100


@pytest.mark.parametrize(
    ("cover", "expected"),
    [
        (Cover(replicas=1), 0),
        (Cover(replicas=2, spare=1), 50),
        (Cover(replicas=4, spare=2), 50),
        (Cover(replicas=3, spare=1), 34),
        (Cover(replicas=4), 0),
        (Cover(replicas=4, spare=2, standby=1), 80),
        (Cover(replicas=1, standby=1), 50),
    ],
)
def test_as_many_may_be_taken_out_at_once_as_are_spare(cover, expected):
    percent, whole = ejected_percent_max(cover), cover.replicas + cover.standby
    assert percent == expected
    out = max(n for n in range(whole + 1) if n == 0 or 100 * n / whole <= percent)
    assert out == (cover.replicas if cover.standby else cover.spare)
    assert out < whole


def test_somebody_serves_while_nobody_is_ready_unless_a_standby_does():
    assert panic_percent(main(wish(Cover(replicas=2, spare=1)))) == 1
    assert panic_percent(main(wish(Cover(replicas=2, spare=1, standby=1)))) == 0


@given(st.floats(0.2, 600))
def test_a_hang_is_seen_in_time_even_if_it_begins_just_after_an_answer(hang_s):
    (check,) = told(wish(Cover(replicas=2, spare=1, hang_s=hang_s)))["health_checks"]
    interval_s, timeout_s, again_s = (
        float(check[name].removesuffix("s")) for name in ("interval", "timeout", "unhealthy_edge_interval")
    )
    failures = check["unhealthy_threshold"]
    assert interval_s + failures * timeout_s + (failures - 1) * again_s == pytest.approx(hang_s, abs=1e-6)
    assert min(interval_s, again_s) > 0
    assert timeout_s >= 0.35 * hang_s - 1e-9
    assert interval_s <= 1


def test_sets_are_priorities_and_zones_are_names():
    places = assignment(main(wish(Cover(replicas=4, spare=2, standby=1))))["endpoints"]
    found = {(p["priority"], p["locality"]["zone"]): len(p["lb_endpoints"]) for p in places}
    assert found == {(0, "a"): 2, (0, "b"): 2, (1, "a"): 1}
    assert "load_balancing_weight" not in json.dumps(places)


def test_nothing_new_is_let_in_where_all_of_it_leaves():
    wanted = wish(Cover(replicas=2, spare=1))
    going = tuple(replace(point, draining=True) for point in points(2))
    assert "drop_overloads" not in assignment(main(wanted))["policy"]
    assert (
        "drop_overloads"
        not in assignment(main(replace(wanted, endpoints=((BLUE, (going[0], points(2)[1])),))))["policy"]
    )
    (drop,) = assignment(main(replace(wanted, endpoints=((BLUE, going),))))["policy"]["drop_overloads"]
    assert drop["drop_percentage"] == {"numerator": 100, "denominator": "HUNDRED"}


def test_a_standby_alone_is_still_the_second_set():
    cover = Cover(replicas=2, spare=1, standby=1)
    alone = tuple(point for point in points(2, 1) if point.standby)
    places = assignment(main(wish(cover, there=alone)))["endpoints"]
    assert [(p["priority"], len(p["lb_endpoints"])) for p in places] == [(0, 0), (1, 1)]


def test_a_try_that_is_not_answered_is_given_up_and_the_next_one_goes_to_the_standby():
    def policy(cover, retry):
        table = next(t for t in fold([claim(wish(cover, retry))]).tables if not t.preview)
        return route_table(table)["virtual_hosts"][0]["routes"][0]["route"]["retry_policy"]

    hasty = Retry(when=RetryWhen.RESET, attempts=1, per_try_s=0.25)
    there = policy(Cover(replicas=1, standby=1), hasty)
    assert there["per_try_timeout"] == "0.25s"
    assert there["retry_priority"]["typed_config"]["update_frequency"] == 1
    assert not {"retry_priority", "per_try_timeout"} & set(policy(Cover(replicas=2, spare=1), RESET))


def test_copies_keep_away_from_the_standby():
    wanted = wish(Cover(replicas=2, spare=1, standby=1))
    copied = replace(wanted, routes=(replace(wanted.routes[0], mirrors=(Mirror(revision=BLUE, share=9),)),))
    (mirror,) = (c for c in clusters_of(copied) if c.use is Use.MIRROR)
    assert not any(point.standby for point in mirror.endpoints)
    assert panic_percent(mirror) == 0


def claim(wanted: Wanted) -> Claim:
    return Claim(wanted=wanted, clusters=clusters_of(wanted))


@pytest.mark.parametrize(
    "wanted",
    [
        wish(Cover(replicas=4, spare=2, standby=2), Retry(when=RetryWhen.RESET, per_try_s=0.5)),
        wish(Cover(replicas=2, spare=1, standby=1), there=points(2, 1)[2:]),
        wish(Cover(replicas=1, hang_s=0.2)),
        wish(Cover(replicas=1), there=(replace(points(1)[0], draining=True),)),
        wish(Cover(replicas=1000, spare=1, hang_s=600)),
    ],
)
def test_envoy_takes_what_is_derived(wanted, tmp_path: Path):
    assert asyncio.run(objection(find_envoy(), tmp_path, fold([claim(wanted)]))) is None


SET = Cover(replicas=2, spare=1, standby=1, hang_s=0.6)


@pytest.mark.e2e
def test_when_all_of_the_first_set_is_gone_the_standby_answers_and_the_first_set_takes_over_again():
    async def story():
        async with running() as world:
            one, two, behind = [await world.upstream(name) for name in ("one", "two", "behind")]
            there = [one, two, Endpoint(address=behind.address, standby=True)]
            route = route_spec(RetryWhen.RESET)
            wanted = await world.serve(
                world.wish("fraud", {BLUE: there}, {BLUE: FULL}, route, covers=((BLUE, SET),))
            )
            async with caller(wanted) as client:
                assert {(await client.get("/who")).text for _ in range(20)} == {"one", "two"}
                await one.stop()
                # What met it is repeated on the standby, and once its end is known nobody meets it.
                assert {(await client.get("/who")).text for _ in range(20)} <= {"two", "behind"}
                await eventually(lambda: not world.healthy(wanted, one))
                assert {(await client.get("/who")).text for _ in range(20)} == {"two"}
                await two.stop()
                answers = [await client.get("/who") for _ in range(20)]
                assert {(a.status_code, a.text) for a in answers} == {(200, "behind")}
                await one.start(one.port)
                await answered_by(client, "one")

    asyncio.run(story())


@pytest.mark.e2e
def test_a_replica_that_hangs_gets_no_more_requests_and_is_not_cut_off():
    """Slow is not dead: what it holds is answered when it goes on, and only new requests go elsewhere."""

    async def story():
        async with running() as world:
            going_on = asyncio.Event()
            slow = await world.upstream("slow", held=going_on)
            well = await world.upstream("well")
            route, cover = route_spec(RetryWhen.RESET), replace(SET, standby=0, hang_s=3.0)
            wanted = await world.serve(
                world.wish("fraud", {BLUE: [slow, well]}, {BLUE: FULL}, route, covers=((BLUE, cover),))
            )
            async with caller(wanted) as client:
                asked = asyncio.gather(*(client.get("/who") for _ in range(8)))
                await eventually(lambda: slow.seen)
                slow.deaf = True
                await eventually(lambda: len(well.seen) + len(slow.seen) == 8)
                await eventually(lambda: not world.healthy(wanted, slow))
                held = len(slow.seen)
                assert {(await client.get("/who")).text for _ in range(10)} == {"well"}
                assert len(slow.seen) == held
                going_on.set()
                assert {answer.text for answer in await asked} == {"slow", "well"}

    asyncio.run(story())


@pytest.mark.e2e
def test_a_try_that_takes_too_long_is_given_up_long_before_a_hang_is_seen():
    async def story():
        async with running() as world:
            hung, well = await world.upstream("hung", held=asyncio.Event()), await world.upstream("well")
            slow = replace(SET, standby=0, hang_s=60.0)
            route = replace(route_spec(), retry=Retry(when=RetryWhen.RESET, per_try_s=0.2))
            wanted = await world.serve(
                world.wish("fraud", {BLUE: [hung, well]}, {BLUE: FULL}, route, covers=((BLUE, slow),))
            )
            async with caller(wanted) as client:
                answers = await asyncio.gather(*(client.get("/who") for _ in range(8)))
            assert {(a.status_code, a.text) for a in answers} == {(200, "well")}
            assert hung.seen

    asyncio.run(story())


async def answered_by(client: httpx2.AsyncClient, name: str) -> None:
    until = time.monotonic() + 10
    while (await client.get("/who")).text != name:
        assert time.monotonic() < until
        await asyncio.sleep(0.01)
