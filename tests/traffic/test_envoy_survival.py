"""The data plane outlives the daemon, comes back by itself, and its counters stay exact."""

import asyncio
import os
import signal
import time

import httpx2
import pytest
from envoy_world import BLUE, GREEN, caller, eventually, route_spec, running

from celadon.domain.facts import Known
from celadon.domain.plan import FULL
from celadon.traffic.envoy import counters, launcher, render

pytestmark = pytest.mark.e2e


def files_of(world):
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in (world.home / "xds").iterdir()}


def identity(world):
    return world.router._seats.first.proxy.identity()


def test_a_restarted_daemon_finds_envoy_and_rewrites_nothing_and_samples_stay_exact():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            route, both = route_spec(), {BLUE: [blue], GREEN: [green]}
            wish = await world.serve(world.wish("fraud", both, {BLUE: FULL}, route, preview=GREEN))
            other = await world.serve(world.wish("other", {GREEN: [green]}, {GREEN: FULL}))
            began = world.router.samples(wish.service, ()).value.cursor_to
            before, who = files_of(world), identity(world)
            async with caller(wish) as client:
                for _ in range(7):
                    await client.get("/who")
                await world.router.close(stop_proxy=False)
                for _ in range(5):
                    assert (await client.get("/status/500")).status_code == 500
                world.router = type(world.router)(world.home, world.woken.append)
                await world.router.start()
                world.router.set(wish)
                await eventually(lambda: world.facts(wish).confirmed == wish)
                await eventually(lambda: world.facts(other).confirmed == other)
                await eventually(lambda: green.address in world.facts(wish).drained)
                assert identity(world) == who
                assert files_of(world) == before
                found = world.router.samples(wish.service, began).value
                counts = {c.revision: (c.requests, c.errors) for c in found.counts}
                assert counts == {BLUE: (12, 5), GREEN: (0, 0)}
                assert found.complete

    asyncio.run(story())


@pytest.fixture
def forgetful(monkeypatch):
    """Envoy forgets every second, and is asked for everything more often than that."""
    monkeypatch.setattr(render, "FORGETS_S", 1)
    monkeypatch.setattr(counters, "WHOLE_S", 0.7)


@pytest.mark.usefixtures("forgetful")
def test_counters_that_envoy_forgot_cost_no_request_and_leave_nothing_behind():
    """Each revision has counters of its own, so that an Envoy that lives for months would hold ever more of them."""

    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            wish = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}))

            def counted(since):
                found = world.router.samples(wish.service, since).value
                assert found.complete
                return {c.revision: (c.requests, c.errors) for c in found.counts}[BLUE]

            async with caller(wish) as client:
                first = world.router.samples(wish.service, ()).value.cursor_to
                for path in ("/who", "/who", "/status/500"):
                    await client.get(path)
                await eventually(lambda: counted(first) == (3, 1))
                known = world.router.samples(wish.service, first).value.cursor_to
                await eventually(lambda: BLUE not in world.router._reading.tallies.get(wish.service, {}))
                assert counted(known) == (0, 0)
                forgotten = world.router.samples(wish.service, known).value.cursor_to
                for path in ("/who", "/status/500"):
                    await client.get(path)
                await eventually(lambda: counted(forgotten) == (2, 1))

    asyncio.run(story())


@pytest.mark.usefixtures("forgetful")
def test_counters_that_envoy_hides_before_it_forgets_them_are_counted_once():
    """Every time it looks what to forget, it takes all of them for unused until they change."""

    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            wish = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}))
            cursor, counted = world.router.samples(wish.service, ()).value.cursor_to, []

            def count():
                nonlocal cursor
                found = world.router.samples(wish.service, cursor).value
                assert found.complete
                cursor = found.cursor_to
                counted.extend((c.requests, c.errors) for c in found.counts)
                return [sum(one) for one in zip(*counted, strict=True)]

            async with caller(wish) as client:
                for _ in range(20):
                    await client.get("/who")
                await client.get("/status/500")
                for more in range(10):
                    await eventually(lambda: not world.router._seats.first.counters._used)
                    await client.get("/who")
                    await eventually(lambda more=more: count() == [22 + more, 1])
                await client.get("/status/500")
                await eventually(lambda: count() == [32, 2])

    asyncio.run(story())


def test_a_killed_envoy_is_back_in_under_a_second_and_it_is_said():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            wish = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}))
            began = world.router.samples(wish.service, ()).value.cursor_to
            async with caller(wish) as client:
                await client.get("/who")
                killed = time.monotonic()
                os.kill(identity(world).pid, signal.SIGKILL)
                while True:
                    try:
                        if (await client.get("/who")).status_code == 200:
                            break
                    except httpx2.HTTPError:
                        await asyncio.sleep(0.01)
                    assert time.monotonic() - killed < 5
                assert time.monotonic() - killed < 1.0
            await eventually(lambda: any("killed by signal 9" in note for note in world.facts(wish).notes))
            await eventually(lambda: world.facts(wish).confirmed == wish)
            found = world.router.samples(wish.service, began).value
            assert not found.complete
            assert world.router.samples(wish.service, found.cursor_to).value.complete

    asyncio.run(story())


def test_envoy_comes_back_without_the_daemon():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            wish = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}))
            proxy, first = world.router._seats.first.proxy, identity(world)
            await world.router.close(stop_proxy=False)
            os.kill(first.pid, signal.SIGKILL)
            await eventually(lambda: (who := proxy.identity()) and who.pid != first.pid and who.alive)
            world.router = type(world.router)(world.home, world.woken.append)
            await world.router.start()
            await eventually(lambda: world.facts(wish).confirmed == wish)
            async with caller(wish) as client:
                assert (await client.get("/who")).text == "blue"

    asyncio.run(story())


def test_a_killed_launcher_costs_nothing_and_the_next_one_adopts_envoy():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            wish = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}))
            first = identity(world)
            os.kill(first.launcher_pid, signal.SIGKILL)
            await eventually(lambda: (who := identity(world)) and who.launcher_pid != first.launcher_pid)
            await eventually(world.router._seats.first.proxy.kept)
            assert identity(world).pid == first.pid
            assert world.facts(wish).confirmed == wish
            os.kill(first.pid, signal.SIGKILL)
            await eventually(lambda: (who := identity(world)) and who.pid != first.pid and who.alive)
            await eventually(lambda: world.facts(wish).confirmed == wish)

    asyncio.run(story())


def test_a_stopped_proxy_leaves_no_process_and_its_sockets_are_its_owners_alone():
    async def story():
        async with running() as world:
            who = identity(world)
            mode = (world.home / "admin.sock").stat().st_mode & 0o777
            assert mode == 0o600
            await world.router.close(stop_proxy=True)
            assert launcher.start_time(who.pid) is None
            assert launcher.start_time(who.launcher_pid) is None

    asyncio.run(story())


def test_after_a_reboot_nothing_of_the_old_files_is_believed():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            wish = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}))
            await world.router.close(stop_proxy=True)
            lock = world.home / launcher.LOCK
            lock.write_text(lock.read_text().replace(launcher.boot_id(), "another-boot"))
            world.router = type(world.router)(world.home, world.woken.append)
            await world.router.start()
            assert world.facts(wish).confirmed is None
            assert sorted(p.name for p in (world.home / "xds").iterdir()) == [
                "clusters.json",
                "listeners.json",
            ]

    asyncio.run(story())


def test_the_exported_file_serves_without_celadon():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            wish = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}))
            text = world.router.export([wish.service])
            envoy = world.router._seats.first.proxy.envoy
            await world.router.close(stop_proxy=True)
            file = world.home / "alone.yaml"
            file.write_text(text)
            alone = await asyncio.create_subprocess_exec(
                *(envoy, "-c", file, "--disable-hot-restart", "-l", "off"), stdout=asyncio.subprocess.DEVNULL
            )
            try:
                async with caller(wish) as client:
                    await eventually_serves(client)
            finally:
                alone.kill()
                await alone.wait()

    asyncio.run(story())


async def eventually_serves(client):
    until = time.monotonic() + 10
    while True:
        try:
            if (answer := await client.get("/who")).status_code == 200:
                assert answer.text == "blue"
                return
        except httpx2.HTTPError:
            pass
        assert time.monotonic() < until
        await asyncio.sleep(0.02)


def test_facts_are_unknown_while_envoy_can_not_be_asked():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            wish = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}))
            who = identity(world)
            os.kill(who.launcher_pid, signal.SIGSTOP)
            os.kill(who.pid, signal.SIGKILL)
            await eventually(lambda: not isinstance(world.router.observe(wish.service), Known))
            os.kill(who.launcher_pid, signal.SIGCONT)
            await eventually(lambda: world.facts(wish).confirmed == wish)

    asyncio.run(story())
