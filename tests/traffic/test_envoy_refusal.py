"""What can not be served is refused with the proxy's own reason, and everything else goes on."""

import asyncio
import socket
import subprocess
import sys

import pytest
from envoy_world import BLUE, GREEN, caller, eventually, free_port, route_spec, running

from celadon.domain.facts import Known
from celadon.domain.names import RevisionId, ServiceKey
from celadon.domain.plan import FULL
from celadon.domain.problem import LastingFault
from celadon.traffic.envoy import EnvoyRouter, move, proxy

pytestmark = pytest.mark.e2e


async def refused(world, wish):
    world.router.set(wish)
    await eventually(lambda: world.facts(wish).refused is not None)
    facts = world.facts(wish)
    assert facts.refused.wanted == wish
    assert facts.pending is None
    return facts.refused.why


def test_a_share_for_an_unknown_revision_is_refused_and_the_old_routes_serve():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            route = route_spec()
            before = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}, route))
            lost = RevisionId("c" * 12)
            why = await refused(world, world.wish("fraud", {BLUE: [blue]}, {lost: FULL}, route))
            assert "unknown" in why
            assert lost in why
            assert world.facts(before).confirmed == before
            async with caller(before) as client:
                assert (await client.get("/who")).text == "blue"
            again = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}, route))
            assert world.facts(again).refused is None

    asyncio.run(story())


def test_a_bad_service_blocks_no_other_even_behind_the_same_listener():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            good = world.wish("good", {BLUE: [blue]}, {BLUE: FULL}, route_spec(prefix="/who"))
            bad = world.wish(
                "bad",
                {BLUE: [blue]},
                {BLUE: FULL},
                route_spec(port=good.route.port, hostnames=("bad.test",), prefix="/b?"),
            )
            world.router.set(bad)
            world.router.set(good)
            await eventually(lambda: world.facts(bad).refused and world.facts(good).confirmed)
            assert world.facts(good).confirmed == good
            async with caller(good) as client:
                assert (await client.get("/who")).text == "blue"
                assert (await client.get("/b")).status_code == 404

    asyncio.run(story())


def test_an_address_of_another_machine_is_refused():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            route = route_spec(host="203.0.113.7")
            why = await refused(world, world.wish("bad", {BLUE: [blue]}, {BLUE: FULL}, route))
            assert "203.0.113.7" in why

    asyncio.run(story())


def test_what_only_the_running_envoy_rejects_is_undone_and_its_reason_told(monkeypatch):
    # Our own look at the port is blinded, as if somebody took it between that look and Envoy's.
    monkeypatch.setattr(move, "port_taken", lambda _, __: None)

    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            await world.serve(world.wish("good", {BLUE: [blue]}, {BLUE: FULL}))
            # Not an address of this machine: nothing but binding it shows that.
            route = route_spec(host="203.0.113.7")
            why = await refused(world, world.wish("bad", {BLUE: [blue]}, {BLUE: FULL}, route))
            assert "cannot bind '203.0.113.7" in why
            files = "".join(p.read_text() for p in (world.home / "xds").glob("*.json"))
            assert "203.0.113.7" not in files

    asyncio.run(story())


def test_a_port_that_somebody_listens_on_is_refused_even_where_envoy_could_sit_beside():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            with socket.socket() as other:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                other.bind(("127.0.0.1", 0))
                other.listen()
                route = route_spec(port=other.getsockname()[1])
                why = await refused(world, world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}, route))
                assert f"127.0.0.1:{route.port}" in why
                assert "another process listens there" in why
            await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}, route))

    asyncio.run(story())


def test_two_services_that_claim_the_same_requests_are_not_both_served():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            first = await world.serve(world.wish("first", {BLUE: [blue]}, {BLUE: FULL}))
            same = route_spec(port=first.route.port)
            assert "already belongs to service first" in await refused(
                world, world.wish("second", {BLUE: [blue]}, {BLUE: FULL}, same)
            )
            beside = route_spec(port=first.route.port, hostnames=("second.test",))
            second = await world.serve(world.wish("second", {GREEN: [blue]}, {GREEN: FULL}, beside))
            async with caller(first) as client:
                for host, revision in (("second.test", GREEN), ("second.test:80", GREEN), ("any", BLUE)):
                    answer = await client.get("/who", headers={"host": host})
                    assert answer.headers["x-celadon-revision"] == revision
            assert world.facts(second).confirmed == second

    asyncio.run(story())


def test_an_older_stamp_is_refused():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            older = world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL})
            newer = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}))
            world.router.set(older)
            assert world.facts(newer).confirmed == newer
            assert "older" in world.facts(newer).refused.why

    asyncio.run(story())


def test_the_preview_reaches_green_outside_samples_and_drain_and_says_when_there_is_none():
    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            route, both = route_spec(), {BLUE: [blue], GREEN: [green]}
            wish = await world.serve(world.wish("fraud", both, {BLUE: FULL}, route, preview=GREEN))
            await eventually(lambda: green.address in world.facts(wish).drained)
            began = world.router.samples(wish.service, ()).value
            async with caller(wish) as client:
                preview = f"http://127.0.0.1:{route.preview_port}"
                answer = await client.get(f"{preview}/who")
                assert (answer.text, answer.headers["x-celadon-revision"]) == ("green", GREEN)
                assert answer.headers["x-request-id"]
                open_preview = asyncio.get_running_loop().create_task(client.get(f"{preview}/slow/1.5"))
                await eventually(lambda: green.open_answers == 1)
                await client.get("/who")
                await eventually(
                    lambda: (
                        sum(
                            c.requests
                            for c in world.router.samples(wish.service, began.cursor_to).value.counts
                        )
                        == 1
                    )
                )
                assert green.address in world.facts(wish).drained
                await open_preview
                without = await world.serve(world.wish("fraud", both, {BLUE: FULL}, route))
                assert (await client.get(f"{preview}/who")).status_code == 503
            counts = world.router.samples(without.service, began.cursor_to).value.counts
            assert {c.revision: c.requests for c in counts} == {BLUE: 1, GREEN: 0}

    asyncio.run(story())


def test_a_replica_with_an_open_answer_is_never_forgotten_while_its_service_is_dropped():
    """Not between the confirmation and the next look, and not by a daemon that comes back meanwhile."""

    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            wish = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}))
            seen = []

            async def lead():
                await world.router.close(stop_proxy=False)
                world.router = EnvoyRouter(
                    world.home, lambda _: seen.append(world.router.observe(wish.service))
                )
                await world.router.start()
                seen.append(world.router.observe(wish.service))

            async with caller(wish) as client:
                await lead()
                await eventually(lambda: world.facts(wish).confirmed)
                stream = asyncio.get_running_loop().create_task(client.get("/stream/1"))
                await eventually(lambda: blue.open_answers == 1)
                world.router.drop(wish.service)
                await eventually(lambda: world.serves_nothing(wish))
                await lead()
                assert (await stream).text.endswith("end")
            await eventually(lambda: blue.address in world.facts(wish).drained)
            for facts in (one.value for one in seen if isinstance(one, Known)):
                wishes = [wanted for wanted in (facts.confirmed, facts.pending) if wanted is not None]
                points = {e.address for wanted in wishes for _, es in wanted.endpoints for e in es}
                assert blue.address in points | set(facts.unrouted) | facts.drained, facts

    asyncio.run(story())


def test_a_dropped_service_finishes_what_it_has_and_leaves_its_port():
    async def story():
        async with running() as world:
            blue = await world.upstream("blue")
            wish = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}))
            async with caller(wish) as client:
                stream = asyncio.get_running_loop().create_task(client.get("/stream/1"))
                await eventually(lambda: blue.open_answers == 1)
                world.router.drop(wish.service)
                await eventually(lambda: world.serves_nothing(wish))
                assert blue.address not in world.facts(wish).drained
                assert (await stream).text.endswith("end")
            await eventually(lambda: blue.address in world.facts(wish).drained)
            await eventually(lambda: len(list((world.home / "xds").glob("*.json"))) == 2)
            route = wish.route
            again = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}, route))
            async with caller(again) as client:
                assert (await client.get("/who")).text == "blue"

    asyncio.run(story())


def test_files_that_envoy_could_not_follow_are_refused_before_it_is_told_of_them(monkeypatch):
    """Envoy would abort, again after every start. The limit is the user's, so that a test must not use it up."""

    async def story():
        async with running() as world:
            blue, green = await world.upstream("blue"), await world.upstream("green")
            route = route_spec()
            before = await world.serve(world.wish("fraud", {BLUE: [blue]}, {BLUE: FULL}, route))
            asked = []
            monkeypatch.setattr(
                move, "lacking", lambda files: asked.append(files) or ("too few" if files else None)
            )
            assert (
                await refused(world, world.wish("new", {BLUE: [blue]}, {BLUE: FULL}, route_spec()))
                == "too few"
            )
            both = {BLUE: [blue], GREEN: [green]}
            assert await refused(world, world.wish("fraud", both, {BLUE: FULL}, route)) == "too few"
            assert set(asked) == {3, 1}
            assert world.facts(before).confirmed == before
            async with caller(before) as client:
                assert (await client.get("/who")).text == "blue"

    asyncio.run(story())


def test_what_envoy_needs_to_follow_files_is_counted_by_the_kernel():
    """A process that may open few files gets as few inotify instances as a user who has used up his."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32));"
        "from celadon.traffic.envoy.watchers import lacking; print(lacking(0), lacking(4)); print(lacking(40))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    enough, too_few = ran.stdout.splitlines()
    assert enough == "None None"
    assert too_few.startswith(
        "Envoy can not follow 40 more files: this machine gives all programs of one user "
    )
    assert "sysctl -w fs.inotify.max_user_instances" in too_few


def test_a_missing_envoy_is_a_fault_that_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(proxy, "PACKAGE", "no-such-package-of-celadon")
    router = EnvoyRouter(tmp_path, lambda _, __: None)

    async def story():
        with pytest.raises(LastingFault, match="pip install"):
            await router.start()
        await router.close(stop_proxy=False)

    asyncio.run(story())


def test_a_service_that_was_never_set_serves_nothing():
    async def story():
        async with running() as world:
            facts = world.facts(ServiceKey(name="nobody"))
            assert facts.confirmed is None
            assert free_port()

    asyncio.run(story())
