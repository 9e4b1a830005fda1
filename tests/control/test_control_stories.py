"""Stories of the loop: a deploy in, the whole tick with its real journal, and what callers and people saw."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from control_asked import ask, deploy
from control_world import Character, World
from release_given import BLUE, GREEN, SERVICE, THIRD, settings

from celadon.domain.command import Abort, Deploy, Pause, Promote, Remove, Resume, Rollback
from celadon.domain.release import Cause, Outcome, Phase
from celadon.domain.spec import OnDeadline


def bring_up(world: World, **given: object) -> None:
    deploy(world, BLUE, **given)
    world.until_ended()
    assert world.memory.live == BLUE.id
    assert world.split() == {BLUE.id: 10_000}


def until(world: World, true: Callable[[World], bool], limit: int = 100) -> None:
    for _ in range(limit):
        if true(world):
            return
        world.step()
    raise AssertionError(f"never came true; now {world.memory.release}")


def in_phase(phase: Phase) -> Callable[[World], bool]:
    return lambda world: world.memory.release is not None and world.memory.release.phase is phase


def test_a_first_revision_goes_live_without_a_watch(world: World) -> None:
    bring_up(world)
    last = world.memory.last
    assert last is not None
    assert last.outcome is Outcome.PROMOTED
    assert world.memory.predecessor is None


def test_a_good_revision_is_promoted_and_blue_is_held_ready(world: World) -> None:
    bring_up(world)
    deploy(world, GREEN)
    told = world.until_ended()
    assert world.memory.live == GREEN.id
    assert world.memory.predecessor is not None
    assert world.memory.predecessor.revision == BLUE.id
    assert {r.id.revision for r in world.there.values()} == {BLUE.id, GREEN.id}
    assert world.split() == {GREEN.id: 10_000}
    assert world.lost == 0
    assert told[-1].startswith("rest: the watch ended clean: 1000 answers, 0 errors")


def test_a_revision_that_fails_requests_is_taken_back(world: World) -> None:
    bring_up(world)
    world.characters[GREEN.id].error_share = 0.2
    deploy(world, GREEN)
    told = world.until_ended()
    last = world.memory.last
    assert last is not None
    assert (last.outcome, last.cause) == (Outcome.ROLLED_BACK, Cause.VERDICT)
    assert world.split() == {BLUE.id: 10_000}
    assert "green's 50 answers were errors: 20.0 %" in told[-1]
    until(world, lambda w: {r.id.revision for r in w.there.values()} == {BLUE.id})


def test_a_slow_revision_is_taken_back(world: World) -> None:
    bring_up(world)
    world.characters[GREEN.id].latency_ms = 5_000
    deploy(world, GREEN)
    assert "p95 latency" in world.until_ended()[-1]
    assert world.memory.live == BLUE.id


def test_every_release_starts_from_bytes_that_were_verified_for_it(world: World) -> None:
    bring_up(world)
    world.characters[GREEN.id].golden = False
    for _ in range(2):
        deploy(world, GREEN)
        world.until_ended()
        until(world, lambda w: {r.id.revision for r in w.there.values()} == {BLUE.id})
    assert world.begun.count("fetch a") == 2


def test_wrong_golden_answers_never_get_traffic(world: World) -> None:
    bring_up(world)
    world.characters[GREEN.id].golden = False
    deploy(world, GREEN)
    assert "golden requests wrongly: first: status 500" in world.until_ended()[-1]
    assert world.answered.get(GREEN.id) is None


def test_the_same_revision_is_proved_again_after_it_failed(world: World) -> None:
    bring_up(world)
    world.characters[GREEN.id].golden = False
    deploy(world, GREEN)
    world.until_ended()
    world.characters[GREEN.id].golden = True
    deploy(world, GREEN)
    world.until_ended()
    assert world.memory.live == GREEN.id


def test_a_revision_that_does_not_start_is_given_up_with_its_stderr(world: World) -> None:
    bring_up(world)
    world.characters[GREEN.id].starts = False
    deploy(world, GREEN)
    assert world.until_ended()[-1] == (
        "rest: a replica of green ended with status 1 before it was ready\nno such model"
    )
    assert world.split() == {BLUE.id: 10_000}


def test_a_revision_that_was_taken_back_is_proved_again_when_it_returns(world: World) -> None:
    bring_up(world)
    world.characters[GREEN.id].error_share = 0.5
    deploy(world, GREEN)
    world.until_ended()
    world.characters[GREEN.id].golden = False
    deploy(world, GREEN)
    assert "golden requests wrongly" in world.until_ended()[-1]


def test_new_settings_in_mid_release_make_a_new_plan_that_names_its_parent(world: World) -> None:
    bring_up(world)
    release = deploy(world, GREEN)
    until(world, in_phase(Phase.WATCHING))
    ask(world, Deploy(release=release, revision=GREEN, settings=settings(on_deadline=OnDeadline.ROLLBACK)))
    world.step()
    moving = world.memory.release
    assert moving is not None
    assert (moving.id, moving.phase) == (release, Phase.WATCHING)
    assert (moving.plan.on_deadline, moving.plan.parent) == (OnDeadline.ROLLBACK, release)


def test_a_gate_waits_for_a_person_and_opens_at_promote(world: World) -> None:
    bring_up(world)
    release = deploy(world, GREEN, gate=True)
    until(world, in_phase(Phase.WAITING))
    for _ in range(50):
        world.step()
    assert world.split() == {BLUE.id: 10_000}
    ask(world, Promote(release=release))
    world.until_ended()
    assert world.memory.live == GREEN.id


def test_promote_ends_a_watch_at_once(world: World) -> None:
    bring_up(world)
    release = deploy(world, GREEN)
    until(world, in_phase(Phase.WATCHING))
    ask(world, Promote(release=release))
    world.step()
    last = world.memory.last
    assert last is not None
    assert (last.outcome, last.cause) == (Outcome.PROMOTED, Cause.PERSON)


def test_abort_takes_traffic_back_without_samples(world: World) -> None:
    bring_up(world)
    release = deploy(world, GREEN)
    until(world, in_phase(Phase.WATCHING))
    world.samples_known = False
    ask(world, Abort(release=release))
    world.until_ended()
    last = world.memory.last
    assert last is not None
    assert (last.outcome, last.cause) == (Outcome.ROLLED_BACK, Cause.PERSON)
    assert world.split() == {BLUE.id: 10_000}


def test_missing_samples_hold_and_the_deadline_asks_a_person(world: World) -> None:
    bring_up(world)
    release = deploy(world, GREEN)
    until(world, in_phase(Phase.WATCHING))
    world.samples_known = False
    until(world, in_phase(Phase.HOLDING))
    for _ in range(50):
        world.step()
    assert world.split() == {GREEN.id: 10_000}
    ask(world, Promote(release=release))
    world.until_ended()
    assert world.memory.live == GREEN.id


def test_an_idle_service_is_neither_promoted_nor_rolled_back(world: World) -> None:
    bring_up(world)
    world.rate = 0.0
    deploy(world, GREEN)
    until(world, in_phase(Phase.HOLDING))
    world.rate = 100.0
    world.until_ended()
    assert world.memory.live == GREEN.id


def test_a_paused_release_goes_no_further_and_still_rolls_back(world: World) -> None:
    bring_up(world)
    release = deploy(world, GREEN)
    until(world, in_phase(Phase.WATCHING))
    ask(world, Pause(release=release))
    for _ in range(60):
        world.step()
    assert world.memory.release is not None
    assert world.memory.release.phase is Phase.WATCHING
    world.characters[GREEN.id].error_share = 0.5
    world.until_ended()
    assert world.memory.live == BLUE.id


def test_a_resumed_release_ends_as_planned(world: World) -> None:
    bring_up(world)
    release = deploy(world, GREEN)
    until(world, in_phase(Phase.PROVING))
    ask(world, Pause(release=release))
    for _ in range(20):
        world.step()
    assert world.split() == {BLUE.id: 10_000}
    ask(world, Resume(release=release))
    world.until_ended()
    assert world.memory.live == GREEN.id


def test_a_newer_deploy_first_takes_the_older_one_back(world: World) -> None:
    bring_up(world)
    first = deploy(world, GREEN)
    until(world, in_phase(Phase.WATCHING))
    deploy(world, THIRD)
    until(world, lambda w: w.memory.last is not None and w.memory.last.id == first)
    assert world.memory.last is not None
    assert world.memory.last.outcome is Outcome.SUPERSEDED
    assert world.split() == {BLUE.id: 10_000}
    world.until_ended()
    assert world.memory.live == THIRD.id


def test_of_several_waiting_deploys_only_the_newest_starts(world: World) -> None:
    bring_up(world)
    deploy(world, GREEN)
    until(world, in_phase(Phase.WATCHING))
    deploy(world, GREEN, gate=True)
    newest = deploy(world, THIRD)
    world.until_ended()
    assert world.memory.live == THIRD.id
    assert world.memory.last is not None
    assert world.memory.last.id == newest


def test_deploying_what_is_live_changes_settings_only(world: World) -> None:
    bring_up(world)
    before = dict(world.there)
    deploy(world, BLUE, replicas=3)
    world.until_ended()
    for _ in range(3):
        world.step()
    assert len(world.there) == 3
    assert all(world.there[key] == one for key, one in before.items())


def test_fewer_replicas_stop_only_once_they_are_drained(world: World) -> None:
    bring_up(world)
    deploy(world, BLUE, replicas=1)
    world.until_ended()
    for _ in range(10):
        world.step()
    assert world.lost == 0


def test_a_way_back_uses_what_is_already_running(world: World) -> None:
    bring_up(world)
    deploy(world, GREEN)
    world.until_ended()
    started = [line for line in world.begun if line.startswith("start")]
    release = f"fraud-{world.memory.releases_asked + 1}"
    ask(world, Rollback(release=release, revision=BLUE.id))
    world.until_ended(limit=6)
    assert world.memory.live == BLUE.id
    assert world.split() == {BLUE.id: 10_000}
    assert [line for line in world.begun if line.startswith("start")] == started


def test_blue_is_retired_when_its_hold_ends(world: World) -> None:
    bring_up(world)
    deploy(world, GREEN)
    world.until_ended()
    world.at += 1_001
    for _ in range(5):
        world.step()
    assert {r.id.revision for r in world.there.values()} == {GREEN.id}
    assert world.lost == 0


def test_a_removed_service_leaves_nothing(world: World) -> None:
    bring_up(world)
    ask(world, Remove())
    until(world, lambda w: w.memory.removed)
    assert world.there == {}
    assert world.confirmed is None


def test_a_removed_service_can_come_back(world: World) -> None:
    bring_up(world)
    ask(world, Remove())
    until(world, lambda w: w.memory.removed)
    bring_up(world)


def test_harm_without_a_ready_blue_keeps_somebody_serving(world: World) -> None:
    bring_up(world)
    deploy(world, GREEN)
    until(world, in_phase(Phase.WATCHING))
    for key in [key for key in world.there if key.revision == BLUE.id]:
        del world.there[key]
    world.characters[GREEN.id].error_share = 0.5
    world.characters[BLUE.id].starts = False
    for _ in range(20):
        world.step()
        assert world.split() == {GREEN.id: 10_000}
    world.characters[BLUE.id].starts = True
    world.at += 60
    world.until_ended()
    assert world.split() == {BLUE.id: 10_000}


@pytest.mark.parametrize("character", [Character(), Character(error_share=0.3), Character(golden=False)])
def test_a_crash_after_any_tick_leads_to_the_same_end(tmp_path: Path, character: Character) -> None:
    def run(folder: Path, crash_at: int | None) -> tuple[object, ...]:
        folder.mkdir()
        world = World(folder=folder, service=SERVICE)
        world.characters = {BLUE.id: Character(), GREEN.id: character}
        bring_up(world)
        deploy(world, GREEN)
        ticks = 0
        while world.memory.release is not None or world.memory.commands:
            world.step()
            ticks += 1
            if ticks == crash_at:
                world.crash()
            assert ticks < 200
        last = world.memory.last
        assert last is not None
        world.journal.close()
        return last.outcome, last.cause, world.memory.live, world.split(), world.lost, ticks

    *calm, ticks = run(tmp_path / "calm", None)
    for crash_at in range(1, ticks + 1):
        *crashed, _ = run(tmp_path / str(crash_at), crash_at)
        assert crashed == calm, f"a crash after tick {crash_at} changed the end"


def test_at_rest_nothing_is_begun_and_nothing_is_journalled(world: World) -> None:
    bring_up(world)
    for _ in range(5):
        world.step()
    begun, seq = len(world.begun), world.memory.seq
    for _ in range(50):
        world.step()
    assert (len(world.begun), world.memory.seq) == (begun, seq)


def test_a_jump_of_the_clock_is_journalled(world: World) -> None:
    bring_up(world)
    deploy(world, GREEN)
    until(world, in_phase(Phase.WATCHING))
    world.step(jumped_s=3_600)
    told = [
        step["because"]["code"] for r in world.journal.records(SERVICE) for step in r.body.get("steps", ())
    ]
    told += [r.body["reason"]["code"] for r in world.journal.records(SERVICE) if "reason" in r.body]
    assert "clock_jumped" in told


def test_a_replica_with_an_answer_under_way_is_stopped_at_the_drain_deadline_and_not_before(
    world: World,
) -> None:
    bring_up(world)
    world.characters[GREEN.id].error_share = 0.5
    world.busy.add(GREEN.id)
    deploy(world, GREEN)
    world.until_ended()
    rolled_back_at = world.at
    while any(r.id.revision == GREEN.id for r in world.there.values()):
        assert world.at < rolled_back_at + 10
        world.step()
    assert world.at >= rolled_back_at + settings().drain_s


def test_a_way_back_to_a_revision_that_was_retired_asks_its_own_golden_requests(world: World) -> None:
    mine, another = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    ask(world, Deploy(release="fraud-1", revision=BLUE, settings=replace(settings(), golden=mine)))
    world.until_ended()
    ask(world, Deploy(release="fraud-2", revision=GREEN, settings=replace(settings(), golden=another)))
    world.until_ended()
    world.at += 1_001
    world.step()
    ask(world, Rollback(release="fraud-3", revision=BLUE.id))
    until(world, in_phase(Phase.PROVING))
    assert world.memory.goal is not None
    assert (world.memory.goal.prove, world.memory.goal.golden) == (BLUE.id, mine)
    world.until_ended()
    assert world.memory.settings is not None
    assert world.memory.settings.golden == mine


def test_golden_requests_that_were_refused_are_not_those_of_the_revision(world: World) -> None:
    mine, refused, later = ("sha256:" + number * 64 for number in "123")
    ask(world, Deploy(release="fraud-1", revision=BLUE, settings=replace(settings(), golden=mine)))
    world.until_ended()
    world.characters[GREEN.id].golden = False
    for number, golden in ((2, refused), (3, later)):
        ask(
            world,
            Deploy(release=f"fraud-{number}", revision=GREEN, settings=replace(settings(), golden=golden)),
        )
        assert "golden requests wrongly" in world.until_ended()[-1]
    world.characters[GREEN.id].golden = True
    ask(world, Rollback(release="fraud-4", revision=GREEN.id))
    until(world, in_phase(Phase.PROVING))
    assert world.memory.goal is not None
    assert (world.memory.goal.prove, world.memory.goal.golden) == (GREEN.id, later)
    world.until_ended()
    assert world.memory.goldens == {BLUE.id: mine, GREEN.id: later}
