"""What several Envoys count, see and log, taken together."""

import asyncio
import json
import os
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from celadon.domain.draw import Draw, StickyHeader
from celadon.domain.names import Address, RevisionId, ServiceKey
from celadon.traffic.envoy import launcher, stats
from celadon.traffic.envoy.admin import Host
from celadon.traffic.envoy.ears import Ears, Written
from celadon.traffic.envoy.heard import Position, position
from celadon.traffic.envoy.proxy import Identity
from celadon.traffic.envoy.seats import Seat, Seats, together
from celadon.traffic.envoy.tail import Place, RequestLog
from celadon.traffic.envoy.words import Paths

SERVICE, GREEN = ServiceKey(name="fraud"), RevisionId("a" * 12)
HERE = Address(host="127.0.0.1", port=1)


def reading(source, requests, errors=0):
    tally = stats.Tally(requests=requests, errors=errors, latency={1000: requests - errors})
    return stats.Reading(source=f"envoy:{source}", taken_at=0.0, tallies={SERVICE: {GREEN: tally}})


def samples(readings, since=(), ended=()):
    return stats.samples(readings, SERVICE, [GREEN], since, ended)


def requests(found):
    return found.counts[0].requests


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5)), max_size=20))
def test_counts_of_two_add_up_however_they_are_asked_for(steps):
    counted = Counter({"a": 3, "b": 4})

    def read():
        return [reading(name, counted[name], counted[name] // 2) for name in "ab"]

    cursor, total, before = samples(read()).cursor_to, 0, sum(counted.values())
    for name, more in steps:
        counted[name] += more
        found = samples(read(), cursor)
        cursor, total = found.cursor_to, total + requests(found)
        assert found.complete
    assert total == sum(counted.values()) - before


def test_a_run_that_was_killed_is_incomplete_once_and_the_other_goes_on():
    cursor = samples([reading("a", 5), reading("b", 7)]).cursor_to
    alone = samples([reading("a", 6)], cursor)
    assert (requests(alone), alone.complete) == (1, False)
    back = samples([reading("a", 6), reading("b2", 2)], alone.cursor_to)
    assert (requests(back), back.complete) == (2, True)


def test_one_that_comes_counts_from_its_start_and_one_that_left_in_order_to_its_end():
    cursor = samples([reading("a", 5)]).cursor_to
    both = samples([reading("a", 6), reading("b", 2)], cursor)
    assert (requests(both), both.complete) == (3, True)
    last = [reading("b", 9)]
    # It has left, but the last look still has it: what it counted since comes with the next.
    early = samples([reading("a", 6), reading("b", 2)], both.cursor_to, last)
    assert (requests(early), early.complete) == (0, True)
    left = samples([reading("a", 6)], early.cursor_to, last)
    assert (requests(left), left.complete) == (7, True)
    after = samples([reading("a", 8)], left.cursor_to, last)
    assert (requests(after), after.complete) == (2, True)


def test_a_cursor_of_one_envoy_is_read_as_before():
    found = samples(
        [reading("a", 6)], (("envoy:a", f'{{"{GREEN}":[5,0,[[1000,5]]]}}'), ("log", "1:2:3:0:0:"))
    )
    assert (requests(found), found.complete) == (1, True)


def test_a_replica_is_well_only_when_all_see_it_well():
    well = Host(healthy=True, draining=False, active=1, requests=5)
    ill = Host(healthy=False, pending=True, draining=False, active=0, requests=2)
    seen = together([{"c": {HERE: well}, "warming": {}}, {"c": {HERE: ill}}])
    assert seen == {"c": {HERE: Host(healthy=False, pending=True, draining=False, active=1, requests=7)}}


class Started:
    """A launcher of which all is known that its file says; its Envoy is our own process, so that it lives."""

    def identity(self):
        me = os.getpid()
        ours = {"pid": me, "started": launcher.start_time(me), "boot": launcher.boot_id()}
        return Identity(**ours, launcher_pid=me, launcher_started="", starts=1, last_exit="")


def test_one_that_has_not_answered_yet_is_not_counted_as_one_that_serves(tmp_path):
    paths = Paths(xds=tmp_path, access_log=tmp_path / "log", admin_socket=tmp_path / "admin.sock")
    seat = Seat(paths=paths, proxy=Started(), admin=None)
    who = seat.alive()
    assert Seats([seat]).runs() == ()
    seat.met = who.source
    assert Seats([seat]).runs() == ((os.getpid(), who.started),)


@given(
    st.lists(st.builds(Place, *[st.integers(0, 10**6)] * 3), min_size=1, max_size=3),
    st.integers(0, 10**10),
    st.integers(0, 9),
    st.text(),
)
def test_a_position_is_read_as_it_was_written(places, second, marks, salt):
    whole = Position(tuple(places), second, marks, salt)
    assert position(str(whole)) == whole


def line(number, at_s, unit):
    return json.dumps(
        {
            "end": str(at_s),
            "id": f"id-{number}",
            "cluster": f"default/fraud/{GREEN}",
            "status": 200,
            "ms": 1,
            "us": 1000,
            "flags": "-",
            "share": "500",
            "unit": unit,
            "group": None,
            "mirror": 0,
        },
        separators=(",", ":"),
    ).encode()


class Home:
    """One daemon after another over the logs of Envoys that write, come and go."""

    def __init__(self, folder, logs):
        self.folder, self.kept, self.units, self.complete = folder, "", 0, []
        self.come_back(logs)
        self.kept = self.ears.told(SERVICE, "").end
        self.ask()

    def path(self, number):
        return self.folder / f"{number}.log"

    def come_back(self, logs):
        written = [Written(log=RequestLog(self.path(n)), reopen=self.reopen) for n in range(logs)]
        draw = Draw(green=GREEN, salt="release-1", sticky=StickyHeader(header="x-user"))
        self.ears = Ears(written, self.folder / "units", lambda _: draw, None, lambda _: None)
        self.ears.open()

    async def reopen(self):
        """Nothing is put aside here."""

    def write(self, number, *lines):
        with self.path(number).open("ab") as file:
            file.write(b"".join(one + b"\n" for one in lines))

    def ask(self):
        told = self.ears.told(SERVICE, self.kept)
        self.kept = told.end
        self.complete.append(told.complete)
        self.units += sum(one.units for one in told.answers)
        return [(one.at_s, one.units) for one in told.answers]

    def hear(self):
        assert self.ask() == []
        while asyncio.run(self.ears.turn()):
            pass
        return self.ask()


def test_a_unit_counts_once_whichever_envoy_it_meets_and_seconds_are_in_order(tmp_path):
    home = Home(tmp_path, 2)
    home.write(0, line(1, 100, "ann"), line(2, 104, "bob"))
    home.write(1, line(3, 101, "ann"), line(4, 102, "cid"))
    assert home.hear() == [(100, 1), (101, 0), (102, 1), (104, 1)]
    home.come_back(2)
    home.write(1, line(5, 105, "bob"), line(6, 105, "dan"))
    assert home.hear() == [(105, 1)]
    assert all(home.complete)


def test_a_log_that_comes_is_heard_from_its_beginning_and_one_that_goes_to_its_end(tmp_path):
    home = Home(tmp_path, 1)
    home.write(0, line(1, 100, "ann"))
    assert home.hear() == [(100, 1)]
    home.come_back(2)
    home.write(1, line(2, 101, "bob"))
    assert home.hear() == [(101, 1)]

    async def ends():
        home.write(1, line(3, 102, "cid"))
        ending = asyncio.get_running_loop().create_task(home.ears.end(1))
        while not ending.done():
            await home.ears.turn()

    asyncio.run(ends())
    assert home.ask() == [(102, 1)]
    home.path(1).unlink()
    home.write(0, line(4, 103, "dan"))
    assert home.hear() == [(103, 1)]
    home.come_back(1)
    home.write(0, line(5, 104, "eve"))
    assert home.hear() == [(104, 1)]
    assert all(home.complete)
