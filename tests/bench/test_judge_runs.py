"""Simulation of the judge: the short cuts of bench.judge change nothing, and its streams are what they say."""

import math
from dataclasses import replace
from statistics import fmean

import bench.judge as bench_judge
import numpy as np
import pytest
from bench.judge_grid import (
    ALONE,
    FINE_CELLS,
    HARM_CELLS,
    Walk,
    events,
    fine_bound,
    green_needed,
    harm_bound,
    labels_needed,
)
from bench.judge_latency import SERVICES, Service, hindsight, slowed
from bench.judge_peers import PEERS
from bench.judge_runs import FREEZE, HARM, Case, by_request, columns, forgetting, harmed, reached
from bench.judge_spread import job, spread
from bench.judge_streams import (
    STREAMS,
    Stream,
    Truth,
    counted_by_request,
    every_second,
    lasting,
    looks,
    steps,
    summed_to,
)
from bench.judge_together import every_part, together

from celadon.domain.evidence import Tally
from celadon.judge.coin import EventCoin
from celadon.judge.odds import Rules

SHORT = [
    replace(
        stream,
        seconds=1200,
        sets_in_s=min(stream.sets_in_s, 600),
        rises_at_s=min(stream.rises_at_s, 600),
    )
    for stream in STREAMS
]
JUDGE = EventCoin(Rules())


@pytest.mark.parametrize("stream", SHORT, ids=lambda stream: stream.name)
@pytest.mark.parametrize("ratio", [1.0, 3.0])
def test_looking_at_few_seconds_finds_what_looking_at_all_finds(stream, ratio) -> None:
    for seed in range(3):
        draws = np.random.default_rng(seed)
        lane, *_ = lanes = stream.lanes(draws, Truth(ratio=ratio))
        seconds, *_ = every_second(draws, lanes)
        few = looks(seconds.green_events > 0, JUDGE.rules.window_s)
        found = [
            reached(JUDGE, summed_to(ends, lane.share, seconds), (HARM, FREEZE))
            for ends in (few, np.arange(stream.seconds))
        ]
        assert found[0] == found[1]


@pytest.mark.parametrize("stream", SHORT, ids=lambda stream: stream.name)
def test_drawing_only_what_is_looked_at_draws_as_much(stream) -> None:
    """Sums of Poisson numbers are Poisson numbers: all four kinds of answers are as many as their rates say."""
    draws = np.random.default_rng(2)
    seen, expected = np.zeros(4), np.zeros(4)
    for _ in range(10):
        lanes = stream.lanes(draws, Truth(ratio=2.0))
        for _, tallies in steps(draws, lanes, JUDGE.rules.window_s):
            for _, green, green_events, blue, blue_events in tallies:
                seen += (green - green_events, green_events, blue - blue_events, blue_events)
        for lane in lanes:
            kinds = (lane.green_calm, lane.green_events, lane.blue_calm, lane.blue_events)
            expected += [kind.sum() for kind in kinds]
    assert np.all(np.abs(seen - expected) < 5 * np.sqrt(expected))


@pytest.mark.parametrize("name", ["even", "bursts", "users"])
def test_a_stream_has_the_share_and_the_events_that_it_says(name) -> None:
    (stream,) = (stream for stream in STREAMS if stream.name == name)
    draws = np.random.default_rng(1)
    (seconds,) = every_second(draws, stream.lanes(draws, Truth(ratio=2.0)))
    green, blue = seconds.green.sum(), seconds.blue.sum()
    assert green / (green + blue) == pytest.approx(0.05, rel=0.05)
    assert seconds.blue_events.sum() / blue == pytest.approx(stream.base, rel=0.1)
    assert seconds.green_events.sum() / green == pytest.approx(2 * stream.base, rel=0.2)


def test_a_delay_moves_answers_and_loses_some() -> None:
    plain = Stream(name="plain", base=0.01, ramp=(500, 5000))
    (before, after), (late_before, late_after) = (
        stream.lanes(np.random.default_rng(1), Truth()) for stream in (plain, replace(plain, delay_s=60.0))
    )
    assert late_before.green_events.sum() == pytest.approx(0.8 * before.green_events.sum(), rel=0.01)
    assert late_before.blue_calm[1800:].sum() > 0 == before.blue_calm[1800:].sum()
    assert late_after.blue_calm[:1800].sum() < 1e-3
    # Half of what was asked in the first second is known after the median of the delay.
    known = late_after.blue_calm.cumsum() / (0.5 * after.blue_calm.cumsum()[-1])
    assert known[-1] < 1


def test_failures_counted_by_request_are_as_many_as_by_user() -> None:
    seconds = counted_by_request(np.random.default_rng(1), Truth(), STREAMS[0])
    assert seconds.blue_events.sum() / seconds.blue.sum() == pytest.approx(0.01, rel=0.1)


def test_the_bounds_are_those_that_were_published() -> None:
    # The published table has d = 2.650 where a test that never gives up has ln 20.
    published = {
        (0.01, 2.0, 500): 723,
        (0.01, 2.0, 5000): 1537,
        (0.05, 5.0, 500): 13,
        (0.001, 1.5, 5000): 52_578,
    }
    for cell in HARM_CELLS:
        expected = published.get((cell.base, cell.k, cell.share))
        if expected:
            assert harm_bound(cell) * 2.650 / math.log(20) == pytest.approx(expected, rel=0.03)
    assert all(fine_bound(cell) > 0 for cell in FINE_CELLS)


@pytest.mark.parametrize("harm", [True, False])
def test_blocks_of_events_end_where_single_events_do(harm) -> None:
    """Where answers without event count too, a block may see a decision later than it could be seen, never sooner."""
    for cell in [c for c in (HARM_CELLS if harm else FINE_CELLS) if c.k == 2.0]:
        judge = EventCoin(replace(ALONE, fine_ratio=cell.k))
        blocks, singles = [], []
        for seed in range(12):
            blocks.append(green_needed(judge, cell, np.random.default_rng(seed), harm=harm))
            singles.append(_singly(judge, cell, np.random.default_rng(seed), harm=harm))
        if cell.base < 0.01:
            assert blocks == singles
        assert fmean(blocks) == pytest.approx(fmean(singles), rel=0.03)


def _singly(judge, cell, draws, *, harm) -> int:
    walk = Walk(judge, cell.share, judge.begin(0, (2000, int(draws.binomial(2000, cell.base)))))
    for chunk in events(draws, cell.base, cell.base * (cell.k if harm else 1.0), cell.share):
        for event in chunk.summed(np.arange(len(chunk.requests))):
            walk = walk.on(event)
            if walk.worth(harm=harm) >= 20:
                return walk.green
    raise AssertionError


def test_horizons_are_at_least_twenty_times_what_any_test_needs() -> None:
    for cell in HARM_CELLS:
        if (cell.k, cell.share, cell.base) == (2.0, 500, 0.01):
            assert harm_bound(cell, 100.0) / 10 * 20 <= 3600
    for stream in STREAMS:
        rules = replace(
            Rules(), fine_extra=0.0, fine_ratio=Rules().fine_ratio + Rules().fine_extra / stream.base
        )
        cell = replace(FINE_CELLS[0], base=stream.base, k=rules.fine_ratio)
        longer = lasting(stream, bench_judge.FINE_HORIZON_S)
        assert fine_bound(cell) / 10 * 20 <= longer.seconds


def test_a_peer_takes_back_what_fails_always_and_keeps_what_never_fails() -> None:
    draws = np.random.default_rng(1)
    (never,) = every_second(draws, replace(SHORT[0], base=1e-9).lanes(draws, Truth()))
    always = replace(never, green_events=never.green)
    for name, rule in PEERS.items():
        assert rule(never, draws) == math.inf, name
        assert rule(always, draws) <= 1200, name


def test_broken_judges_are_caught() -> None:
    draws = np.random.default_rng(1)
    sparse = Service(stream=Stream(name="sparse", base=1e-9, seconds=1200, rate_per_s=10.0))
    assert columns(hindsight(sparse, draws, 10))[0].z(0.01) > 6
    assert columns(by_request(Case(stream=SHORT[0]), draws, 20))[0].z(0.01) > 6
    late = Case(stream=replace(SHORT[0], sets_in_s=600), truth=Truth(ratio=3.0))
    honest = columns(harmed(late, np.random.default_rng(3), 6))[0]
    assert columns(forgetting(late, np.random.default_rng(3), 6))[0].quantile_s(0.5) < honest.quantile_s(0.5)


@pytest.mark.parametrize("name", SERVICES)
def test_a_slower_green_is_found_in_every_stream_of_latency(name) -> None:
    draws = np.random.default_rng(1)
    service = replace(SERVICES[name], slower=1.6)
    assert columns(slowed(service, False, draws, 2))[0].share == 1


def test_all_metrics_together_share_one_bet() -> None:
    assert math.fsum(every_part().values()) == pytest.approx(1.0)
    even = replace(SERVICES["even"], stream=replace(SERVICES["even"].stream, seconds=300))
    slow, alike = (
        columns(together(replace(even, slower=slower), np.random.default_rng(1), 3))[0].share
        for slower in (2.0, 1.0)
    )
    assert (slow, alike) == (1.0, 0.0)


def test_fewer_labels_are_needed_where_no_window_is_capped() -> None:
    capped, free = (
        fmean(labels_needed(cap, 200.0, np.random.default_rng(1), 30)[0]) for cap in (3.0, math.inf)
    )
    assert capped > free


def test_numbers_do_not_depend_on_how_many_processes_share_the_work() -> None:
    case = Case(stream=SHORT[0], truth=Truth(ratio=3.0))
    jobs = [job("even", harmed, case, runs=4, seed=[1], size=1)]
    alone = [harmed(case, np.random.default_rng([1, number]), 1)[0] for number in range(4)]
    assert spread(jobs, processes=2, compiled=False).of("even") == alone


def test_seconds_of_several_shares_come_as_one_tally_each() -> None:
    stream = Stream(name="ramp", base=0.01, seconds=400, ramp=(500, 5000), delay_s=30.0)
    draws = np.random.default_rng(1)
    found = [len(tallies) for _, tallies in steps(draws, stream.lanes(draws, Truth()), 10)]
    assert {1, 2} == set(found) - {0}
    assert all(isinstance(t, Tally) for _, ts in steps(draws, stream.lanes(draws, Truth()), 10) for t in ts)
