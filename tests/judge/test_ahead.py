"""What is told of a whole plan before it begins: simulation confirms it, and it is honest where a plan can not decide."""

import random
import statistics
from dataclasses import replace

import pytest

from celadon.domain.compare import Compare
from celadon.domain.evidence import Tally
from celadon.domain.plan import FULL, Plan, Stage
from celadon.domain.spec import OnDeadline
from celadon.judge.ahead import Load, ahead
from celadon.judge.coin import EventCoin
from celadon.judge.exposure import REACTION_S
from celadon.judge.odds import Rules
from celadon.judge.ways import Means, ways

JUDGE = EventCoin(Rules())
RATE, BASE = 200, 0.01


def plan(*shares: tuple[int, float, float], compare: Compare | None = None, deadline_s: float = 900) -> Plan:
    """Stages of (share, dwell_s, proof)."""
    stages = (Stage(share=share, dwell_s=dwell_s, proof=proof) for share, dwell_s, proof in shares)
    return Plan(
        stages=tuple(stages),
        prepare_s=60,
        prove_s=60,
        watch_deadline_s=deadline_s,
        on_deadline=OnDeadline.HOLD,
        hold_s=0,
        compare=compare or Compare(),
    )


RAMP = plan((500, 60, 0), (2500, 60, 0), (5000, 60, 20), (FULL, 60, 0))
EVIDENCE = plan((500, 10, 20 ** (1 / 3)), (2500, 10, 20 ** (2 / 3)), (5000, 10, 20), (FULL, 60, 0))


def count(draws: random.Random, trials: int, chance: float) -> int:
    """Binomial, quick where the chance is small."""
    found, at = 0, draws.expovariate(1.0) / chance
    while at < trials:
        found += 1
        at += 1 + draws.expovariate(1.0) / chance
    return found


def seconds(draws: random.Random, of: Plan, ratio: float, *, fine: bool) -> float:
    """A release, second by second, until harm is suspected or until everything that a stage asks for is there."""
    coin, at_s, begun_s, number = JUDGE.begin(0, (20_000, 200)), 0, 0, 0
    while at_s < 40_000:
        stage = of.stages[number]
        green = round(RATE * stage.share / FULL)
        tally = Tally(
            stage.share,
            green,
            count(draws, green, ratio * BASE),
            RATE - green,
            count(draws, RATE - green, BASE),
        )
        coin = JUDGE.add(coin, at_s, tally)
        at_s += 1
        worth = JUDGE.worth(coin)
        if not fine and worth.suspected >= 20:
            return at_s + REACTION_S
        if at_s - begun_s >= stage.dwell_s and worth.fine >= stage.proof:
            number, begun_s = number + 1, at_s
            if of.stages[number].share == FULL:
                return at_s + of.stages[number].dwell_s if fine else 40_000
    return at_s


@pytest.mark.parametrize("of", [RAMP, EVIDENCE])
def test_times_along_the_whole_way_are_those_that_releases_take(of: Plan) -> None:
    found, draws = ahead(of, Load(rate_per_s=RATE, base=BASE)), random.Random(11)
    assert found is not None
    assert found.fine_s is not None
    twice = next(look for look in found.way if look.ratio == 2.0)
    assert twice.frozen_s is not None
    seen = [seconds(draws, of, 2.0, fine=False) for _ in range(120)]
    assert statistics.median(seen) == pytest.approx(twice.frozen_s.p50, rel=0.25)
    through = [seconds(draws, of, 1.0, fine=True) for _ in range(120)]
    assert statistics.median(through) == pytest.approx(found.fine_s.p50, rel=0.25)


def test_a_stage_with_a_larger_share_sees_harm_sooner_and_hurts_more() -> None:
    found = ahead(RAMP, Load(rate_per_s=RATE, base=BASE))
    assert found is not None
    looks = [one.looks[1] for one in found.stages if one.looks]
    times = [look.frozen_s.p50 for look in looks if look.frozen_s]
    hurt = [look.hurt.p50 for look in looks if look.hurt]
    assert times == sorted(times, reverse=True)
    assert hurt == sorted(hurt)
    assert len(times) == len(hurt) == 3


def test_copies_hurt_nobody() -> None:
    copies = replace(RAMP, stages=(Stage(share=0, dwell_s=600, mirror=FULL),))
    found = ahead(copies, Load(rate_per_s=RATE, base=BASE))
    assert found is not None
    assert [look.hurt and look.hurt.p95 for look in found.way] == [0.0, 0.0, 0.0]
    assert not found.proves


def test_a_plan_that_can_not_decide_in_time_says_so_and_each_way_out_is_one() -> None:
    slow, load = plan((500, 60, 20), (FULL, 60, 0)), Load(rate_per_s=40, base=BASE)
    found = ahead(slow, load)
    assert found is not None
    assert found.late
    amounts = {way.means: way.amount for way in ways(slow, load)}
    assert set(amounts) == set(Means)
    compare = Compare()
    for better in (
        plan((round(amounts[Means.SHARE]), 60, 20), (FULL, 60, 0)),
        replace(slow, watch_deadline_s=amounts[Means.DEADLINE]),
        replace(
            slow, compare=replace(compare, errors=replace(compare.errors, ratio_max=amounts[Means.RATIO]))
        ),
        replace(
            slow, compare=replace(compare, errors=replace(compare.errors, extra_max=amounts[Means.EXTRA]))
        ),
    ):
        again = ahead(better, load)
        assert again is not None
        assert not again.late


def test_nothing_is_told_of_a_plan_that_compares_nothing() -> None:
    load = Load(rate_per_s=RATE, base=BASE)
    assert ahead(replace(RAMP, compare=None), load) is None
    assert ahead(plan((FULL, 60, 0)), load) is None
    assert ways(replace(RAMP, compare=None), load) == ()


def test_a_service_that_never_fails_can_be_proved_fine_and_shows_no_multiple_of_nothing() -> None:
    found = ahead(RAMP, Load(rate_per_s=RATE, base=0.0))
    assert found is not None
    assert found.way == ()
    assert found.fine_s is not None
    assert not found.late


@pytest.mark.parametrize("base", [0.0, 1e-5, 0.3])
@pytest.mark.parametrize("rate_per_s", [0.01, 1e6])
def test_every_load_has_a_forecast(base: float, rate_per_s: float) -> None:
    for of in (RAMP, EVIDENCE):
        assert ahead(of, Load(rate_per_s=rate_per_s, base=base)) is not None
        assert ways(of, Load(rate_per_s=rate_per_s, base=base))


def test_what_lies_within_the_margin_is_told_apart() -> None:
    found = ahead(RAMP, Load(rate_per_s=RATE, base=BASE))
    assert found is not None
    assert [look.within for look in found.way] == [True, False, False]
