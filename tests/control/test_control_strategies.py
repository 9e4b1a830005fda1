"""Stories of every strategy, with the real judge: who was asked, what callers met, and how it ended."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from control_asked import ask, deploy
from control_world import Character, World
from release_given import BLUE, GREEN, SERVICE, THIRD
from release_policies import MATCH

from celadon.domain.command import Abort, Deploy, Promote
from celadon.domain.compare import Compare, LabelMargin, Margin, PairMargin
from celadon.domain.draw import Draw
from celadon.domain.reason import Code
from celadon.domain.release import Cause, Outcome, Phase
from celadon.domain.samples import Answers
from celadon.domain.spec import AbTest, Advance, Ends, Exposure, OnDeadline, Ramp, Serves, Shadow, Step, Watch
from celadon.judge.limits import OWN

COMPARE = Compare(rest_s=20.0)
MIRRORED = replace(COMPARE, freeze_mirror=3000)
STEPS = (Step(share=500, dwell_s=5), Step(share=2500, dwell_s=5))
RAMP = {"strategy": Ramp(steps=STEPS), "compare": COMPARE}


def bring_up(world: World) -> None:
    world.rate = 2_000.0
    deploy(world, BLUE)
    world.until_ended()


def until(world: World, true: Callable[[World], bool], limit: int = 300) -> None:
    for _ in range(limit):
        if true(world):
            return
        world.step()
    raise AssertionError(f"never came true; now {world.memory.release}, {world.view and world.view.because}")


def in_phase(phase: Phase) -> Callable[[World], bool]:
    return lambda world: world.memory.release is not None and world.memory.release.phase is phase


def on_stage(number: int) -> Callable[[World], bool]:
    return lambda world: in_phase(Phase.WATCHING)(world) and world.memory.release.stage == number


def ended(world: World) -> tuple[Outcome | None, Cause]:
    last = world.memory.last
    assert last is not None
    return last.outcome, last.cause


def codes(world: World) -> list[str]:
    """Every reason that was journalled, in order."""
    found = []
    for record in world.journal.records(SERVICE):
        found += [step["because"]["code"] for step in record.body.get("steps", ())]
        found += [record.body["reason"]["code"]] if "reason" in record.body else []
    return found


def shares(world: World) -> list[int]:
    """Green's shares in the order in which routes were asked for, each as often as it changed."""
    found: list[int] = []
    for line in world.begun:
        if line.startswith("routes "):
            share = int(dict(part.split("=") for part in line[7:].split(",") if part).get("a", 0))
            found += [share] if not found or found[-1] != share else []
    return found


def test_a_ramp_rises_by_time_and_is_promoted_on_proof(world: World) -> None:
    bring_up(world)
    deploy(world, GREEN, **RAMP)
    world.until_ended()
    assert ended(world) == (Outcome.PROMOTED, Cause.PLAN)
    assert shares(world) == [0, 500, 2500, 10_000]
    assert codes(world).count("stage_ended") == 2
    assert world.memory.last is not None
    assert any(finding.worth.fine >= 20 for finding in world.memory.last.findings)
    assert world.lost == 0


def test_without_proof_the_last_stage_waits_for_a_person_and_goes_no_further(world: World) -> None:
    bring_up(world)
    world.rate = 100.0
    release = deploy(world, GREEN, **RAMP)
    until(world, in_phase(Phase.HOLDING))
    assert world.split() == {GREEN.id: 2500, BLUE.id: 7500}
    ask(world, Promote(release=release))
    until(world, on_stage(2))
    assert world.split() == {GREEN.id: 10_000}


def test_a_ramp_by_evidence_needs_no_time_and_more_proof_at_every_stage(world: World) -> None:
    bring_up(world)
    steps = (Step(share=500, dwell_s=0), Step(share=1000, dwell_s=0), Step(share=5000, dwell_s=0))
    deploy(world, GREEN, strategy=Ramp(steps=steps, advance=Advance.EVIDENCE), compare=COMPARE)
    world.until_ended()
    assert ended(world) == (Outcome.PROMOTED, Cause.PLAN)
    assert shares(world) == [0, 500, 1000, 5000, 10_000]


def test_a_failing_green_is_frozen_at_once_and_taken_back_when_its_copies_prove_it(world: World) -> None:
    bring_up(world)
    world.characters[GREEN.id].error_share = 1.0
    deploy(world, GREEN, **{**RAMP, "compare": MIRRORED})
    until(world, in_phase(Phase.FROZEN))
    until(world, lambda w: w.split() == {BLUE.id: 10_000})
    met = world.answered[GREEN.id][1]
    world.until_ended()
    assert world.answered[GREEN.id][1] == met, "a frozen green answers no caller"
    assert ended(world) == (Outcome.ROLLED_BACK, Cause.VERDICT)
    assert codes(world).count("frozen") == 1
    assert "thawed" not in codes(world)


def test_a_false_alarm_goes_on_with_the_same_callers(world: World) -> None:
    bring_up(world)
    release = deploy(world, GREEN, **{**RAMP, "compare": MIRRORED})
    until(world, on_stage(1))
    world.characters[GREEN.id].error_share = 0.02
    until(world, in_phase(Phase.FROZEN))
    before, world.characters[GREEN.id].error_share = world.memory.release, 0.0
    until(world, on_stage(1))
    assert before is not None
    assert draws(world) == [replace(draw, frozen=False) for draw in draws_of(before.id)]
    world.until_ended(limit=900)
    assert ended(world) == (Outcome.PROMOTED, Cause.PLAN)
    assert world.memory.last is not None
    assert (world.memory.last.id, world.memory.last.freezes) == (release, 1)
    assert codes(world).count("thawed") == 1


def draws(world: World) -> list[Draw]:
    assert world.confirmed is not None
    return [route.draw for route in world.confirmed.routes if route.draw is not None]


def draws_of(release: str) -> list[Draw]:
    return [Draw(green=GREEN.id, salt=f"default/{release}", stage=1, shares=(500, 2500), frozen=True)]


def test_without_copies_a_freeze_rests_and_goes_on_at_the_smallest_share(world: World) -> None:
    bring_up(world)
    deploy(world, GREEN, **RAMP)
    until(world, on_stage(1))
    world.characters[GREEN.id].error_share = 0.02
    until(world, in_phase(Phase.FROZEN))
    frozen_at, world.characters[GREEN.id].error_share = world.at, 0.0
    until(world, lambda w: not in_phase(Phase.FROZEN)(w))
    assert world.at >= frozen_at + 20
    until(world, on_stage(0))
    world.until_ended(limit=900)
    assert ended(world) == (Outcome.PROMOTED, Cause.PLAN)


def test_bad_answers_that_green_still_owed_when_a_freeze_began_do_not_prolong_it(world: World) -> None:
    bring_up(world)
    deploy(world, GREEN, **RAMP)
    until(world, on_stage(1))
    world.characters[GREEN.id].error_share = 0.02
    until(world, in_phase(Phase.FROZEN))
    frozen_at, world.characters[GREEN.id].error_share = world.at, 0.0
    at = int(world.at)
    owed = Answers(at_s=at, revision=GREEN.id, share=2500, requests=9, errors=9, failed=9)
    for _ in range(4):
        world.log.append(owed)
        world.step()
    until(world, lambda w: not in_phase(Phase.FROZEN)(w))
    assert world.at <= frozen_at + 25
    assert "doubt_grew" not in codes(world)


def test_the_third_freeze_waits_for_a_person_who_may_abort(world: World) -> None:
    bring_up(world)
    release = deploy(world, GREEN, **RAMP)
    for _ in range(3):
        until(world, in_phase(Phase.WATCHING))
        world.characters[GREEN.id].error_share = 1.0
        until(world, in_phase(Phase.FROZEN))
        world.characters[GREEN.id].error_share = 0.0
        world.step()
        if world.memory.release is not None and world.memory.release.freezes < 3:
            until(world, lambda w: not in_phase(Phase.FROZEN)(w))
    assert codes(world).count("third_freeze") == 1
    for _ in range(200):
        world.step()
    assert in_phase(Phase.FROZEN)(world)
    assert world.split() == {BLUE.id: 10_000}
    ask(world, Abort(release=release))
    world.until_ended()
    assert ended(world) == (Outcome.ROLLED_BACK, Cause.PERSON)


def test_a_person_may_let_a_frozen_release_go_on(world: World) -> None:
    bring_up(world)
    release = deploy(world, GREEN, **{**RAMP, "compare": replace(COMPARE, rest_s=10_000.0)})
    until(world, on_stage(1))
    world.characters[GREEN.id].error_share = 0.02
    until(world, in_phase(Phase.FROZEN))
    world.characters[GREEN.id].error_share = 0.0
    ask(world, Promote(release=release))
    until(world, on_stage(1), limit=5)
    assert world.split() == {GREEN.id: 2500, BLUE.id: 7500}


def test_a_newer_deploy_takes_a_frozen_release_back(world: World) -> None:
    bring_up(world)
    first = deploy(world, GREEN, **RAMP)
    until(world, on_stage(0))
    world.characters[GREEN.id].error_share = 1.0
    until(world, in_phase(Phase.FROZEN))
    deploy(world, THIRD)
    until(world, lambda w: w.memory.last is not None and w.memory.last.id == first)
    assert ended(world) == (Outcome.SUPERSEDED, Cause.SUPERSEDED)
    world.until_ended()
    assert world.memory.live == THIRD.id


def test_a_freeze_that_nothing_is_seen_of_does_not_last_for_ever(world: World) -> None:
    bring_up(world)
    deploy(world, GREEN, **RAMP, on_deadline=OnDeadline.ROLLBACK)
    until(world, on_stage(0))
    world.characters[GREEN.id].error_share = 1.0
    until(world, in_phase(Phase.FROZEN))
    world.samples_known = False
    world.until_ended()
    assert ended(world) == (Outcome.ROLLED_BACK, Cause.DEADLINE)


def test_a_test_ends_reported_with_its_findings_and_blue_has_everything_again(world: World) -> None:
    bring_up(world)
    deploy(world, GREEN, strategy=AbTest(match=MATCH, share=5000, test_s=20), compare=COMPARE)
    until(world, on_stage(0))
    assert world.confirmed is not None
    group, rest = world.confirmed.routes
    assert (group.match, {p.share for p in group.split}) == (MATCH, {5000})
    assert [part.revision for part in rest.split] == [BLUE.id]
    told = world.until_ended()
    assert "the test ended after 20 s" in told[-1]
    assert ended(world) == (Outcome.REPORTED, Cause.PLAN)
    assert world.memory.live == BLUE.id
    assert world.split() == {BLUE.id: 10_000}
    assert world.memory.last is not None
    assert [f.counts.green for f in world.memory.last.findings if f.metric == "errors"] > [9_000]
    until(world, lambda w: {r.id.revision for r in w.there.values()} == {BLUE.id})


@pytest.mark.parametrize("matching", [0.02, 0.5])
def test_a_test_of_a_small_group_ends_too(world: World, matching: float) -> None:
    bring_up(world)
    world.matching = matching
    deploy(world, GREEN, strategy=AbTest(match=MATCH, share=3000, test_s=10), compare=COMPARE)
    world.until_ended()
    assert ended(world) == (Outcome.REPORTED, Cause.PLAN)
    assert "split_off" not in codes(world)


def test_a_test_that_was_meant_to_promotes_what_it_proved(world: World) -> None:
    bring_up(world)
    test = AbTest(match=MATCH, share=5000, test_s=10, then=Ends.PROMOTED)
    deploy(world, GREEN, strategy=test, compare=COMPARE)
    world.until_ended()
    assert ended(world) == (Outcome.PROMOTED, Cause.PLAN)
    assert world.split() == {GREEN.id: 10_000}


def test_a_shadow_whose_answers_were_never_compared_says_so(world: World) -> None:
    bring_up(world)
    paired = replace(COMPARE, pairs=PairMargin())
    deploy(world, GREEN, strategy=Shadow(mirror=1000, test_s=10), compare=paired)
    assert "no answers could be compared with blue's" in world.until_ended()[-1]


def test_a_shadow_is_reported_and_no_caller_ever_met_it(world: World) -> None:
    bring_up(world)
    deploy(world, GREEN, strategy=Shadow(mirror=1000, test_s=1000, requests_max=2_000), compare=COMPARE)
    told = world.until_ended()
    assert "copies that no caller saw" in told[-1]
    assert ended(world) == (Outcome.REPORTED, Cause.PLAN)
    assert GREEN.id not in world.answered
    assert sum(one.requests for one in world.log if one.mirrored) >= 2_000


def test_a_shadow_that_fails_its_copies_is_taken_back_and_nobody_was_hurt(world: World) -> None:
    bring_up(world)
    world.characters[GREEN.id].error_share = 0.5
    deploy(world, GREEN, strategy=Shadow(mirror=1000, test_s=1000), compare=COMPARE)
    world.until_ended()
    assert ended(world) == (Outcome.ROLLED_BACK, Cause.VERDICT)
    assert GREEN.id not in world.answered


def test_a_shadow_then_a_ramp_then_a_gate(world: World) -> None:
    bring_up(world)
    steps = (
        Step(share=0, mirror=1000, dwell_s=5),
        Step(share=2500, dwell_s=5),
        Step(share=5000, dwell_s=5, gate=True),
    )
    release = deploy(world, GREEN, strategy=Ramp(steps=steps), compare=COMPARE)
    until(world, in_phase(Phase.WAITING))
    for _ in range(100):
        world.step()
    assert in_phase(Phase.WAITING)(world)
    assert world.split() == {GREEN.id: 2500, BLUE.id: 7500}
    ask(world, Promote(release=release))
    world.until_ended()
    assert ended(world) == (Outcome.PROMOTED, Cause.PLAN)
    assert shares(world) == [0, 2500, 5000, 10_000]


def test_harm_at_a_gate_is_taken_back(world: World) -> None:
    bring_up(world)
    steps = (Step(share=2500, dwell_s=5), Step(share=5000, dwell_s=5, gate=True))
    deploy(world, GREEN, strategy=Ramp(steps=steps), compare=MIRRORED)
    until(world, in_phase(Phase.WAITING))
    world.characters[GREEN.id].error_share = 1.0
    world.until_ended()
    assert ended(world) == (Outcome.ROLLED_BACK, Cause.VERDICT)


def test_a_false_alarm_at_a_gate_goes_back_to_the_gate(world: World) -> None:
    bring_up(world)
    steps = (Step(share=2500, dwell_s=5), Step(share=5000, dwell_s=5, gate=True))
    deploy(world, GREEN, strategy=Ramp(steps=steps), compare=MIRRORED)
    until(world, in_phase(Phase.WAITING))
    world.characters[GREEN.id].error_share = 0.02
    until(world, in_phase(Phase.FROZEN))
    world.characters[GREEN.id].error_share = 0.0
    until(world, in_phase(Phase.WAITING))
    assert world.split() == {GREEN.id: 2500, BLUE.id: 7500}


def test_a_control_of_blue_gets_as_much_as_green_and_goes_when_nothing_is_compared(world: World) -> None:
    bring_up(world)
    deploy(world, GREEN, strategy=Ramp(steps=STEPS, control=True), compare=COMPARE)
    until(world, on_stage(1))
    assert world.confirmed is not None
    parts = [(part.revision, part.arm, part.share) for part in world.confirmed.routes[0].split]
    assert parts == [(GREEN.id, "main", 2500), (BLUE.id, "main", 5000), (BLUE.id, "control", 2500)]
    assert len([key for key in world.there if key.index >= 1000]) == 2
    world.until_ended()
    until(world, lambda w: not [key for key in w.there if key.index >= 1000])
    assert world.lost == 0


def test_blue_serves_while_a_switch_holds_and_promote_moves_everything_again(world: World) -> None:
    bring_up(world)
    release = deploy(world, GREEN, hold_serves=Serves.BLUE)
    until(world, in_phase(Phase.WATCHING))
    world.samples_known = False
    until(world, in_phase(Phase.HOLDING))
    until(world, lambda w: w.split() == {BLUE.id: 10_000}, limit=3)
    for _ in range(50):
        world.step()
    assert in_phase(Phase.HOLDING)(world)
    ask(world, Promote(release=release))
    world.until_ended(limit=5)
    assert ended(world) == (Outcome.PROMOTED, Cause.PERSON)
    assert world.split() == {GREEN.id: 10_000}


LABELLED = replace(COMPARE, labels=LabelMargin(wrong=Margin(required=False)))
ON_PROBATION = {"strategy": Ramp(steps=STEPS), "compare": LABELLED, "probation_s": 2_000.0}


def promote_unlabelled(world: World) -> None:
    bring_up(world)
    world.labelled, world.late = 0.1, []
    world.characters[GREEN.id].wrong_share = 0.5
    deploy(world, GREEN, **ON_PROBATION)
    world.until_ended()
    assert ended(world) == (Outcome.PROMOTED, Cause.PLAN)
    assert world.memory.probation is not None


def test_a_person_can_not_give_requests_to_a_green_that_nobody_can_see(world: World) -> None:
    bring_up(world)
    release = deploy(world, GREEN, strategy=Ramp(steps=STEPS), compare=COMPARE)
    until(world, in_phase(Phase.WATCHING))
    share = world.split()
    world.replicas_unknown = True
    ask(world, Promote(release=release))
    told = {world.step().because.code for _ in range(3)}
    assert Code.NOT_PROMOTED in told
    assert world.split() == share
    world.replicas_unknown = False
    ask(world, Promote(release=release))
    until(world, on_stage(1))


def test_labels_that_come_after_the_promotion_take_it_back(world: World) -> None:
    promote_unlabelled(world)
    for _ in range(20):
        world.step()
    world.label_what_was_answered()
    until(world, lambda w: w.memory.live == BLUE.id)
    last = world.memory.last
    assert last is not None
    assert (last.outcome, last.cause, last.way_back) == (Outcome.PROMOTED, Cause.VERDICT, True)
    assert "probation_harm" in codes(world)
    assert world.memory.releases_asked == last.number
    assert world.split() == {BLUE.id: 10_000}
    assert world.lost == 0


def test_late_harm_takes_back_what_moves_first(world: World) -> None:
    promote_unlabelled(world)
    moving = deploy(world, THIRD)
    until(world, in_phase(Phase.WATCHING))
    world.label_what_was_answered()
    until(world, lambda w: w.memory.live == BLUE.id)
    superseded = [
        record.body["set"]["last"]
        for record in world.journal.records(SERVICE)
        if "last" in record.body.get("set", {})
    ]
    assert (moving, "superseded") in [(last["id"], last["outcome"]) for last in superseded]


def test_late_harm_of_what_is_not_live_any_more_is_only_told(world: World) -> None:
    promote_unlabelled(world)
    deploy(world, THIRD)
    world.until_ended()
    world.label_what_was_answered()
    until(world, lambda w: w.memory.probation is None)
    assert "probation_harm" in codes(world)
    assert (world.memory.live, world.memory.release) == (THIRD.id, None)


def test_a_probation_ends_quietly_and_blue_is_held_until_then(world: World) -> None:
    promote_unlabelled(world)
    world.at += 1_500
    world.step()
    assert world.memory.predecessor is not None, "hold_s is over, and the probation is not"
    world.at += 600
    for _ in range(5):
        world.step()
    assert (world.memory.probation, world.memory.predecessor) == (None, None)
    assert world.memory.live == GREEN.id


def test_what_an_exposure_budget_really_cost_is_told_at_the_end(world: World) -> None:
    bring_up(world)
    world.characters[GREEN.id].error_share = 1.0
    budget = Exposure(bad_answers_max=100, confidence=0.95, rate_per_s=2_000)
    deploy(world, GREEN, exposure=budget, compare=MIRRORED)
    world.until_ended()
    assert ended(world) == (Outcome.ROLLED_BACK, Cause.VERDICT)
    last = world.memory.last
    assert last is not None
    assert last.bad_answers == world.answered[GREEN.id][1]
    assert 0 < last.bad_answers <= 100
    assert "exposure" in codes(world)


def test_new_settings_in_mid_release_change_limits_and_not_what_is_compared(world: World) -> None:
    bring_up(world)
    release = deploy(world, GREEN, **RAMP)
    until(world, on_stage(1))
    assert world.memory.release is not None
    before = world.memory.release.plan
    changed = replace(
        world.memory.release.settings.release, hold_s=5.0, strategy=Shadow(test_s=1), compare=MIRRORED
    )
    settings = replace(world.memory.release.settings, release=changed)
    ask(world, Deploy(release=release, revision=GREEN, settings=settings))
    world.step()
    assert world.memory.release is not None
    after = world.memory.release.plan
    assert (after.stages, after.compare, after.hold_s) == (before.stages, before.compare, 5.0)
    world.until_ended()
    assert world.memory.live == GREEN.id


def test_what_was_staked_against_one_limit_says_nothing_of_another(world: World) -> None:
    bring_up(world)
    for revision in (BLUE, GREEN):
        world.characters[revision.id].error_share = 0.06
    strict = Watch(watch_s=5, requests_min=10, error_share_max=0.04, deadline_s=1000)
    slow = Ramp(steps=(Step(share=2500, dwell_s=100),))
    release = deploy(world, GREEN, watch=strict, strategy=slow, compare=COMPARE)
    until(world, lambda w: staked(w) > 1.0)
    assert world.memory.release is not None
    now = world.memory.release.settings
    lenient = replace(now, release=replace(now.release, watch=replace(strict, error_share_max=0.2)))
    ask(world, Deploy(release=release, revision=GREEN, settings=lenient))
    world.step()
    world.step()
    assert staked(world) == pytest.approx(1.0)


def staked(world: World) -> float:
    """Money on green's breaking the limit of its errors when the open window began."""
    evidence = world.memory.evidence
    bet = evidence.ledger.bets.get(OWN) if evidence is not None and evidence.ledger is not None else None
    return sum(bet.stakes.capped) if bet is not None else 1.0


@pytest.mark.parametrize("error_share", [0.0, 1.0])
def test_a_crash_in_any_stage_or_freeze_leads_to_the_same_end(tmp_path: Path, error_share: float) -> None:
    def run(folder: Path, crash_at: int | None) -> tuple[object, ...]:
        folder.mkdir()
        world = World(folder=folder, service=SERVICE)
        world.characters = {BLUE.id: Character(), GREEN.id: Character(error_share=error_share)}
        bring_up(world)
        deploy(world, GREEN, **{**RAMP, "compare": MIRRORED})
        ticks = 0
        while world.memory.release is not None or world.memory.commands:
            world.step()
            ticks += 1
            if ticks == crash_at:
                world.crash()
            assert ticks < 300
        last = world.memory.last
        assert last is not None
        world.journal.close()
        return last.outcome, last.cause, world.memory.live, world.split(), world.lost, last.freezes, ticks

    *calm, ticks = run(tmp_path / "calm", None)
    for crash_at in range(1, ticks + 1, 5):
        *crashed, _ = run(tmp_path / str(crash_at), crash_at)
        assert crashed == calm, f"a crash after tick {crash_at} changed the end"
