"""What is repeated, what is counted, and who is taken out, each proved on real connections."""

import asyncio
import contextlib
import time
from dataclasses import replace

import httpx2
import pytest
from envoy_world import BLUE, GREEN, caller, eventually, route_spec, running

from celadon.domain.goal import Cover, Mirror
from celadon.domain.plan import FULL
from celadon.domain.spec import RetryWhen
from celadon.traffic.envoy import tail

pytestmark = pytest.mark.e2e


async def counted(world, wish, since, requests):
    """The samples, once that many requests are in them."""

    def enough():
        found = world.router.samples(wish.service, since).value
        total = sum(c.requests for c in found.counts)
        measured = sum(c.latency[-1][1] for c in found.counts if c.latency)
        return (
            found
            if total >= requests and measured >= requests - sum(c.errors for c in found.counts)
            else None
        )

    found = await eventually(enough)
    return {c.revision: (c.requests, c.errors) for c in found.counts}


def begin(world, wish):
    return world.router.samples(wish.service, ()).value.cursor_to


@pytest.mark.parametrize(
    ("retry", "status", "asked"),
    [(RetryWhen.NEVER, 503, 1), (RetryWhen.BEFORE_SENT, 503, 1), (RetryWhen.RESET, 200, 2)],
)
def test_only_reset_repeats_a_request_that_was_sent(retry, status, asked):
    async def story():
        async with running() as world:
            one = await world.upstream("one")
            wish = await world.serve(world.wish("fraud", {BLUE: [one]}, {BLUE: FULL}, route_spec(retry)))
            since = begin(world, wish)
            async with caller(wish) as client:
                answer = await client.post("/once", content=b"x" * 100_000)
                assert answer.status_code == status
                assert answer.headers["x-celadon-revision"] == BLUE
                assert answer.headers["x-request-id"]
            assert one.seen == ["/once"] * asked
            assert await counted(world, wish, since, 1) == {BLUE: (1, int(status == 503))}

    asyncio.run(story())


@pytest.mark.parametrize(
    ("retry", "lost"), [(RetryWhen.NEVER, True), (RetryWhen.BEFORE_SENT, False), (RetryWhen.RESET, False)]
)
def test_a_request_that_never_left_is_repeated_on_another_replica_unless_never(retry, lost):
    async def story():
        async with running() as world:
            one, two = await world.upstream("one"), await world.upstream("two")
            wish = await world.serve(world.wish("fraud", {BLUE: [one, two]}, {BLUE: FULL}, route_spec(retry)))
            since = begin(world, wish)
            await one.stop()
            async with caller(wish) as client:
                answers = [await client.post("/who", content=b"x") for _ in range(10)]
            failed = sum(a.status_code != 200 for a in answers)
            assert (failed > 0) == lost
            assert await counted(world, wish, since, 10) == {BLUE: (10, failed)}

    asyncio.run(story())


def test_an_answer_of_5xx_is_never_repeated_and_never_ejects():
    async def story():
        async with running() as world:
            one = await world.upstream("one")
            wish = await world.serve(
                world.wish("fraud", {BLUE: [one]}, {BLUE: FULL}, route_spec(RetryWhen.RESET))
            )
            since = begin(world, wish)
            async with caller(wish) as client:
                for _ in range(20):
                    assert (await client.get("/status/503")).status_code == 503
                assert (await client.get("/who")).text == "one"
            assert len(one.seen) == 21
            assert await counted(world, wish, since, 21) == {BLUE: (21, 20)}

    asyncio.run(story())


def test_a_body_that_can_not_be_repeated_is_said():
    async def story():
        async with running() as world:
            one = await world.upstream("one")
            route = route_spec(RetryWhen.RESET)
            wish = await world.serve(world.wish("fraud", {BLUE: [one]}, {BLUE: FULL}, route))
            async with caller(wish) as client:
                fits = await client.post("/echo", content=b"x" * 16 * 1024 * 1024)
                assert fits.text == str(16 * 1024 * 1024)
                assert not world.facts(wish).notes
                await client.post("/echo", content=b"x" * 24 * 1024 * 1024)
            await eventually(lambda: any("too large to be repeated" in n for n in world.facts(wish).notes))

    asyncio.run(story())


def test_a_server_that_closes_idle_connections_costs_nothing():
    async def story():
        async with running() as world:
            one = await world.upstream("one", idle_s=1.3)
            wish = await world.serve(
                world.wish("fraud", {BLUE: [one]}, {BLUE: FULL}, route_spec(RetryWhen.NEVER))
            )
            async with caller(wish) as client:
                for pause_s in (0.9, 0.97, 1.0, 1.02, 1.28, 1.3, 1.31):
                    assert (await client.get("/who")).status_code == 200
                    await asyncio.sleep(pause_s)

    asyncio.run(story())


def test_a_lone_replica_is_never_ejected_and_one_of_two_is():
    async def story():
        async with running() as world:
            one, two = await world.upstream("one"), await world.upstream("two")
            alone = await world.serve(
                world.wish("alone", {BLUE: [one]}, {BLUE: FULL}, route_spec(RetryWhen.NEVER))
            )
            pair = await world.serve(
                world.wish(
                    "pair",
                    {GREEN: [one, two]},
                    {GREEN: FULL},
                    route_spec(RetryWhen.NEVER),
                    covers=((GREEN, Cover(replicas=2, spare=1)),),
                )
            )

            async def ejections(wish, revision):
                name = f"cluster.default/{wish.service.name}/{revision}.outlier_detection.ejections_enforced_total"
                found = await world.router._seats.first.admin._json(f"/stats?format=json&filter={name}")
                return found["stats"][0]["value"]

            async with caller(alone) as client:
                for _ in range(12):
                    await client.get("/reset")
                assert (await client.get("/who")).status_code == 200
            assert await ejections(alone, BLUE) == 0
            async with caller(pair) as client:
                until = time.monotonic() + 10
                while await ejections(pair, GREEN) == 0:
                    assert time.monotonic() < until
                    await client.get("/reset")

    asyncio.run(story())


def test_every_way_to_get_no_answer_counts_once_as_an_error():
    async def story():
        async with running() as world:
            one = await world.upstream("one")
            route = route_spec(RetryWhen.RESET, timeout_s=2.0)
            wish = await world.serve(world.wish("fraud", {BLUE: [one]}, {BLUE: FULL}, route))
            since = begin(world, wish)
            async with caller(wish) as client:
                assert (await client.get("/who")).status_code == 200
                assert (await client.get("/status/404")).status_code == 404
                assert (await client.get("/status/500")).status_code == 500
                assert (await client.get("/reset")).status_code == 503
                with contextlib.suppress(httpx2.HTTPError):
                    await client.get("/break")
                assert (await client.get("/slow/5")).status_code == 504
                # Who leaves at once has changed their mind; who leaves after a second got no answer.
                for patience_s in (0.1, 1.3):
                    with pytest.raises(httpx2.TimeoutException):
                        await client.get("/slow/1.9", timeout=patience_s)
                # Who has seen enough of a long answer had one.
                began = time.monotonic()
                async with client.stream("GET", "/stream/30") as stream:
                    async for _ in stream.aiter_bytes():
                        if time.monotonic() - began > 1.2:
                            break
            assert await counted(world, wish, since, 8) == {BLUE: (8, 5)}

    asyncio.run(story())


def test_clients_can_not_steer_the_proxy_by_its_own_headers():
    async def story():
        async with running() as world:
            one = await world.upstream("one")
            wish = await world.serve(
                world.wish("fraud", {BLUE: [one]}, {BLUE: FULL}, route_spec(RetryWhen.NEVER))
            )
            async with caller(wish) as client:
                hasty = await client.get("/slow/0.3", headers={"x-envoy-upstream-rq-timeout-ms": "20"})
                assert hasty.status_code == 200
                eager = await client.get(
                    "/status/503", headers={"x-envoy-retry-on": "5xx", "x-envoy-max-retries": "3"}
                )
                assert eager.status_code == 503
            assert one.seen == ["/slow/0.3", "/status/503"]

    asyncio.run(story())


def test_latencies_are_counted_in_milliseconds():
    async def story():
        async with running() as world:
            one = await world.upstream("one")
            wish = await world.serve(world.wish("fraud", {BLUE: [one]}, {BLUE: FULL}))
            since = begin(world, wish)
            async with caller(wish) as client:
                for _ in range(5):
                    await client.get("/slow/0.2")
            await counted(world, wish, since, 5)
            latency = world.router.samples(wish.service, since).value.counts[0].latency
            assert dict(latency)[160.0] == 0
            assert dict(latency)[400.0] >= 4
            assert latency[-1][1] == 5

    asyncio.run(story())


def test_the_access_log_holds_who_answered_and_nothing_of_the_request():
    async def story():
        async with running() as world:
            one = await world.upstream("one")
            wish = await world.serve(world.wish("fraud", {BLUE: [one]}, {BLUE: FULL}))
            async with caller(wish) as client:
                await client.post(
                    "/who?token=secret1",
                    headers={"authorization": "secret2", "x-request-id": "id7"},
                    content=b"secret3",
                )
            log = world.home / "access.log"
            await eventually(lambda: "id7" in log.read_text())
            text = log.read_text()
            assert f"default/fraud/{BLUE}" in text
            assert "secret" not in text

    asyncio.run(story())


def test_a_large_access_log_is_put_aside_and_envoy_goes_on_in_a_new_one(monkeypatch):
    monkeypatch.setattr(tail, "LOG_BYTES", 100)

    async def story():
        async with running() as world:
            one = await world.upstream("one")
            wish = await world.serve(world.wish("fraud", {BLUE: [one]}, {BLUE: FULL}))
            log, old = world.home / "access.log", world.home / "access.log.1"
            async with caller(wish) as client:
                await client.get("/who", headers={"x-request-id": "before"})
                await eventually(old.exists)
                assert "before" in old.read_text()
                await client.get("/who", headers={"x-request-id": "after"})
                await eventually(lambda: any("after" in p.read_text() for p in (log, *_aside(log))))
            for path in (log, *_aside(log)):
                assert path.stat().st_mode & 0o777 == 0o600

    asyncio.run(story())


def _aside(log):
    return sorted(log.parent.glob(f"{log.name}.*"))


def test_copies_reach_the_mirror_and_are_no_samples():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            plain = world.wish("fraud", {BLUE: [blue], GREEN: [green]}, {BLUE: FULL})
            copied = replace(plain.routes[0], mirrors=(Mirror(revision=GREEN, share=FULL),))
            wish = await world.serve(replace(plain, routes=(copied,)))
            since = begin(world, wish)
            async with caller(wish) as client:
                assert (await client.post("/who", content=b"x")).text == "blue"
            await eventually(lambda: green.seen == ["/who"])
            assert await counted(world, wish, since, 1) == {BLUE: (1, 0), GREEN: (0, 0)}
            assert green.address not in world.facts(wish).drained

    asyncio.run(story())
