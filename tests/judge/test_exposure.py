"""The exposure budget: a ladder that keeps it, told before anything begins, or an honest word that none can."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celadon.domain.compare import Compare
from celadon.domain.evidence import Tally
from celadon.domain.plan import FULL
from celadon.domain.spec import Exposure, ReleasePolicy, Watch
from celadon.judge.chances import binomial, negative_binomial, poisson_quantile
from celadon.judge.coin import EventCoin
from celadon.judge.exposure import REACTION_S, impossible, ladder, steps
from celadon.judge.metrics import ERRORS, parts
from celadon.judge.odds import Rules

TICK_S = 0.5
BASE = 0.01
JUDGE = EventCoin(Rules())
PART = parts(Compare(), copies=False)[ERRORS]


def budget(bad: int = 50, confidence: float = 0.95, rate_per_s: float = 100) -> Exposure:
    return Exposure(bad_answers_max=bad, confidence=confidence, rate_per_s=rate_per_s)


def shares(exposure: Exposure) -> list[int]:
    found = ladder(exposure, Compare(), Watch())
    assert found is not None
    return [rung.share for rung in found.rungs]


def poisson(draws: random.Random, mean: float) -> int:
    """Few at a time, so that counting the gaps between them is quick."""
    count, at = 0, draws.expovariate(1.0)
    while at < mean:
        count += 1
        at += draws.expovariate(1.0)
    return count


def bad_answers(draws: random.Random, exposure: Exposure, fault: float) -> int:
    """Green's errors to callers until a freeze is in force; the real judge looks at every tick."""
    found = ladder(exposure, Compare(), Watch())
    assert found is not None
    coin, at_s, bad, frozen_at = JUDGE.begin(0), 0.0, 0, math.inf
    ends, end = [], 0.0
    for rung in found.rungs[:-1]:
        end += rung.dwell_s
        ends.append((end, rung.share))
    while at_s < min(frozen_at, 300.0):
        share = next((share for end, share in ends if at_s < end), ends[-1][1])
        part = share / FULL
        errors = poisson(draws, exposure.rate_per_s * part * fault * TICK_S)
        others = poisson(draws, exposure.rate_per_s * (1 - part) * BASE * TICK_S)
        bad += errors
        coin = JUDGE.add(coin, int(at_s), Tally(share, errors, errors, others, others))
        at_s += TICK_S
        if frozen_at == math.inf and PART * JUDGE.worth(coin).suspected + 1 - PART >= 20:
            frozen_at = at_s + REACTION_S
    return bad


@pytest.mark.parametrize(
    "exposure", [budget(), budget(bad=20, rate_per_s=200), budget(bad=10, rate_per_s=20)]
)
def test_faults_from_the_first_request_on_stay_within_the_budget(exposure: Exposure) -> None:
    draws, runs = random.Random(4), 300
    found = ladder(exposure, Compare(), Watch())
    assert found is not None
    least = math.log(found.covers_from)
    faults = [1.0] * 100 + [math.exp(draws.uniform(least, 0)) for _ in range(runs - 100)]
    beyond = sum(bad_answers(draws, exposure, fault) > exposure.bad_answers_max for fault in faults)
    assert beyond <= runs * (1 - exposure.confidence)


@settings(max_examples=40, deadline=None)
@given(
    bad=st.integers(5, 500),
    confidence=st.sampled_from([0.5, 0.9, 0.99]),
    rate_per_s=st.floats(1, 2000),
)
def test_shares_rise_to_all_and_no_stage_is_shorter_than_a_window(bad, confidence, rate_per_s) -> None:
    found = ladder(budget(bad, confidence, rate_per_s), Compare(), Watch())
    if found is None:
        return
    rungs = found.rungs
    assert [rung.share for rung in rungs] == sorted({rung.share for rung in rungs})
    assert rungs[-1].share == FULL
    assert all(rung.dwell_s >= 10 for rung in rungs)
    assert all(rung.costs is None or rung.costs <= bad for rung in rungs)
    assert [rung.fault for rung in rungs] == sorted((rung.fault for rung in rungs), reverse=True)


def test_the_budget_is_used_and_not_left_untouched() -> None:
    draws = random.Random(5)
    found = sorted(bad_answers(draws, budget(), 1.0) for _ in range(101))
    assert found[50] > budget().bad_answers_max / 4


def test_a_smaller_budget_more_confidence_or_more_requests_begin_smaller() -> None:
    usual = shares(budget())[0]
    assert shares(budget(bad=20))[0] < usual
    assert shares(budget(confidence=0.999))[0] <= usual
    assert shares(budget(rate_per_s=1000))[0] < usual


def test_what_begins_later_is_told_and_never_hidden_in_the_budget() -> None:
    found = ladder(budget(), Compare(), Watch())
    assert found is not None
    sudden = [rung.sudden for rung in found.rungs]
    assert sudden == sorted(sudden)
    assert sudden[-1] > 200  # Two seconds of all requests, and a little more.


def test_a_budget_that_no_share_can_keep_is_a_problem_with_a_way_out() -> None:
    policy = ReleasePolicy(exposure=budget(bad=2))
    problem = impossible(policy)
    assert problem is not None
    assert problem.path == "spec/release/exposure/badAnswers"
    assert "allow" in problem.hint
    assert steps(policy) == ()


def test_a_budget_that_can_be_kept_is_no_problem_and_becomes_the_steps_of_a_ramp() -> None:
    policy = ReleasePolicy(exposure=budget())
    assert impossible(policy) is None
    assert impossible(ReleasePolicy()) is None
    made = steps(policy)
    assert [step.share for step in made] == shares(budget())
    assert made[-1].dwell_s == policy.watch.watch_s


@pytest.mark.parametrize(
    ("trials", "chance", "most"), [(10, 0.3, 2), (100, 0.01, 3), (50, 0.9, 44), (3, 0.99, 1)]
)
def test_chances_are_those_of_their_sums(trials: int, chance: float, most: int) -> None:
    terms = (math.comb(trials, n) * chance**n * (1 - chance) ** (trials - n) for n in range(most + 1))
    assert binomial(trials, chance, most) == pytest.approx(sum(terms))
    waits = (math.comb(trials + n - 1, n) * chance**trials * (1 - chance) ** n for n in range(most + 1))
    assert negative_binomial(trials, chance, most) == pytest.approx(sum(waits))


def test_large_counts_have_chances_too() -> None:
    assert poisson_quantile(0.99, 4) == 9
    assert poisson_quantile(0.99, 1000) == 1074
    assert 100_316 < poisson_quantile(0.99, 100_000) < 101_500
    assert binomial(10_000_000, 1e-6, 3) == pytest.approx(0.010336, rel=1e-3)
