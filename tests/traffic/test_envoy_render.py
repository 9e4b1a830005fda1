"""Laws of the pure half: what is rendered is exact, whole and the same every time."""

import asyncio
import json
import re
import tempfile
from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from celadon.domain.draw import Condition, Draw, Match, StickyCookie, StickyHeader, Where
from celadon.domain.goal import Arm, Endpoint, Mirror, Part, Route, Stamp, Wanted
from celadon.domain.names import Address, RevisionId, ServiceKey
from celadon.domain.plan import FULL
from celadon.domain.samples import Counts
from celadon.domain.spec import Retry, RetryWhen, RouteSpec
from celadon.traffic.envoy import drain, render, stats, track
from celadon.traffic.envoy.admin import Host
from celadon.traffic.envoy.draws import cookie as cookie_for
from celadon.traffic.envoy.draws import ways
from celadon.traffic.envoy.files import XdsFolder
from celadon.traffic.envoy.plane import Plane
from celadon.traffic.envoy.proof import needs_proof, reason
from celadon.traffic.envoy.routes import route_table
from celadon.traffic.envoy.snapshot import Claim, clash, cluster_name, clusters_of, fold
from celadon.traffic.envoy.words import Paths

PATHS = Paths(xds=Path("/home/xds"), access_log=Path("/home/log"), admin_socket=Path("/home/admin"))
NEVER = Retry(when=RetryWhen.NEVER)
REVISIONS = [RevisionId(digit * 12) for digit in "abc"]

addresses = st.builds(Address, host=st.just("127.0.0.1"), port=st.integers(1024, 1030))
endpoint_sets = st.dictionaries(addresses, st.booleans(), max_size=4).map(
    lambda found: tuple(Endpoint(address=a, draining=d) for a, d in found.items())
)


@st.composite
def splits(draw):
    cuts = sorted(draw(st.lists(st.integers(0, FULL), min_size=3, max_size=3)))
    shares = [cuts[0], cuts[1] - cuts[0], cuts[2] - cuts[1]]
    parts = [Part(revision=r, share=s) for r, s in zip(REVISIONS, shares, strict=True)]
    return (*parts, Part(revision=REVISIONS[0], arm=Arm.CONTROL, share=FULL - cuts[2]))


conditions = st.builds(
    Condition,
    where=st.sampled_from(list(Where)),
    name=st.sampled_from(["x-tier", "group"]),
    values=st.lists(st.text(), max_size=2).map(tuple),
)
matches = st.builds(
    Match, headers=st.just((("x-tester", "yes"),)), conditions=st.lists(conditions, max_size=2).map(tuple)
)
ramps = st.lists(st.integers(0, FULL), min_size=1, max_size=5).map(lambda shares: tuple(sorted(shares)))
draws = st.none() | st.builds(
    lambda shares, **more: Draw(stage=len(shares) - 1, shares=shares, **more),
    shares=ramps,
    green=st.sampled_from(REVISIONS),
    salt=st.text(min_size=1),
    sticky=st.sampled_from([None, StickyHeader(header="x-user"), StickyCookie()]),
    frozen=st.booleans(),
    group=st.sampled_from(["", "x-team"]),
)
copies = st.lists(
    st.builds(Mirror, revision=st.sampled_from(REVISIONS), share=st.integers(0, FULL)), max_size=2
).map(tuple)


@st.composite
def wishes(draw, names=("fraud", "ranker", "search")):
    number = draw(st.integers(0, len(names) - 1))
    route = RouteSpec(
        port=draw(st.sampled_from([8080, 8081])),
        hostnames=draw(st.sampled_from([("*",), ("a.test",), ("*.test", "b.test")])),
        prefix=f"/{names[number]}",
        preview_port=9000 + number,
        timeout_s=draw(st.none() | st.floats(0.001, 100)),
        retry=Retry(when=draw(st.sampled_from(list(RetryWhen)))),
    )
    matched = Route(match=draw(matches), split=draw(splits()), mirrors=draw(copies), draw=draw(draws))
    return Wanted(
        service=ServiceKey(name=names[number]),
        stamp=Stamp(epoch=1, seq=draw(st.integers(1, 9))),
        route=route,
        routes=(*([matched] if draw(st.booleans()) else []), Route(split=draw(splits()), draw=draw(draws))),
        endpoints=tuple((r, draw(endpoint_sets)) for r in REVISIONS),
        preview=draw(st.sampled_from([None, *REVISIONS])),
        ready=tuple((r, "/ready") for r in REVISIONS),
        controls=draw(st.just(()) | st.tuples(st.tuples(st.just(REVISIONS[0]), endpoint_sets))),
    )


def claims_of(wanted):
    return Claim(wanted=wanted, clusters=clusters_of(wanted))


worlds = st.lists(wishes(), max_size=3, unique_by=lambda w: w.service).map(
    lambda ws: [claims_of(w) for w in ws]
)


@settings(deadline=None)
@given(worlds)
def test_every_cluster_that_a_route_names_is_there_and_shares_are_exact(claims):
    snapshot = fold(claims)
    there = {cluster.name for cluster in snapshot.clusters}
    for table in snapshot.tables:
        for host in route_table(table)["virtual_hosts"]:
            for route in host["routes"]:
                if "route" in route:
                    parts = route["route"]["weighted_clusters"]["clusters"]
                    by_cookie = "typed_per_filter_config" in route
                    assert by_cookie or sum(part["weight"] for part in parts) == FULL
                    assert parts
                    assert all(part["weight"] > 0 and part["name"] in there for part in parts)
                    assert all(
                        m["cluster"] in there for m in route["route"].get("request_mirror_policies", ())
                    )


@settings(deadline=None)
@given(wishes(("fraud",)))
def test_what_is_routed_to_is_what_is_drained_and_waited_for(wanted):
    rules = [rule for table in fold([claims_of(wanted)]).tables if not table.preview for rule in table.rules]
    named = {target.cluster for rule in rules for target in (*rule.split, *rule.mirrors)}
    assert track.routed(wanted) == named
    assert {name for name, _ in track.serving(wanted)} <= named


@settings(max_examples=50, deadline=None)
@given(ramps, st.data())
def test_by_cookie_every_stage_has_its_share_exactly_whichever_stages_a_caller_saw(shares, data):
    """Exact chances of a caller's cookie, carried through some of the stages."""
    seen = data.draw(st.lists(st.sampled_from(range(len(shares))), unique=True).map(sorted))
    kept = {"theme=dark": Fraction(1)}
    for stage in seen:
        after = defaultdict(Fraction)
        for cookie, chance in kept.items():
            for side, given_cookie, part in next_visit(shares[: stage + 1], cookie):
                if ".g." in cookie:
                    assert side == REVISIONS[1]
                after[given_cookie or cookie] += chance * part
        kept = after
        on_green = sum(chance for cookie, chance in kept.items() if ".g." in cookie)
        assert on_green == Fraction(shares[stage], FULL)


def next_visit(shares, kept):
    """Who may answer a caller with this cookie, what it is given, and with what chance."""
    drawn = Draw(
        green=REVISIONS[1], salt="fraud/1", sticky=StickyCookie(), stage=len(shares) - 1, shares=shares
    )
    parts = (
        Part(revision=REVISIONS[0], share=FULL - shares[-1]),
        Part(revision=REVISIONS[1], share=shares[-1]),
    )
    wish = replace(
        _wish("fraud", RouteSpec(port=1, preview_port=2, retry=NEVER)),
        routes=(Route(split=parts, draw=drawn),),
    )
    (rule,) = fold([claims_of(wish)]).tables[0].rules
    way = next(w for w in ways(rule) if w.cookie is None or re.fullmatch(w.cookie, kept))
    whole = sum(target.share for target in way.split)
    for target in way.split:
        told = cookie_for(rule, way, target, "0" * 36)
        yield target.revision, told and told.partition(";")[0], Fraction(target.share, whole)


@given(wishes(("fraud",)), st.data())
def test_a_freeze_a_stage_and_copies_that_were_prepared_need_no_proof(before, data):
    moved = tuple(
        replace(
            r,
            split=data.draw(splits()),
            mirrors=tuple(Mirror(revision=p.revision, share=FULL) for p in r.split[:2])
            if r.draw
            else r.mirrors,
            draw=r.draw and replace(r.draw, frozen=not r.draw.frozen, stage=0),
        )
        for r in before.routes
    )
    assert not needs_proof(before, replace(before, routes=moved))
    odd = Route(match=Match(headers=(("x-new", "yes"),)), split=moved[0].split)
    assert needs_proof(before, replace(before, routes=(odd, *moved)))


@settings(deadline=None)
@given(worlds, st.randoms())
def test_the_order_of_the_services_changes_no_byte(claims, random):
    shuffled = list(claims)
    random.shuffle(shuffled)
    first, second = ([(p.file, p.make()) for p in render.parts(fold(c), PATHS)] for c in (claims, shuffled))
    assert json.dumps(first) == json.dumps(second)


@settings(deadline=None)
@given(worlds)
def test_each_listener_has_one_table_and_each_hostname_one_virtual_host(claims):
    snapshot = fold(claims)
    assert len({table.address for table in snapshot.tables}) == len(snapshot.tables)
    for table in snapshot.tables:
        domains = [d for host in route_table(table)["virtual_hosts"] for d in host["domains"]]
        assert len(domains) == len(set(domains))
        assert route_table(table)["validate_clusters"] is True


@settings(max_examples=15, deadline=None)
@given(worlds)
def test_the_static_rendering_is_plain_yaml_without_subscriptions(claims):
    whole = render.static(fold(claims), "/dev/stdout")
    text = yaml.safe_dump(whole)
    assert yaml.safe_load(text) == whole
    assert "path_config_source" not in text


@settings(max_examples=25, deadline=None)
@given(worlds)
def test_what_is_written_once_is_not_written_again(claims):
    with tempfile.TemporaryDirectory() as home:
        folder = XdsFolder(Path(home) / "xds")
        folder.load()
        parts = render.parts(fold(claims), PATHS)
        folder.write(folder.changed(parts))
        assert folder.changed(parts) == {}
        reopened = XdsFolder(folder.folder)
        reopened.load()
        assert reopened.changed(parts) == {}


@settings(deadline=None)
@given(wishes(("fraud",)), wishes(("fraud",)))
def test_making_comes_before_breaking(before, after):
    old = clusters_of(before)
    prepared = track.prepared(old, after)
    serving = {(c.name, e.address) for c in prepared for e in c.endpoints if not e.draining}
    assert serving >= track.serving(before) | track.serving(after)
    leaving = track.leaving(prepared, after)
    kept = {(c.name, e.address) for c in track.settled(after, leaving) for e in c.endpoints}
    assert kept >= {(c.name, e.address) for c in prepared for e in c.endpoints}
    assert all(e.draining for c in leaving for e in c.endpoints)
    names = [c.name for c in track.settled(after, leaving)]
    assert len(names) == len(set(names))


@settings(deadline=None)
@given(wishes(("fraud",)), splits(), endpoint_sets)
def test_shares_and_replicas_alone_need_no_proof(before, split, points):
    after = replace(
        before,
        routes=tuple(replace(r, split=split) for r in before.routes),
        endpoints=tuple((r, points) for r, _ in before.endpoints),
        controls=tuple((r, points) for r, _ in before.controls),
    )
    assert not needs_proof(before, after)
    assert needs_proof(None, after)
    assert not needs_proof(before, replace(after, routes=(Route(split=split),), controls=(), preview=None))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 50), st.integers(0, 50), st.lists(st.integers(0, 20), min_size=3, max_size=3)
        )
    )
)
def test_samples_joined_end_to_end_are_the_samples_of_the_whole(steps):
    service, revision = ServiceKey(name="fraud"), REVISIONS[0]
    total, cursor, first = stats.Tally(latency={100: 0, 1000: 0, 10_000: 0}), (), ()
    requests = errors = last = 0
    for good, bad, spread in [(0, 0, [0, 0, 0]), *steps]:
        rise = [sum(spread[: i + 1]) for i in range(3)]
        total = stats.Tally(
            requests=total.requests + good + bad,
            errors=total.errors + bad,
            latency={b: n + r for (b, n), r in zip(total.latency.items(), rise, strict=True)},
        )
        reading = stats.Reading(source="envoy:1:2", taken_at=0.0, tallies={service: {revision: total}})
        found = stats.samples([reading], service, [revision], cursor)
        cursor, first = found.cursor_to, first or found.cursor_to
        requests += found.counts[0].requests
        errors += found.counts[0].errors
        last += found.counts[0].latency[-1][1] if found.counts[0].latency else 0
        assert found.complete
    whole = stats.samples([reading], service, [revision], first)
    assert (whole.counts[0].requests, whole.counts[0].errors) == (requests, errors)
    assert whole.counts[0].latency[-1][1] == last


def test_samples_after_a_restart_are_all_that_is_known_and_say_so():
    service, revision = ServiceKey(name="fraud"), REVISIONS[0]
    tally = stats.Tally(requests=3, errors=1)
    reading = stats.Reading(source="envoy:2", taken_at=0.0, tallies={service: {revision: tally}})
    found = stats.samples([reading], service, [revision], (("envoy:1", '{"aaaaaaaaaaaa":[9,9,[]]}'),))
    assert found.counts == (Counts(revision=revision, requests=3, errors=1),)
    assert not found.complete
    assert stats.samples([reading], service, [revision], found.cursor_to).complete


def test_a_revision_that_only_had_copies_may_be_forgotten_and_nothing_is_counted_twice():
    service, (blue, green) = ServiceKey(name="fraud"), REVISIONS[:2]

    def read(**tallies):
        return stats.Reading(source="envoy:1", taken_at=0.0, tallies={service: tallies})

    shadowed = read(**{blue: stats.Tally(requests=900, errors=3), green: stats.Tally(copies=800)})
    cursor = stats.samples([shadowed], service, [blue, green], ()).cursor_to
    found = stats.samples([read(**{blue: stats.Tally(requests=907, errors=3)})], service, [blue], cursor)
    assert found.complete
    assert found.counts == (Counts(revision=blue, requests=7, errors=0),)


@pytest.mark.parametrize(("after_s", "complete"), [(60.0, True), (3_600.0, False)], ids=["soon", "late"])
def test_a_counter_that_fell_was_forgotten_and_only_a_young_cursor_knew_all_of_it(after_s, complete):
    service, blue = ServiceKey(name="fraud"), REVISIONS[0]

    def seen(at, **counted):
        tallies = {service: {blue: stats.Tally(**counted)}} if counted else {}
        return [stats.Reading(source="envoy:1", taken_at=at, tallies=tallies)]

    began = seen(1e6, requests=9, errors=4, latency={10: 2, 100: 9})
    cursor = stats.samples(began, service, [blue], ()).cursor_to
    gone = stats.samples(seen(1e6 + after_s), service, [blue], cursor)
    assert (gone.counts, gone.complete) == ((Counts(revision=blue),), complete)
    again = seen(1e6 + after_s, requests=11, errors=1, latency={10: 1, 100: 2})
    found = stats.samples(again, service, [blue], cursor)
    latency = ((0.01, 1), (0.1, 2))
    assert found.counts == (Counts(revision=blue, requests=2, errors=1, latency=latency),)
    assert found.complete is complete


FRAUD = ServiceKey(name="fraud")


def shown(source, at=1e6, **stats_by_cluster):
    """What the admin interface shows: of each cluster of a service so many requests."""
    found = {
        f"celadon.requests.cluster.{cluster_name(FRAUD, RevisionId(c))}": {"value": n}
        for c, n in stats_by_cluster.items()
    }
    return stats.read(found, source, at)


def test_a_control_arm_that_envoy_forgot_costs_its_revision_no_request_and_doubles_none():
    blue = REVISIONS[0]
    cursor = stats.samples(
        [shown("envoy:1", **{blue: 5000, f"{blue}-control": 1000})], FRAUD, [blue], ()
    ).cursor_to
    found = stats.samples([shown("envoy:1", **{blue: 5007})], FRAUD, [blue], cursor)
    assert (found.counts, found.complete) == ((Counts(revision=blue, requests=7, errors=0),), True)
    again = stats.samples(
        [shown("envoy:1", **{blue: 5007, f"{blue}-control": 2})], FRAUD, [blue], found.cursor_to
    )
    assert again.counts == (Counts(revision=blue, requests=2, errors=0),)


def test_a_cursor_from_before_envoy_forgot_anything_has_both_arms_as_one():
    blue = REVISIONS[0]
    cursor = (("envoy:1", json.dumps({blue: [6000, 0, []]})),)
    found = stats.samples([shown("envoy:1", **{blue: 5007, f"{blue}-control": 1001})], FRAUD, [blue], cursor)
    assert (found.counts, found.complete) == ((Counts(revision=blue, requests=8, errors=0),), True)


def test_what_one_of_two_envoys_forgot_makes_no_request_that_the_log_lacks():
    blue = REVISIONS[0]
    before = [shown("envoy:1", **{blue: 5000, f"{blue}-control": 1000}), shown("envoy:2", **{blue: 500})]
    after = [shown("envoy:1", **{blue: 5007}), shown("envoy:2")]
    assert stats.requests(before, after, FRAUD) == 7


def test_a_cursor_from_the_future_is_not_young():
    """The clock was set back: how long ago the cursor was read is not known."""
    blue = REVISIONS[0]
    cursor = stats.samples([shown("envoy:1", at=1e6, **{blue: 9})], FRAUD, [blue], ()).cursor_to
    assert stats.samples([shown("envoy:1", at=1e6 - 3_600, **{blue: 11})], FRAUD, [blue], cursor).complete
    assert not stats.samples([shown("envoy:1", at=1e6 - 3_600, **{blue: 2})], FRAUD, [blue], cursor).complete


def test_what_is_routed_no_more_may_be_forgotten_while_the_daemon_is_away():
    gone, blue = REVISIONS[:2]
    cursor = stats.samples([shown("envoy:1", **{gone: 900, blue: 5})], FRAUD, [blue], ()).cursor_to
    found = stats.samples([shown("envoy:1", at=1e6 + 3_600, **{blue: 8})], FRAUD, [blue], cursor)
    assert (found.counts, found.complete) == ((Counts(revision=blue, requests=3, errors=0),), True)


def test_drained_takes_two_looks_apart_and_an_unmoved_counter():
    watch, here = drain.DrainWatch(), Address(host="127.0.0.1", port=1)

    def see(at, active=0, requests=5):
        watch.look({"c": {here: Host(healthy=True, draining=True, active=active, requests=requests)}}, at)
        return watch.quiet("c", here)

    assert not see(0.0)
    assert not see(0.1)
    assert see(0.25)
    assert not see(0.3, active=1)
    assert not see(0.4)
    assert not see(0.7, requests=6)
    assert see(0.95, requests=6)
    watch.forget(["c"])
    assert not watch.quiet("c", here)


def test_what_was_in_flight_in_a_cluster_that_was_made_anew_is_never_taken_for_drained():
    watch, here = drain.DrainWatch(), Address(host="127.0.0.1", port=1)

    def see(at, requests):
        watch.look({"c": {here: Host(healthy=True, draining=True, active=0, requests=requests)}}, at)
        return watch.quiet("c", here)

    see(0.0, requests=5)
    assert see(0.5, requests=5)
    assert not any(see(at, requests=0) for at in (1.0, 1.5, 9.0))
    watch.forget_all(ended=False)
    assert not any(see(at, requests=0) for at in (10.0, 10.5))
    watch.forget_all(ended=True)
    assert not see(11.0, requests=0)
    assert see(11.5, requests=0)


def test_two_services_may_share_a_listener_but_no_request():
    spec = {"retry": Retry(when=RetryWhen.NEVER), "port": 8080}
    one = _wish("one", RouteSpec(preview_port=9000, **spec))
    assert clash(one, [one]) is None
    assert "already belongs" in clash(_wish("two", RouteSpec(preview_port=9001, **spec)), [one])
    beside = RouteSpec(preview_port=9001, prefix="/two", **spec)
    assert clash(_wish("two", beside), [one]) is None
    assert "port 9000" in clash(_wish("two", RouteSpec(preview_port=9000, prefix="/two", **spec)), [one])


def test_the_reason_is_envoys_own_sentence():
    log = "[2026-01-01 00:00:00.000][1][critical][main] [source/server/server.cc:1] error initializing configuration 'x': route: unknown cluster 'a'\n"
    assert reason(log) == "route: unknown cluster 'a'"


def _wish(name, route):
    revision = REVISIONS[0]
    return Wanted(
        service=ServiceKey(name=name),
        stamp=Stamp(epoch=1, seq=1),
        route=route,
        routes=(Route(split=(Part(revision=revision, share=FULL),)),),
        endpoints=((revision, ()),),
        preview=None,
        ready=(),
    )


def test_a_daemon_that_died_before_the_routes_were_written_drains_nobody_too_early(tmp_path):
    here = {r: (Endpoint(address=Address(host="127.0.0.1", port=1000 + i)),) for i, r in enumerate(REVISIONS)}
    route = RouteSpec(port=8080, preview_port=9000, retry=Retry(when=RetryWhen.NEVER))
    blue, green = (
        replace(_wish("one", route), endpoints=((r, here[r]),), routes=_all(r)) for r in REVISIONS[:2]
    )

    async def story():
        first = Plane(tmp_path)
        first.open(same_boot=True)
        moving = track.Track(
            kept=track.Kept(service=blue.service, published=blue), clusters=clusters_of(blue)
        )
        first.tracks[blue.service] = moving
        first.keep(moving)
        moving.clusters = track.prepared(moving.clusters, green)
        await first.publish()
        leaving = track.leaving(moving.clusters, green)
        moving.kept = replace(moving.kept, published=green, leaving=leaving)
        first.keep(moving)
        # Here the daemon dies: it is remembered that green serves, but Envoy's routes still say blue.
        first._write(first._unkept, {})
        return await _drained_after_start(tmp_path), await _drained_after_start(tmp_path)

    before, after = asyncio.run(story())
    assert before == set()
    assert after == {1000}


async def _drained_after_start(home):
    plane = Plane(home)
    plane.open(same_boot=True)
    await plane.publish()
    return {
        point["endpoint"]["address"]["socket_address"]["port_value"]
        for file in (home / "xds").glob("endpoints.*.json")
        for places in json.loads(file.read_text())["resources"][0]["endpoints"]
        for point in places["lb_endpoints"]
        if point["health_status"] == "DRAINING"
    }


def _all(revision):
    return (Route(split=(Part(revision=revision, share=FULL),)),)
