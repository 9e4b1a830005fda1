"""Answers by the second come from Envoy's request log: each once, whatever crashes, and nobody can forge them."""

import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import replace

import httpx2
import pytest
from envoy_asking import ask_all, drawing
from envoy_world import BLUE, GREEN, caller, eventually, route_spec, running

from celadon.domain.draw import Draw, StickyHeader
from celadon.domain.durations import bucket
from celadon.domain.facts import Known
from celadon.domain.goal import Arm, Mirror, Part, Route
from celadon.domain.plan import FULL
from celadon.domain.problem import TransientFault
from celadon.domain.spec import RetryWhen
from celadon.traffic.envoy import tail

pytestmark = pytest.mark.e2e


def drawn(wish, green=5000, **more):
    """The same wish, whose requests are compared."""
    draw = Draw(green=GREEN, salt="release-1", shares=(green,), **more)
    split = tuple(Part(revision=r, share=s) for r, s in ((GREEN, green), (BLUE, FULL - green)) if s)
    return replace(wish, routes=(Route(split=split, draw=draw),))


class Judge:
    """Asks for samples as the loop does, and adopts their cursor with what they said."""

    def __init__(self, world, wish):
        self.world, self.service = world, wish.service
        self.cursor = ()
        self.answers = []
        self.complete = True
        self.ask()

    def ask(self):
        seen = self.world.router.samples(self.service, self.cursor)
        if isinstance(seen, Known):
            if self.cursor:
                assert seen.value.cursor_from == self.cursor
            self.cursor = seen.value.cursor_to
            self.answers += seen.value.answers
            self.complete &= seen.value.complete
        return self

    def of(self, *, mirrored=False):
        return [a for a in self.answers if a.mirrored is mirrored]

    def requests(self):
        return sum(a.requests for a in self.of())

    async def until(self, requests):
        await eventually(lambda: self.ask().requests() >= requests)
        return self


async def raw(wish, *headers):
    """One request with headers as bytes, whatever they are."""
    reader, writer = await asyncio.open_connection("127.0.0.1", wish.route.port)
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    writer.write(b"GET /who HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + lines + b"\r\n")
    answer = await reader.read()
    writer.close()
    return answer


def test_an_answer_says_whether_a_control_had_a_share_when_its_request_was_routed():
    async def story():
        async with running() as world:
            blue, green, control = [await world.upstream(name) for name in ("blue", "green", "control")]
            wish = drawing(world, blue, green, 3000, route_spec(), control=[control])
            await world.serve(replace(wish, controls=((BLUE, ()),)))
            judge = Judge(world, wish)
            await ask_all(wish.route.port, [{}] * 50)
            await judge.until(50)
            assert {answer.alone for answer in judge.answers} == {True}
            await world.serve(drawing(world, blue, green, 3000, wish.route, control=[control]))
            await ask_all(wish.route.port, [{}] * 70)
            await judge.until(120)
            assert sum(answer.requests for answer in judge.answers if not answer.alone) == 70

    asyncio.run(story())


def test_answers_say_when_who_at_which_share_for_whom_and_how_long():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            plain = world.wish(
                "fraud", {BLUE: [blue], GREEN: [green]}, {BLUE: FULL}, route_spec(RetryWhen.NEVER)
            )
            wish = await world.serve(drawn(plain, 2500, group="x-country"))
            judge, began = Judge(world, wish), time.time()
            async with caller(wish) as client:
                for country in ("de", "fr"):
                    for path in ("/who", "/slow/0.2", "/status/404", "/status/500", "/reset"):
                        await client.get(path, headers={"x-country": country})
            await judge.until(10)
            answers = judge.of()
            assert {a.share for a in answers} == {2500}
            assert all(int(began) <= a.at_s <= time.time() for a in answers)
            assert [a.at_s for a in answers] == sorted(a.at_s for a in answers)
            assert {a.arm for a in answers} == {Arm.MAIN}
            for country in ("de", "fr"):
                those = [a for a in answers if a.group == country]
                assert (sum(a.requests for a in those), sum(a.errors for a in those)) == (5, 2)
                assert sum(a.failed for a in those) == 2
                taken = Counter()
                for answer in those:
                    taken.update(dict(answer.durations))
                assert taken.total() == 3
                assert sum(n for at, n in taken.items() if bucket(200_000) <= at <= bucket(400_000)) == 1
            seen = Counter({"blue": len(blue.seen), "green": len(green.seen)})
            by_side = Counter()
            for answer in answers:
                by_side["green" if answer.revision == GREEN else "blue"] += answer.requests
            assert by_side == seen
            assert judge.complete

    asyncio.run(story())


def test_every_kind_of_error_is_the_same_in_the_log_as_in_the_counters():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            route = route_spec(RetryWhen.RESET, timeout_s=2.0)
            wish = await world.serve(
                drawn(world.wish("fraud", {BLUE: [blue], GREEN: []}, {BLUE: FULL}, route), 0)
            )
            judge = Judge(world, wish)
            async with caller(wish) as client:

                async def ask(path, patience_s=10):
                    with contextlib.suppress(httpx2.HTTPError):
                        await client.get(path, timeout=patience_s)

                for path in ("/who", "/status/404", "/status/500", "/reset", "/break"):
                    await ask(path)
                await asyncio.gather(ask("/slow/5"), ask("/slow/1.9", 0.1), ask("/slow/1.9", 1.3))
                await blue.stop()
                assert (await client.get("/who")).status_code == 503
            await judge.until(8)
            assert sum(a.requests for a in judge.answers) == 8
            assert sum(a.errors for a in judge.answers) == 6
            assert {(a.revision, a.share) for a in judge.answers} == {(BLUE, 0)}
            assert judge.complete

    asyncio.run(story())


def test_what_a_client_says_can_not_forge_a_field_a_line_or_a_share():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            plain = world.wish("fraud", {BLUE: [blue], GREEN: [blue]}, {BLUE: FULL})
            wish = await world.serve(drawn(plain, 100, sticky=StickyHeader(header="x-user"), group="x-group"))
            judge = Judge(world, wish)
            evil = b'","share":"9999","status":500,"cluster":"default/fraud/forged","x":"'
            names = (
                b"x-user",
                b"x-group",
                b"x-request-id",
                b"x-celadon-share",
                b"x-celadon-unit",
                b"x-celadon-group",
            )
            values = (evil, b"a\tb\\", b'"}\\', b"\xff\xfe", b"9999")
            for value in values:
                assert b"blue" in await raw(
                    wish, *((name, value) for name in names if value != b"\xff\xfe" or name == b"x-group")
                )
            await judge.until(len(values))
            assert judge.requests() == len(values)
            assert {(a.revision, a.share, a.errors, a.failed) for a in judge.answers} <= {
                (BLUE, 100, 0, 0),
                (GREEN, 100, 0, 0),
            }
            assert {a.group for a in judge.answers} >= {evil.decode(), "a\tb\\", '"}\\', "9999"}
            assert judge.complete
            assert not any("could not be read" in note for note in world.facts(wish).notes)

    asyncio.run(story())


def test_routes_without_a_draw_tell_nothing_even_when_a_client_does():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            wish = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}))
            judge = Judge(world, wish)
            await raw(
                wish, (b"x-celadon-share", b"5000"), (b"x-celadon-unit", b"me"), (b"x-request-id", b"mine")
            )
            log = world.home / "access.log"
            await eventually(lambda: "mine" in log.read_text())
            assert '"share":null' in log.read_text()
            await eventually(lambda: judge.ask().cursor and dict(judge.cursor)["log"].split(":")[2] != "0")
            assert judge.answers == []
            assert judge.complete

    asyncio.run(story())


def test_a_unit_counts_once_and_its_first_error_once_more_however_often_it_asks():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            plain = world.wish(
                "fraud", {BLUE: [blue], GREEN: [green]}, {BLUE: FULL}, route_spec(RetryWhen.NEVER)
            )
            wish = await world.serve(drawn(plain, sticky=StickyHeader(header="x-user")))
            judge = Judge(world, wish)
            async with caller(wish) as client:
                for _ in range(3):
                    for user in range(20):
                        path = "/status/500" if user < 4 else "/who"
                        await client.get(path, headers={"x-user": f"user-{user}"})
                for _ in range(5):
                    await client.get("/who")
            await eventually(
                lambda: sum(n for a in judge.ask().answers for _, n in a.durations) == 3 * 16 + 5
            )
            assert judge.requests() == 20 + 5
            assert sum(a.errors for a in judge.answers) == 4
            assert sum(a.failed for a in judge.answers) == 12
            assert sum(n for a in judge.answers for _, n in a.first_durations) == 16 + 5
            assert sum(a.first_failed for a in judge.answers) == 4
            assert "user-" not in "".join(
                p.read_text(errors="replace") for p in (world.home / "units").iterdir()
            )

    asyncio.run(story())


def test_each_answer_counts_once_across_rotations_restarts_and_cursors_that_were_lost(monkeypatch):
    monkeypatch.setattr(tail, "LOG_BYTES", 10_000)
    monkeypatch.setattr(tail, "SLICE_BYTES", 4_000)

    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            plain = world.wish(
                "fraud", {BLUE: [blue], GREEN: [green]}, {BLUE: FULL}, route_spec(RetryWhen.NEVER)
            )
            wish = await world.serve(drawn(plain, sticky=StickyHeader(header="x-user")))
            judge, done, sent, told = Judge(world, wish), asyncio.Event(), [], Counter()
            world.router._ears.routed = lambda _, routed: told.update(r.request for r in routed)

            async def ask(client, number):
                while not done.is_set():
                    sent.append(f"{number}-{len(sent)}")
                    headers = {"x-request-id": sent[-1], "x-user": f"user-{len(sent) % 150}"}
                    await client.get("/status/500" if len(sent) % 10 == 0 else "/who", headers=headers)

            async with caller(wish) as client, asyncio.TaskGroup() as group:
                for number in range(4):
                    group.create_task(ask(client, number))
                for _ in range(3):
                    enough = len(sent) + 60
                    await eventually(lambda enough=enough: len(sent) > enough)
                    kept = (judge.ask().cursor, list(judge.answers))
                    await judge.until(judge.requests() + 1)
                    await world.restart_daemon()
                    world.router._ears.routed = lambda _, routed: told.update(r.request for r in routed)
                    judge.world = world
                    # What was heard after the last record was never recorded, so it is heard again.
                    judge.cursor, judge.answers = kept
                done.set()
            await eventually(
                lambda: (
                    sum(n for a in judge.ask().answers for _, n in a.durations)
                    + sum(a.failed for a in judge.answers)
                    == len(sent)
                )
            )
            assert (world.home / "access.log.3").exists()
            assert judge.requests() == len({(i + 1) % 150 for i in range(len(sent))})
            assert set(told) == set(sent)
            assert judge.complete

    asyncio.run(story())


def with_copies(wish, share):
    return replace(wish, routes=(replace(wish.routes[0], mirrors=(Mirror(revision=GREEN, share=share),)),))


def told(judge):
    """(requests, errors) of green's copies and of their originals so far, by the part that was copied."""
    found = Counter()
    for one in judge.ask().answers:
        if one.mirror:
            side = "copies" if one.mirrored else "originals"
            found[side, one.mirror, "all"] += one.requests
            found[side, one.mirror, "bad"] += one.errors
    return +found


def test_copies_are_told_beside_their_originals_and_no_caller_waits_for_them():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            wish = drawn(world.wish("fraud", {BLUE: [blue], GREEN: [green]}, {BLUE: FULL}), 0)
            judge = Judge(world, await world.serve(wish))
            await eventually(lambda: "copies" in dict(judge.ask().cursor))
            wish = await world.serve(restamped(world, with_copies(wish, FULL)))
            async with caller(wish) as client:
                for path in ("/who", "/status/500", "/status/404", "/reset", *["/who"] * 6):
                    await client.get(path)
                both = {(side, FULL, "all"): 10 for side in ("copies", "originals")}
                both |= {(side, FULL, "bad"): 2 for side in ("copies", "originals")}
                await eventually(lambda: told(judge) == both)
                await green.stop()
                await client.get("/who")
                both["copies", FULL, "bad"] += 1
                both |= {(side, FULL, "all"): 11 for side in ("copies", "originals")}
                await eventually(lambda: told(judge) == both)
            assert {(a.revision, a.share) for a in judge.of(mirrored=True)} == {(GREEN, 0)}
            assert {a.revision for a in judge.of()} == {BLUE}
            assert judge.complete

    asyncio.run(story())


def restamped(world, wish):
    world.seq += 1
    return replace(wish, stamp=replace(wish.stamp, seq=world.seq))


def test_copies_are_told_across_restarts_and_those_of_a_doubtful_moment_are_not():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            plain = drawn(world.wish("fraud", {BLUE: [blue], GREEN: [green]}, {BLUE: FULL}), 0)
            wish = await world.serve(with_copies(plain, FULL))
            judge = Judge(world, wish)
            await eventually(lambda: "copies" in dict(judge.ask().cursor))
            async with caller(wish) as client:
                for _ in range(5):
                    await client.get("/who")
                await world.restart_daemon()
                judge.world = world
                world.router.set(wish)
                await eventually(lambda: told(judge)["copies", FULL, "all"] == 5)
                await world.serve(restamped(world, with_copies(plain, FULL // 2)))
                await client.get("/who")
                last = restamped(world, plain)
                await world.serve(last)
                await client.get("/who")
                await eventually(lambda: told(judge)["originals", FULL // 2, "all"] == 1)
                found = told(judge)
            assert found["copies", FULL, "all"] == found["originals", FULL, "all"] == 5
            assert found["copies", FULL // 2, "all"] <= 1

    asyncio.run(story())


def test_a_log_that_stands_still_is_no_silence():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            plain = world.wish("fraud", {BLUE: [blue], GREEN: [blue]}, {BLUE: FULL})
            wish = await world.serve(drawn(plain, 100))
            judge = Judge(world, wish)
            async with caller(wish) as client:
                await client.get("/who")
                await judge.until(1)
                await eventually(lambda: world.router._ears._heard[wish.service].gap._base is not None)
                # Somebody takes the file away under Envoy, which writes on to where nobody can read.
                [written] = world.router._ears.logs
                monkey, written.reopen = written.reopen, _never
                (world.home / "access.log").unlink()
                await eventually(lambda: not judge.ask().complete)
                judge.complete = True
                await client.get("/who")
                await eventually(lambda: any("does not show" in n for n in world.facts(wish).notes))
                assert not judge.ask().complete
                written.reopen = monkey
                await eventually(lambda: not written.owed or not judge.ask())
                judge.complete = True
                await client.get("/who")
                await judge.until(2)
                await eventually(lambda: not any("does not show" in n for n in world.facts(wish).notes))
                judge.ask().complete = True
                await client.get("/who")
                await judge.until(3)
                assert judge.complete

    asyncio.run(story())


async def _never():
    raise TransientFault("Envoy does not answer", retry_s=1.0)


def test_lines_that_are_broken_are_counted_and_cost_no_other():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            plain = world.wish("fraud", {BLUE: [blue], GREEN: [blue]}, {BLUE: FULL})
            wish = await world.serve(drawn(plain, 100))
            judge = Judge(world, wish)
            async with caller(wish) as client:
                await client.get("/who")
                await judge.until(1)
                with (world.home / "access.log").open("ab") as file:
                    file.write(
                        b'{"cluster":"default/fraud/x","status":"no"}\n\xff\x00\n[]\n"cluster":"default/fraud/\n'
                    )
                await client.get("/who")
                await judge.until(2)
            assert judge.requests() == 2
            assert "2 lines of the request log could not be read" in world.facts(wish).notes

    asyncio.run(story())


def test_a_position_whose_file_is_gone_is_not_passed_over_in_silence(monkeypatch):
    monkeypatch.setattr(tail, "LOG_BYTES", 200)
    monkeypatch.setattr(tail, "KEPT_LOGS", 1)

    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            plain = world.wish("fraud", {BLUE: [blue], GREEN: [blue]}, {BLUE: FULL})
            wish = await world.serve(drawn(plain, 100))
            judge = Judge(world, wish)
            early = judge.cursor
            async with caller(wish) as client:
                for number in range(1, 4):
                    await client.get("/who")
                    await judge.until(number)
                    await eventually((world.home / f"access.log.{number}").exists)
            assert judge.complete
            late, judge.cursor = judge.cursor, early
            await eventually(lambda: not judge.ask().complete)
            judge.cursor, judge.complete = late, True
            await eventually(lambda: judge.ask().cursor)
            assert judge.complete

    asyncio.run(story())
