"""Copies are told as copies of the route that they were made under, or not at all."""

from dataclasses import replace

from celadon.domain.draw import Condition, Draw, Match, Where
from celadon.domain.goal import Mirror, Part, Route, Stamp, Wanted
from celadon.domain.names import RevisionId, ServiceKey
from celadon.domain.plan import FULL
from celadon.domain.spec import Retry, RetryWhen, RouteSpec
from celadon.traffic.envoy.copies import Copied, compare, who_is_copied
from celadon.traffic.envoy.stats import Reading, Tally

GREEN, BLUE = RevisionId("a" * 12), RevisionId("b" * 12)
NONE, HALF, ALL = (Copied(GREEN, 0, mirror) for mirror in (0, FULL // 2, FULL))


def look(now, since, *, copies, errors=0, requests=0, source="envoy:1"):
    tallies = {GREEN: Tally(copies=copies, copy_errors=errors), BLUE: Tally(requests=requests)}
    return compare(Reading(source=source, taken_at=7.5, tallies={}), tallies, now, since)


def counted(found):
    return [(a.mirror, a.requests, a.errors) for a in found.answers]


def test_nothing_is_told_of_what_came_before_the_first_look():
    first = look(ALL, "", copies=50, errors=9)
    assert counted(first) == []
    then = look(ALL, first.position, copies=53, errors=10)
    assert counted(then) == [(FULL, 3, 1)]
    assert (then.answers[0].mirrored, then.answers[0].at_s, then.answers[0].revision) == (True, 7, GREEN)
    assert counted(look(ALL, then.position, copies=53, errors=10)) == []


def test_where_copying_begins_or_ends_between_two_looks_the_copies_are_of_the_route_that_copied():
    before = look(NONE, "", copies=0)
    begun = look(HALF, before.position, copies=4)
    assert counted(begun) == [(FULL // 2, 4, 0)]
    ended = look(NONE, begun.position, copies=6)
    assert counted(ended) == [(FULL // 2, 2, 0)]
    late = look(NONE, ended.position, copies=7)
    assert counted(late) == [(FULL // 2, 1, 0)]


def test_where_one_way_of_copying_gives_way_to_another_nothing_is_told():
    first = look(HALF, "", copies=0)
    changed = look(ALL, first.position, copies=9)
    assert counted(changed) == []
    assert counted(look(ALL, changed.position, copies=10)) == [(FULL, 1, 0)]


def test_another_run_of_envoy_begins_anew():
    first = look(ALL, "", copies=10)
    assert counted(look(ALL, first.position, copies=30, source="envoy:2")) == []
    assert counted(look(ALL, first.position, copies=5)) == []


def test_errors_are_never_more_than_copies():
    first = look(ALL, "", copies=0)
    assert counted(look(ALL, first.position, copies=1, errors=2)) == [(FULL, 1, 1)]


def test_copies_that_do_not_come_are_missed_and_those_that_chance_spares_are_not():
    first = look(HALF, "", copies=0)
    assert look(HALF, first.position, copies=9_900, requests=20_000).lacking == 0
    assert look(HALF, first.position, copies=8_000, requests=20_000).lacking == 2_000
    assert look(replace(HALF, whole=False), first.position, copies=10, requests=20_000).lacking == 0


def wanted(*routes):
    return Wanted(
        service=ServiceKey(name="fraud"),
        stamp=Stamp(epoch=1, seq=1),
        route=RouteSpec(port=8080, preview_port=9000, retry=Retry(when=RetryWhen.NEVER)),
        routes=routes,
        endpoints=(),
        preview=None,
        ready=(),
    )


def route(mirror, share=0, draw=Draw(green=GREEN, salt="s"), match=Match()):  # noqa: B008 -- values are frozen
    split = tuple(Part(revision=r, share=s) for r, s in ((GREEN, share), (BLUE, FULL - share)) if s)
    mirrors = (Mirror(revision=GREEN, share=mirror),) if mirror else ()
    return Route(match=match, split=split, mirrors=mirrors, draw=draw)


def test_only_one_way_of_copying_at_a_time_can_be_told():
    beta = Match(conditions=(Condition(where=Where.COOKIE, name="beta"),))
    assert who_is_copied(None) is None
    assert who_is_copied(wanted(route(0, draw=None))) is None
    assert who_is_copied(wanted(route(0, 500))) == Copied(GREEN, 500, 0)
    assert who_is_copied(wanted(route(3000, 500))) == Copied(GREEN, 500, 3000)
    frozen = Draw(green=GREEN, salt="s", frozen=True)
    assert who_is_copied(wanted(route(3000, 500, frozen))) == Copied(GREEN, 0, 3000)
    some = who_is_copied(wanted(route(3000, match=beta), route(0, draw=None)))
    assert some == Copied(GREEN, 0, 3000, whole=False)
    assert who_is_copied(wanted(route(3000, match=beta), route(1000))) is None
