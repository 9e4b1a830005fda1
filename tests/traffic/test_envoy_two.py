"""Two Envoys share the ports, so that one of them may die."""

import asyncio
import contextlib
import dataclasses
import math
import os
import signal
import socket

import httpx2
import pytest
from envoy_world import BLUE, GREEN, caller, eventually, free_port, route_spec, running

from celadon.domain.draw import Draw
from celadon.domain.facts import Known
from celadon.domain.plan import FULL
from celadon.traffic.envoy import launcher

pytestmark = pytest.mark.e2e


def seats(world):
    return world.router._seats.all


def who(world, number):
    return seats(world)[number].proxy.identity()


@contextlib.contextmanager
def stopped(pid):
    """Suspended: it lives and answers nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@dataclasses.dataclass
class Told:
    """What callers were answered."""

    answered: int = 0
    failed: int = 0
    refused: int = 0
    ending: bool = False


@contextlib.asynccontextmanager
async def callers(wish, number):
    """They ask without pause, half of them on a new connection each time."""
    told = Told()
    async with asyncio.TaskGroup() as group:
        for n in range(number):
            group.create_task(ask(wish, told, kept=n % 2 == 0))
        try:
            yield told
        finally:
            told.ending = True


async def ask(wish, told, *, kept):
    """On one connection for as long as it is kept, or on a new one each time."""
    async with contextlib.AsyncExitStack() as stack:
        asking = await stack.enter_async_context(caller(wish)) if kept else None
        while not told.ending:
            try:
                status = (await asking.get("/who")).status_code if asking else await ask_anew(wish)
                assert status == 200
                told.answered += 1
            except (httpx2.ConnectError, ConnectionRefusedError):
                told.refused += 1
            except (httpx2.HTTPError, OSError):
                told.failed += 1


async def ask_anew(wish):
    """The status of an answer on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", wish.route.port)
    try:
        writer.write(b"GET /who HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        words = (await reader.read()).split()
        if not words:
            raise ConnectionResetError
        return int(words[1])
    finally:
        writer.close()


class Ledger:
    """What samples come to, asked for one after the other as the loop does."""

    def __init__(self, world, wish):
        self.world, self.service = world, wish.service
        self.cursor = world.router.samples(self.service, ()).value.cursor_to
        self.counted = self.heard = self.incomplete = 0

    def ask(self):
        """Asks until now; is true."""
        found = self.world.router.samples(self.service, self.cursor).value
        assert found.cursor_from == self.cursor
        self.cursor = found.cursor_to
        self.counted += sum(c.requests for c in found.counts)
        self.heard += sum(one.requests for one in found.answers)
        self.incomplete += not found.complete
        return True

    def says(self, requests):
        """Whether both sources have come to so many."""
        return self.ask() and self.counted == self.heard == requests


def drawn(wish):
    """Its last route is a draw between blue and green."""
    *others, last = wish.routes
    draw = Draw(green=GREEN, salt="release-1")
    return dataclasses.replace(wish, routes=(*others, dataclasses.replace(last, draw=draw)))


def test_a_route_is_confirmed_only_when_both_show_it_and_one_that_is_dead_is_not_waited_for():
    async def story():
        async with running(2) as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            route, both = route_spec(), {BLUE: [blue], GREEN: [green]}
            old = await world.serve(world.wish("fraud", both, {BLUE: FULL}, route))
            new = world.wish("fraud", both, {GREEN: FULL}, route)
            first, second = who(world, 0), who(world, 1)
            assert first.pid != second.pid
            with stopped(second.pid):
                world.router.set(new)
                async with caller(new) as client:
                    # The first one has it long before it counts.
                    await eventually(lambda: world.facts(new).pending == new)
                    admin = seats(world)[0].admin
                    name = world.router._plane.snapshot().tables[0].name
                    while (
                        await admin.routes_version(name)
                        != world.router._plane.xds.versions[f"routes.{name.replace(':', '_')}.json"]
                    ):
                        pass
                    del client
                assert world.facts(new).confirmed in {old, None}
                assert world.facts(new).confirmed != new
            await eventually(lambda: world.facts(new).confirmed == new)
            with stopped(second.launcher_pid):
                os.kill(second.pid, signal.SIGKILL)
                again = await world.serve(world.wish("fraud", both, {BLUE: FULL}, route))
                await eventually(lambda: any("2 of 2 is not running" in n for n in world.facts(new).notes))
            await eventually(lambda: any("2 of 2 was restarted" in n for n in world.facts(again).notes))
            assert world.facts(again).confirmed == again
            assert who(world, 0) == first

    asyncio.run(story())


def test_who_may_get_requests_by_one_that_does_not_answer_is_known_from_the_first_word_on():
    async def story():
        async with running(2) as world:
            blue = await world.upstream("blue")
            wish = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}))
            with stopped(who(world, 1).pid):
                world.router.drop(wish.service)
                await eventually(lambda: world.router._plane.tracks[wish.service].kept.published is None)
                await eventually(lambda: not world.router._plane._unkept)
                await world.restart_daemon()
                seen = world.router.observe(wish.service)
                assert isinstance(seen, Known)
                assert seen.value.confirmed is None
                assert seen.value.unrouted == {blue.address: math.inf}
            await eventually(lambda: blue.address in world.facts(wish).drained)

    asyncio.run(story())


def test_killing_one_under_load_refuses_nobody_and_counters_and_log_go_on_exactly():
    async def story():
        async with running(2) as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            plain = world.wish("fraud", {BLUE: [blue], GREEN: [green]}, {BLUE: 7500, GREEN: 2500})
            wish = await world.serve(drawn(plain))
            await eventually(lambda: len(world.router._sources) == 2)
            ledger, first = Ledger(world, wish), who(world, 0)
            async with callers(wish, 8) as told:
                await eventually(lambda: ledger.ask() and told.answered > 100, 40)
                os.kill(who(world, 1).pid, signal.SIGKILL)
                died_at = told.answered
                await eventually(lambda: ledger.ask() and told.answered > died_at + 100, 40)
                await eventually(lambda: ledger.ask() and ledger.incomplete)
                await eventually(lambda: ledger.ask() and len(world.router._sources) == 2)
                assert world.facts(wish).confirmed == wish
                assert who(world, 0) == first
            assert told.refused == 0
            assert told.failed <= 8, "what was in flight there, and no more"
            assert ledger.incomplete == 1
            # Nothing is asked now, so that both sources come to rest; from there on nothing may be missing.
            await settled(ledger)
            counted, heard = ledger.counted, ledger.heard
            for _ in range(60):
                assert await ask_anew(wish) == 200
            await eventually(lambda: ledger.ask() and ledger.counted == counted + 60)
            await eventually(lambda: ledger.ask() and ledger.heard == heard + 60)
            assert ledger.incomplete == 1
            assert all(reading.tallies.get(wish.service) for reading in world.router._readings)

    asyncio.run(story())


async def settled(ledger):
    """Until what Envoy writes late has been heard: its log and its counters are at least a second old."""
    until = asyncio.get_running_loop().time() + 1.5
    await eventually(lambda: ledger.ask() and asyncio.get_running_loop().time() > until)


def test_from_one_to_two_and_back_costs_no_request_and_no_count():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            plain = world.wish("fraud", {BLUE: [blue], GREEN: [green]}, {BLUE: 7500, GREEN: 2500})
            wish = await world.serve(drawn(plain))
            first, ledger = who(world, 0), Ledger(world, wish)
            async with callers(wish, 4) as told:
                await eventually(lambda: ledger.ask() and told.answered > 50, 40)
                await world.restart_daemon(2)
                second = who(world, 1)
                assert second.alive
                await eventually(lambda: world.facts(wish).confirmed == wish)
                began_at = told.answered
                await eventually(lambda: ledger.ask() and told.answered > began_at + 100, 40)
                await world.restart_daemon(1)
                await eventually(lambda: ledger.ask() and not second.alive)
                await eventually(lambda: ledger.ask() and not (world.home / "1").exists())
                assert launcher.start_time(second.launcher_pid) is None
                began_at = told.answered
                await eventually(lambda: ledger.ask() and told.answered > began_at + 50, 40)
            assert (told.refused, told.failed) == (0, 0)
            assert who(world, 0) == first
            await eventually(lambda: ledger.says(told.answered))
            assert ledger.incomplete == 0
            assert not (world.home / "xds" / "listeners.1.json").exists()

    asyncio.run(story())


def test_the_number_is_remembered_and_one_that_was_leaving_comes_back_when_it_is_wanted_again():
    async def story():
        async with running(2) as world:
            blue = await world.upstream("blue")
            wish = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}))
            second = who(world, 1)
            await world.restart_daemon()
            assert len(seats(world)) == 2
            assert who(world, 1) == second
            # A request that goes on keeps the second one there.
            await world.restart_daemon(1)
            await eventually((world.home / "1" / "leaving").exists)
            await world.restart_daemon(2)
            await eventually(lambda: (now := who(world, 1)) and now.alive and now.pid != second.pid)
            await eventually(lambda: world.facts(wish).confirmed == wish and len(world.router._sources) == 2)
            assert not (world.home / "1" / "leaving").exists()

    asyncio.run(story())


def test_a_port_that_somebody_else_has_is_refused_beside_two_of_ours():
    async def story():
        async with running(2) as world:
            blue = await world.upstream("blue")
            with socket.socket() as other:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                other.bind(("127.0.0.1", 0))
                other.listen()
                taken = world.wish(
                    "fraud", {BLUE: [blue]}, {BLUE: FULL}, route_spec(port=other.getsockname()[1])
                )
                world.router.set(taken)
                await eventually(lambda: world.facts(taken).refused)
                assert "can not listen" in world.facts(taken).refused.why
            await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}, route_spec(port=free_port())))

    asyncio.run(story())


def test_no_second_one_is_started_that_would_take_from_the_first_what_it_needs(monkeypatch):
    """The limit is the user's, so that a test must not use it up."""

    async def story():
        monkeypatch.setattr("celadon.traffic.envoy.seats.lacking", lambda files: f"{files} are too many")
        async with running(2) as world:
            blue = await world.upstream("blue")
            wish = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}))
            assert world.router.running() == 1
            notes = world.facts(wish).notes
            assert any("Envoy 2 of 2 is not running; " in n and "too many" in n for n in notes), notes
            monkeypatch.undo()
            await eventually(lambda: world.router.running() == 2)
            await eventually(lambda: len(world.router._sources) == 2)
            await eventually(lambda: not any("is not running" in n for n in world.facts(wish).notes))

    asyncio.run(story())
