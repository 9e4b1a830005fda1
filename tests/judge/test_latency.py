"""Latency: thresholds that are older than what they judge, failures that took for ever, and common bad days excused."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celadon.domain.durations import bucket, end_us
from celadon.domain.evidence import Durations, Second, Slowness, Tally
from celadon.domain.verdict import Fine, Harm
from celadon.judge.compare import Comparison, Metric
from celadon.judge.latency import LatencyCoins, LatencyRules, quantile
from celadon.store.codec import decode, encode

JUDGE = LatencyCoins(LatencyRules())
SPREAD = ((95, 5), (100, 20), (105, 40), (110, 20), (115, 9), (120, 4), (130, 2))
"""A hundred answers: buckets and how many."""


def moved(by: int):
    return tuple((number + by, count) for number, count in SPREAD)


def run(seconds: int, by: int = 0, common: int = 0) -> Slowness:
    slowness = JUDGE.begin(0)
    for at_s in range(seconds):
        shift = common if (at_s // 60) % 2 else 0
        more = Durations(share=5000, green=moved(by + shift), blue=moved(shift))
        slowness = JUDGE.add(slowness, at_s, more)
    return slowness


def test_the_threshold_is_older_than_the_window_that_it_judges() -> None:
    early = run(10)
    assert early.thresholds == ()
    assert JUDGE.worth(early).harm == pytest.approx(1)
    later = JUDGE.add(early, 10, Durations(share=5000, green=moved(50), blue=moved(50)))
    assert later.thresholds == tuple(quantile(SPREAD, q) for q in (0.5, 0.95, 0.99))
    assert JUDGE.add(later, 19, Durations(share=5000, blue=moved(90))).thresholds == later.thresholds


def test_a_slower_green_is_seen() -> None:
    assert JUDGE.worth(run(90, by=5)).harm >= 100


def test_an_equal_green_is_proved_fine_and_never_suspected() -> None:
    worth = JUDGE.worth(run(120))
    assert worth.fine >= 20
    assert worth.suspected < 20


def test_a_bad_minute_of_both_sides_is_nobodys_harm() -> None:
    assert JUDGE.worth(run(600, common=10)).harm < 100


def test_failing_fast_is_slow() -> None:
    assert JUDGE.worth(run(90, by=-20)).harm < 1
    slowness = JUDGE.begin(0)
    for at_s in range(90):
        more = Durations(share=5000, blue=moved(0), green_failed=100)
        slowness = JUDGE.add(slowness, at_s, more)
    assert JUDGE.worth(slowness).harm >= 100


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 9)), min_size=1, max_size=8), st.randoms())
def test_inside_a_window_only_the_sums_count(answers, random) -> None:
    start = run(10)
    parts = [Durations(share=5000, green=((number, count),)) for number, count in answers]
    parts += [Durations(share=5000, blue=((number, count),)) for number, count in answers]
    worths = set()
    for _ in range(2):
        slowness = start
        for part in parts:
            slowness = JUDGE.add(slowness, 12, part)
        worths.add((JUDGE.worth(slowness), slowness.heard))
        random.shuffle(parts)
    assert len(worths) == 1


@given(st.floats(100, 1e8))
def test_a_duration_is_in_the_bucket_that_ends_behind_it(duration_us: float) -> None:
    number = bucket(duration_us)
    assert duration_us <= end_us(number) * (1 + 1e-6)
    assert number == 0 or duration_us > end_us(number - 1) * (1 - 1e-6)
    assert math.isfinite(end_us(number))


def test_slowness_survives_the_journal() -> None:
    slowness = run(35)
    assert decode(Slowness, encode(slowness)) == slowness


def test_latency_has_its_part_in_the_verdict() -> None:
    comparison = Comparison((Metric(name="errors", part=0.4),), latency=LatencyRules(required=True))
    verdicts = []
    for by in (0, 6):
        ledger = comparison.begin(0)
        for at_s in range(120):
            second = Second(
                at_s=at_s,
                tallies={"errors": (Tally(5000, 100, 0, 100, 0),)},
                durations=(Durations(share=5000, green=moved(by), blue=moved(0)),),
            )
            ledger = comparison.add(ledger, second)
        verdicts.append(comparison.judge(ledger).verdict)
    assert isinstance(verdicts[0], Fine)
    assert isinstance(verdicts[1], Harm)
    assert verdicts[1].because.fields["metric"] == "latency"
