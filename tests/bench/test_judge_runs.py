"""Simulation of the judge: the short cuts of bench.judge change nothing, and its streams are what they say."""

import math
from dataclasses import replace

import numpy as np
import pytest
from bench.judge_grid import FINE_CELLS, HARM_CELLS, fine_bound, harm_bound
from bench.judge_latency import LATENCY, Service, hindsight
from bench.judge_peers import PEERS
from bench.judge_runs import FREEZE, HARM, reached
from bench.judge_streams import STREAMS, Truth, counted_by_request, ticks

from celadon.domain.evidence import Tally
from celadon.judge.coin import EventCoin
from celadon.judge.odds import Rules

SHORT = [replace(stream, seconds=1200) for stream in STREAMS]
JUDGE = EventCoin(Rules())


@pytest.mark.parametrize("stream", SHORT, ids=lambda stream: stream.name)
@pytest.mark.parametrize("ratio", [1.0, 3.0])
def test_looking_at_few_seconds_finds_what_looking_at_all_finds(stream, ratio) -> None:
    for seed in range(3):
        seconds = stream.draw(np.random.default_rng(seed), Truth(ratio=ratio))
        columns = (seconds.green, seconds.green_events, seconds.blue, seconds.blue_events)
        every = [(at_s, Tally(500, *map(int, row))) for at_s, row in enumerate(zip(*columns, strict=True))]
        few = ticks(seconds, 500, JUDGE.rules.window_s)
        assert reached(JUDGE, few, (HARM, FREEZE)) == reached(JUDGE, every, (HARM, FREEZE))


@pytest.mark.parametrize("stream", [STREAMS[0], STREAMS[1], STREAMS[6]], ids=lambda stream: stream.name)
def test_a_stream_has_the_share_and_the_events_that_it_says(stream) -> None:
    seconds = stream.draw(np.random.default_rng(1), Truth(ratio=2.0))
    green, blue = seconds.green.sum(), seconds.blue.sum()
    assert green / (green + blue) == pytest.approx(0.05, rel=0.05)
    assert seconds.blue_events.sum() / blue == pytest.approx(stream.base, rel=0.1)
    assert seconds.green_events.sum() / green == pytest.approx(2 * stream.base, rel=0.2)


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


def test_a_peer_takes_back_what_fails_always_and_keeps_what_never_fails() -> None:
    draws = np.random.default_rng(1)
    never = replace(SHORT[0], base=1e-9).draw(draws, Truth())
    always = replace(never, green_events=never.green)
    for name, rule in PEERS.items():
        assert rule(never, draws) == math.inf, name
        assert rule(always, draws) <= 1200, name


def test_a_threshold_chosen_with_hindsight_is_caught() -> None:
    judge = EventCoin(LATENCY.slower)
    assert hindsight(judge, Service(rate_per_s=10, seconds=1200), 20, [1]).z(0.01) > 6
