"""Scripts of releases: every strategy, good greens and bad ones, and every way in which a person steps in."""

import random
import time
from collections.abc import Callable, Mapping

from bench.celadon_home import Json
from bench.soak_service import Service

FEW_S = 3.0

WATCH: Json = {
    "seconds": 1,
    "minRequests": 5,
    "maxErrorPercent": 20,
    "maxLatencyMsP95": 60_000,
    "deadlineSeconds": 20,
}
JUDGE: Json = {
    "errors": {"extraPercent": 20},
    "falsePromotionPercent": 45,
    "falseRollbackPercent": 10,
    "freezeSeconds": 2,
}
"""A judge that is soon sure: how good it is, is not asked here."""
HALF: Json = {"percent": 50, "seconds": 1}
FULL: Json = {"percent": 100, "seconds": 1}


def policy(strategy: Json | None = None, **more: object) -> Json:
    """A release in seconds: at some ten requests a second only a wide margin is proved so soon."""
    chosen: Json = {"watch": WATCH, "holdSeconds": 1, "startSeconds": 30, **more}
    return chosen if strategy is None else {"strategy": strategy, **chosen}


def canary(*, stages: tuple[Json, ...] = (HALF, FULL), judge: Json | None = None, **more: object) -> Json:
    return policy({"canary": {"stages": list(stages), **more}}, judge=JUDGE | (judge or {}))


def blue_green(of: Service) -> None:
    of.deploy("good", policy())
    of.settle("promoted")


def blue_green_that_fails(of: Service) -> None:
    of.deploy("bad", policy())
    of.settle("rolled_back")


def by_time(of: Service) -> None:
    of.deploy("good", canary(stages=({"percent": 20, "seconds": 1}, HALF, FULL)))
    of.settle("promoted")


def by_evidence(of: Service) -> None:
    of.deploy("good", canary(advance="evidence"))
    of.settle("promoted")


def beside_a_control(of: Service) -> None:
    of.deploy("good", canary(control=True))
    of.settle("promoted")


def split_that_fails(of: Service) -> None:
    of.deploy("bad", canary())
    of.settle("rolled_back")


def frozen_and_aborted(of: Service) -> None:
    """Limits that nothing reaches, so that the comparison alone speaks; then a person does."""
    of.deploy("bad", canary() | {"watch": WATCH | {"maxErrorPercent": 100}})
    if of.until_phase("frozen"):
        of.order("abort")
    of.settle("rolled_back")


def test_with_report(of: Service) -> None:
    of.deploy("good", policy({"abTest": {"seconds": FEW_S}}, judge=JUDGE))
    of.settle("reported")


def test_with_promotion(of: Service) -> None:
    tested = {"abTest": {"seconds": FEW_S, "then": "promote"}}
    of.deploy("good", policy(tested, judge=JUDGE, sticky={"cookie": "soak"}))
    of.settle("promoted")


def shadow(of: Service) -> None:
    of.deploy("good", policy({"shadow": {"percent": 50, "seconds": FEW_S}}, judge=JUDGE))
    of.settle("reported")


def budget(of: Service) -> None:
    of.deploy("good", _budget())
    of.settle("promoted")


def budget_that_is_spent(of: Service) -> None:
    of.deploy("bad", _budget())
    of.settle("rolled_back")


def _budget() -> Json:
    spent = {"badAnswers": 200, "confidence": 0.9, "requestsPerSecond": 25}
    return policy(exposure=spent, judge=JUDGE) | {"watch": WATCH | {"deadlineSeconds": 60}}


def aborted_at_the_gate(of: Service) -> None:
    of.deploy("good", policy(gate=True))
    if of.until_phase("waiting"):
        of.order("abort")
    of.settle("rolled_back")


def promoted_at_the_gate(of: Service) -> None:
    of.deploy("good", policy(gate=True))
    if of.until_phase("waiting"):
        of.order("promote")
    of.settle("promoted")


def superseded(of: Service) -> None:
    of.deploy("good", policy(gate=True))
    of.until_phase("waiting", "proving", "preparing")
    of.view()
    of.deploy("good", policy())
    of.settle("promoted")


def rolled_back_to_the_predecessor(of: Service) -> None:
    of.deploy("good", policy(holdSeconds=20))
    of.settle("promoted")
    of.order("rollback")
    of.settle("promoted")


def paused_and_resumed(of: Service) -> None:
    of.deploy("good", canary())
    if of.until_phase("watching"):
        of.order("pause")
        time.sleep(1)
        of.order("resume")
    of.settle("promoted")


def never_ready(of: Service) -> None:
    of.deploy("dead", policy(startSeconds=2))
    of.settle("rolled_back")


def never_proved(of: Service) -> None:
    of.deploy("unproved", policy())
    of.settle("rolled_back")


def labelled(of: Service) -> None:
    """Labels come while the release moves and afterwards, as they do."""
    labels = {"required": False, "matureSeconds": 4}
    of.labels.clear()
    of.deploy("good", canary(judge={"labels": labels}) | {"probationSeconds": 5})
    for _ in range(int(FEW_S)):
        time.sleep(1)
        of.feedback(0.1)
    of.settle("promoted")
    of.feedback(0.1)


def copied(of: Service) -> None:
    """Green gets copies first, and its answers are compared with blue's one by one."""
    stages = ({"percent": 0, "mirrorPercent": 50, "seconds": 2}, HALF, FULL)
    of.deploy("good", canary(stages=stages, judge={"answers": {"maxDifferPercent": 20}}))
    of.settle("promoted")


def removed(of: Service) -> None:
    """The service goes and comes back under its name. Nobody calls it, or its callers would fail."""
    of.order("remove")
    of.until_removed()
    of.deploy("good", policy())
    of.settle("promoted")


Play = Callable[[Service], None]

WITHOUT_CALLERS: Mapping[str, Play] = {
    "removed": removed,
    "never_proved": never_proved,
    "aborted_at_the_gate": aborted_at_the_gate,
}
"""What a service is released by that nobody calls."""

OF_A_MODEL: Mapping[str, Play] = {
    "blue_green": blue_green,
    "copied": copied,
    "labelled": labelled,
    "shadow": shadow,
    "test_with_report": test_with_report,
    "never_proved": never_proved,
}
"""What the service of a model is released by: its server takes a second of processor time to start."""

OF_A_COMMAND: Mapping[str, Play] = {
    play.__name__: play
    for play in (
        blue_green,
        blue_green_that_fails,
        by_time,
        by_evidence,
        beside_a_control,
        split_that_fails,
        frozen_and_aborted,
        test_with_report,
        test_with_promotion,
        shadow,
        budget,
        budget_that_is_spent,
        aborted_at_the_gate,
        promoted_at_the_gate,
        superseded,
        rolled_back_to_the_predecessor,
        paused_and_resumed,
        never_ready,
        never_proved,
        labelled,
    )
}


def plays_of(of: Service, seed: int, *, called: bool) -> list[Play]:
    """All of its scripts in an order of its own; they are gone through again and again."""
    chosen = OF_A_MODEL if of.is_model else OF_A_COMMAND if called else WITHOUT_CALLERS
    plays = list(chosen.values())
    random.Random(f"{seed} {of.name}").shuffle(plays)
    return plays
