"""Laws of reading the request log: however it is cut, rotated and read again, the same is told."""

import asyncio
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from unittest import mock

from hypothesis import example, given, settings
from hypothesis import strategies as st

from celadon.domain.draw import Draw, StickyHeader
from celadon.domain.durations import bucket
from celadon.domain.names import RevisionId, ServiceKey
from celadon.domain.problem import TransientFault
from celadon.traffic.envoy import tail
from celadon.traffic.envoy.ears import Ears, Written
from celadon.traffic.envoy.heard import LATE_S, Gap
from celadon.traffic.envoy.tail import RequestLog
from celadon.traffic.envoy.units import Mark, Units

SERVICE, GREEN = ServiceKey(name="fraud"), RevisionId("a" * 12)
DRAW = Draw(green=GREEN, salt="release-1", sticky=StickyHeader(header="x-user"))


def text(number, at_s, unit, *, error=False, us=1000, service="fraud"):
    return {
        "at": f"{at_s}.000",
        "end": str(at_s),
        "id": f"id-{number}",
        "cluster": f"default/{service}/{GREEN}",
        "status": 500 if error else 200,
        "ms": us // 1000,
        "us": us,
        "flags": "-",
        "attempts": 1,
        "share": "500",
        "unit": unit,
        "group": None,
        "mirror": 0,
    }


requests = st.lists(
    st.builds(
        dict,
        at_s=st.integers(100, 104),
        unit=st.none() | st.sampled_from(["ann", "bob", "cid", 'd"\0']),
        error=st.booleans(),
        us=st.sampled_from([50, 1000, 70_000]),
        service=st.sampled_from(["fraud", "fraud", "fraud", "other"]),
    ),
    max_size=30,
)
steps = st.lists(
    st.tuples(st.just("write"), st.integers(1, 900))
    | st.tuples(st.sampled_from(["turn", "turn", "ask", "crash", "deaf"]), st.just(0)),
    max_size=40,
)


class Stage:
    """A writer that behaves as Envoy does, a daemon that listens, and a journal that outlives it."""

    def __init__(self, home, rest=b"", draw=DRAW):
        self.home, self.deaf, self.rest, self.last, self.draw = home, False, rest, b"\n", draw
        self.routed, self.kept, self.sums = set(), "", defaultdict(lambda: [0, 0, 0])
        self.path = home / "access.log"
        self.path.touch()
        self.file = self.path.open("ab", buffering=0)
        self.come_back()
        self.kept = self.ears.told(SERVICE, "").end
        self.ask()

    def come_back(self):
        self.ears = Ears(
            logs=[Written(log=RequestLog(self.path), reopen=self.reopen)],
            folder=self.home / "units",
            drawn=lambda _: self.draw,
            routed=lambda _, routed: self.routed.update(one.request for one in routed),
            wake=lambda _: None,
        )
        self.ears.open()

    def write(self, size):
        """A part of the text, which may end in the middle of a line."""
        self.file.write(self.rest[:size])
        self.last = self.rest[:size][-1:] or self.last
        self.rest = self.rest[size:]

    async def reopen(self):
        """Envoy opens its log again after it has written whole lines."""
        if self.deaf:
            raise TransientFault("Envoy does not answer", retry_s=1.0)
        if self.last != b"\n":
            self.write(self.rest.find(b"\n") + 1)
        self.file.close()
        self.file = self.path.open("ab", buffering=0)

    def ask(self):
        """The position is recorded together with what was told."""
        told = self.ears.told(SERVICE, self.kept)
        assert told.complete
        self.kept = told.end
        for one in told.answers:
            found = self.sums[one.at_s]
            for at, number in enumerate((one.requests, one.errors, one.failed)):
                found[at] += number
            for at, number in one.durations:
                self.sums["durations", at][0] += number

    async def do(self, kind, size):
        if kind == "write":
            self.write(size)
        elif kind == "turn":
            await self.ears.turn()
        elif kind == "ask":
            self.ask()
        elif kind == "crash":
            self.come_back()
        else:
            self.deaf = not self.deaf

    async def end(self):
        self.deaf = False
        self.write(len(self.rest))
        before = None
        while before != self.kept or await self.ears.turn():
            before = self.kept
            self.ask()
            await self.ears.turn()
            await self.ears.turn()
        self.ask()
        self.file.close()


def counted(lines):
    """The same by counting straight on."""
    sums, second, asked, erred = defaultdict(lambda: [0, 0, 0]), 0, set(), set()
    for line in lines:
        if line["cluster"].startswith("default/fraud/"):
            second, unit, error = max(second, int(line["end"])), line["unit"], line["status"] == 500
            found = sums[second]
            found[0] += unit is None or unit not in asked
            found[1] += error and (unit is None or unit not in erred)
            found[2] += error
            asked.add(unit)
            if error:
                erred.add(unit)
            else:
                sums["durations", bucket(line["us"])][0] += 1
    return sums


PLAIN = {"at_s": 100, "unit": None, "error": False, "us": 50, "service": "fraud"}
WRITTEN_ON_TO_THE_OLD_FILE = [
    ("write", 1500),
    ("deaf", 0),
    *[("turn", 0)] * 6,
    ("write", 900),
    *[("turn", 0)] * 3,
]


@example([PLAIN] * 25, WRITTEN_ON_TO_THE_OLD_FILE)
@settings(max_examples=60, deadline=None)
@given(requests, steps)
def test_every_answer_is_told_once_however_the_log_is_cut_rotated_and_read_again(asked, story):
    lines = [text(number, **one) for number, one in enumerate(asked)]
    rest = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)

    async def play(stage):
        for kind, size in story:
            await stage.do(kind, size)
        await stage.end()

    with (
        tempfile.TemporaryDirectory() as home,
        mock.patch.object(tail, "LOG_BYTES", 1000),
        mock.patch.object(tail, "SLICE_BYTES", 700),
        mock.patch.object(tail, "KEPT_LOGS", 20),
    ):
        stage = Stage(Path(home), rest)
        asyncio.run(play(stage))
    present = {key: sums for key, sums in stage.sums.items() if any(sums)}
    assert present == {key: sums for key, sums in counted(lines).items() if any(sums)}
    assert stage.routed == {line["id"] for line in lines if "fraud" in line["cluster"]}


def test_what_could_not_be_handed_on_is_handed_on_again_and_counts_once(tmp_path):
    stage, refused = Stage(tmp_path), []

    def refuse(_, routed):
        refused.append([one.request for one in routed])
        if len(refused) == 1:
            raise TransientFault("the disk is full", retry_s=1.0)

    async def story():
        stage.ears.routed = refuse
        stage.ask()
        stage.file.write(json.dumps(text(1, 100, "ann"), separators=(",", ":")).encode() + b"\n")
        await stage.ears.turn()
        assert stage.ears.notes(SERVICE) == ("the disk is full",)
        stage.ask()
        assert stage.sums == {}
        await stage.ears.turn()
        stage.ask()

    asyncio.run(story())
    stage.file.close()
    assert refused == [["id-1"], ["id-1"]]
    assert stage.sums[100] == [1, 0, 0]


def test_the_log_of_an_envoy_that_left_is_kept_until_all_of_it_was_handed_on(tmp_path):
    stage, refused, second = Stage(tmp_path), [], tmp_path / "access.1.log"
    second.touch()

    def refuse(_, routed):
        refused.append([one.request for one in routed])
        if len(refused) == 1:
            raise TransientFault("the disk is full", retry_s=1.0)

    async def story():
        stage.ears.logs.append(Written(log=RequestLog(second), reopen=stage.reopen))
        stage.ears.open()
        stage.kept = stage.ears.told(SERVICE, "").end
        stage.ears.routed = refuse
        stage.ask()
        second.write_bytes(json.dumps(text(1, 100, "ann"), separators=(",", ":")).encode() + b"\n")
        leaving = asyncio.get_running_loop().create_task(stage.ears.end(1))
        await asyncio.sleep(0)
        assert stage.ears.logs[1].ended
        await stage.ears.turn()
        assert not leaving.done()
        assert len(stage.ears.logs) == 2
        stage.ask()
        await stage.ears.turn()
        await leaving
        stage.ask()

    asyncio.run(story())
    stage.file.close()
    assert refused == [["id-1"], ["id-1"]]
    assert stage.sums[100] == [1, 0, 0]


def test_nothing_is_read_for_a_service_that_is_not_drawn(tmp_path):
    stage = Stage(tmp_path, draw=None)

    async def story():
        stage.file.write(b"anything\n" * 10)
        await stage.ears.turn()
        told = stage.ears.told(SERVICE, stage.kept)
        assert told.complete
        assert told.answers == ()
        assert told.end.split(":")[2] == "90"
        assert stage.ears._heard == {}

    asyncio.run(story())
    stage.file.close()


def test_units_are_marked_once_and_what_was_not_recorded_is_forgotten(tmp_path):
    path = tmp_path / "units"
    units = Units(path, "salt", 0)
    assert [units.mark(Mark.ASKED, f"user-{n % 2000}") for n in range(4000)].count(True) == 2000
    units.write()
    assert [units.mark(Mark.ERRED, f"user-{n % 10}") for n in range(100)].count(True) == 10
    units.write()
    assert (units.length, path.stat().st_size) == (2010, 2010 * 8)
    again = Units(path, "salt", 2000)
    assert again.whole
    assert not again.mark(Mark.ASKED, "user-7")
    assert again.mark(Mark.ERRED, "user-7")
    assert Units(path, "another", 0).mark(Mark.ASKED, "user-7")
    assert not Units(path, "salt", 5).whole


def test_a_hole_is_told_again_to_whom_could_not_record_it(tmp_path):
    """A full disk costs the log its lines and the journal its record at once."""
    stage = Stage(tmp_path, rest=json.dumps(text(0, **PLAIN), separators=(",", ":")).encode() + b"\n")

    async def story():
        gap = stage.ears._heard[SERVICE].gap
        gap.counted("envoy:1", 100, 0.0)
        gap.ended(0, reached=True)
        gap.counted("envoy:1", 50, 1.0)
        stage.write(1500)
        await stage.ears.turn()
        gap.counted("envoy:1", 50, 2.0)
        gap.counted("envoy:1", 0, 2.0 + LATE_S + 1)
        told = stage.ears.told(SERVICE, stage.kept)
        assert not told.complete
        assert stage.ears.told(SERVICE, stage.kept) == told
        assert stage.ears.told(SERVICE, told.end).complete

    asyncio.run(story())
    stage.file.close()


def test_a_gap_between_counters_and_log_is_seen_and_one_of_time_is_not():
    gap = Gap()
    gap.counted("envoy:1", 100, 0.0)
    gap.ended(0, reached=True)
    for second in range(1, 9):
        # The log is a second behind the counters, but loses nothing.
        gap.counted("envoy:1", 10, float(second))
        gap.ended(10 if second > 1 else 0, reached=True)
        assert not gap.stalled
    for second in range(9, 14):
        gap.counted("envoy:1", 10, float(second))
    assert gap.stalled
    assert LATE_S < 5
    gap.ended(60, reached=True)
    gap.counted("envoy:1", 0, 14.0)
    assert not gap.stalled
    assert not gap.found()
