"""What every strategy plans: stages, and what each of them has to prove."""

from dataclasses import replace

import pytest
from release_given import settings
from release_policies import COMPARE, GATED, MATCH, MIRRORED, POLICIES, STEPS

from celadon.domain.draw import EVERY
from celadon.domain.plan import FULL, Plan
from celadon.domain.spec import AbTest, Advance, Ends, Exposure, OnDeadline, Ramp, ReleasePolicy, Step
from celadon.release.plan import plan_of, renewed, way_back


def policy(**given: object) -> ReleasePolicy:
    return settings(**given).release


def shares(plan: Plan) -> list[int]:
    return [stage.share for stage in plan.stages]


def test_a_first_revision_goes_straight() -> None:
    plan = plan_of(policy(strategy=Ramp(steps=STEPS), compare=COMPARE, gate=True), first=True)
    assert (shares(plan), plan.compare, plan.probation_s) == ([FULL], None, 0.0)
    assert plan.stages[0].gate


def test_a_ramp_ends_with_every_request_whatever_its_last_step() -> None:
    assert shares(plan_of(policy(strategy=Ramp(steps=STEPS)))) == [500, 2500, FULL]
    whole = (*STEPS, Step(share=FULL, dwell_s=3))
    plan = plan_of(policy(strategy=Ramp(steps=whole)))
    assert (shares(plan), plan.stages[-1].dwell_s) == ([500, 2500, FULL], 3)


def test_by_time_only_the_last_comparable_stage_asks_for_proof() -> None:
    plan = plan_of(policy(strategy=Ramp(steps=STEPS), compare=COMPARE))
    assert [stage.proof for stage in plan.stages] == [0.0, pytest.approx(20.0), 0.0]


def test_by_evidence_the_proof_grows_alike_from_stage_to_stage() -> None:
    steps = (Step(share=0, mirror=100, dwell_s=1), *STEPS, Step(share=5000, dwell_s=0))
    plan = plan_of(policy(strategy=Ramp(steps=steps, advance=Advance.EVIDENCE), compare=COMPARE))
    assert [stage.proof for stage in plan.stages] == [
        0.0,
        pytest.approx(20 ** (1 / 3)),
        pytest.approx(20 ** (2 / 3)),
        pytest.approx(20.0),
        0.0,
    ]
    assert all(stage.dwell_s >= 10 for stage in plan.stages[1:4])


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_whatever_is_compared_and_promoted_was_proved_before_nothing_is_left_to_compare(name: str) -> None:
    plan = plan_of(policy(**POLICIES[name]))
    below = [stage for stage in plan.stages if 0 < stage.share < FULL]
    if plan.compare is not None and plan.ends is Ends.PROMOTED and below:
        assert below[-1].proof == pytest.approx(1 / plan.compare.alpha_fine)
    assert all(stage.guard is not None for stage in plan.stages)
    assert plan.ends is Ends.REPORTED or plan.stages[-1].share == FULL


def test_a_gate_of_the_policy_stands_before_everything() -> None:
    plan = plan_of(policy(strategy=Ramp(steps=GATED), gate=True))
    assert [stage.gate for stage in plan.stages] == [True, False, True, False]


def test_a_test_is_drawn_among_those_who_match_and_its_promotion_among_all() -> None:
    test = plan_of(policy(strategy=AbTest(match=MATCH, test_s=60), compare=COMPARE))
    assert (shares(test), test.match, test.ends) == ([5000], MATCH, Ends.REPORTED)
    then = plan_of(policy(strategy=AbTest(match=MATCH, test_s=60, then=Ends.PROMOTED), compare=COMPARE))
    assert (shares(then), then.ends) == ([5000, FULL], Ends.PROMOTED)


def test_a_stage_may_last_longer_than_the_deadline_which_counts_from_its_end() -> None:
    plan = plan_of(policy(strategy=AbTest(test_s=86_400)))
    assert plan.stages[0].deadline_s == 86_400 + plan.watch_deadline_s


def test_an_exposure_budget_takes_the_place_of_steps() -> None:
    budget = Exposure(bad_answers_max=50, confidence=0.95, rate_per_s=100)
    plan = plan_of(policy(exposure=budget, compare=MIRRORED))
    assert shares(plan) == sorted(shares(plan))
    assert len(plan.stages) > 1
    assert plan.stages[-1].share == FULL
    assert plan.bad_answers_max == 50


def test_a_way_back_is_unwatched_and_at_once() -> None:
    plan = way_back(policy(on_deadline=OnDeadline.ROLLBACK), parent="fraud-1")
    assert (shares(plan), plan.stages[0].guard, plan.on_deadline) == ([FULL], None, OnDeadline.HOLD)


def test_a_plan_that_is_renewed_on_its_way_keeps_the_way_and_the_comparison() -> None:
    old = plan_of(policy(strategy=Ramp(steps=STEPS), compare=COMPARE))
    asked = replace(policy(strategy=Ramp(steps=GATED), compare=MIRRORED), hold_s=7.0)
    new = renewed(old, plan_of(asked, parent="fraud-2"))
    assert (new.stages, new.compare, new.match) == (old.stages, old.compare, EVERY)
    assert (new.hold_s, new.parent) == (7.0, "fraud-2")


def test_a_plan_that_goes_the_same_way_may_change_its_times() -> None:
    old = plan_of(policy(strategy=Ramp(steps=STEPS)))
    slower = tuple(replace(step, dwell_s=60.0) for step in STEPS)
    new = renewed(old, plan_of(policy(strategy=Ramp(steps=slower))))
    assert [stage.dwell_s for stage in new.stages] == [60.0, 60.0, 10]
