"""The judge in the loop: its evidence outlives stages, ticks and kills, and what is not seen moves nothing."""

from pathlib import Path

import pytest
from control_asked import deploy
from control_world import Character, World
from release_given import BLUE, GREEN, SERVICE, THIRD

from celadon.domain.compare import Compare, LabelMargin, Margin
from celadon.domain.release import Phase
from celadon.domain.samples import Evidence
from celadon.domain.spec import Ramp, Step
from celadon.domain.verdict import Unsure
from celadon.judge.coin import summed, totals

COMPARE = Compare(labels=LabelMargin(wrong=Margin(required=False)))
STEPS = (Step(share=500, dwell_s=4), Step(share=2500, dwell_s=30))


def watched(world: World, stage: int = 0) -> Evidence:
    """Up to the watch of a stage."""
    for _ in range(100):
        world.step()
        release = world.memory.release
        if release is not None and (release.phase, release.stage) == (Phase.WATCHING, stage):
            return evidence(world)
    raise AssertionError(f"never watched: {world.view and world.view.because}")


def evidence(world: World) -> Evidence:
    assert world.draft is not None
    assert world.draft.memory.evidence is not None
    return world.draft.memory.evidence


def bring_up(world: World) -> None:
    world.rate, world.labelled = 2_000.0, 0.1
    world.characters[BLUE.id].error_share = 0.01
    world.characters[GREEN.id].error_share = 0.01
    deploy(world, BLUE)
    world.until_ended()
    deploy(world, GREEN, strategy=Ramp(steps=STEPS), compare=COMPARE)


def answers(of: Evidence, metric: str = "errors") -> int:
    assert of.ledger is not None
    seen = summed(totals(of.ledger.coins[metric]))
    return seen.green + seen.blue


@pytest.mark.parametrize("kills", [(3,), (1, 2, 9, 10, 17)])
def test_after_kills_the_wealth_is_that_of_a_daemon_that_lived_on(
    tmp_path: Path, kills: tuple[int, ...]
) -> None:
    found = []
    for name, killed in (("alive", ()), ("killed", kills)):
        (tmp_path / name).mkdir()
        world = World(folder=tmp_path / name, service=SERVICE)
        world.characters = {one.id: Character() for one in (BLUE, GREEN, THIRD)}
        bring_up(world)
        watched(world, stage=1)
        for step in range(25):
            if step in killed:
                world.crash()
            world.step()
        found.append(evidence(world))
        world.journal.close()
    alive, after_kills = found
    assert answers(alive) > 10_000
    assert after_kills.ledger == alive.ledger
    assert after_kills.counts == alive.counts


def test_a_stage_begins_with_the_guard_anew_and_the_comparison_goes_on(world: World) -> None:
    bring_up(world)
    watched(world)
    for _ in range(4):
        world.step()
    before = evidence(world)
    after = watched(world, stage=1)
    assert answers(after) > answers(before) > 0
    assert answers(after, "wrong answers") > 0
    assert sum(one.requests for one in after.counts) < sum(one.requests for one in before.counts)


def test_every_answer_to_a_caller_is_counted_from_green_s_first_on(world: World) -> None:
    bring_up(world)
    watched(world)
    world.step()
    ledger = evidence(world).ledger
    assert ledger is not None
    assert summed(totals(ledger.coins["errors"])).green == world.answered[GREEN.id][0]


def test_without_samples_nothing_moves_either_way(world: World) -> None:
    bring_up(world)
    watched(world)
    world.samples_known = False
    world.characters[GREEN.id].error_share = 1.0
    before = evidence(world)
    for _ in range(10):
        view = world.step()
        assert view.judged is not None
        assert isinstance(view.judged.verdict, Unsure)
    assert world.memory.release is not None
    assert (world.memory.release.phase, world.memory.release.stage) == (Phase.WATCHING, 0)
    after = evidence(world)
    assert (after.cursor, after.counts, answers(after)) == (before.cursor, before.counts, answers(before))


def test_before_green_has_a_request_no_evidence_is_remembered(world: World) -> None:
    bring_up(world)
    world.step()
    assert world.memory.release is not None
    assert world.memory.release.phase in {Phase.PREPARING, Phase.PROVING}
    assert world.memory.evidence is None
    assert world.draft is not None
    assert world.draft.memory.evidence is None
