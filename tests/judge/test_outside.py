"""Where an outside implementation applies too, it says the same: confseq, run once; see outside_confseq.py."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from celadon.domain.evidence import Tally
from celadon.judge.coin import EventCoin
from celadon.judge.interval import interval
from celadon.judge.odds import Rules

OUTSIDE: dict[str, Any] = json.loads((Path(__file__).parent / "confseq.json").read_text())
SHARE = round(OUTSIDE["share"] * 10_000)
LOOKS = pytest.mark.parametrize("look", OUTSIDE["looks"], ids=lambda look: f"{look['events']} events")
ALONE = Rules(ratios=tuple(OUTSIDE["ratios"]), cap=math.inf, first=1.0, whole_from=1.0)


def counted(look: dict[str, Any]) -> Tally:
    events = OUTSIDE["events"][: look["events"]]
    green = events.count("1")
    return Tally(SHARE, green, green, len(events) - green, len(events) - green)


@LOOKS
def test_the_interval_is_that_of_confseq_within_a_hundredth(look: dict[str, Any]) -> None:
    ours, pi = interval(ALONE, [counted(look)]), OUTSIDE["share"]

    def ratio(mean: float) -> float:
        return mean * (1 - pi) / (pi * (1 - mean))

    assert ours.low == pytest.approx(ratio(look["low"]), rel=0.01)
    assert ours.high == pytest.approx(ratio(look["high"]), rel=0.01)


@LOOKS
def test_the_money_on_harm_is_that_of_confseq(look: dict[str, Any]) -> None:
    judge = EventCoin(ALONE)
    coin = judge.begin(0)
    for second, event in enumerate(OUTSIDE["events"][: look["events"]]):
        green = int(event)
        coin = judge.add(coin, second, Tally(SHARE, green, green, 1 - green, 1 - green))
    assert judge.worth(coin).suspected == pytest.approx(look["worse"], rel=1e-6)
    assert judge.worth(coin).harm == pytest.approx(look["worse"], rel=1e-6)


@LOOKS
def test_the_money_on_a_better_green_is_that_of_confseq(look: dict[str, Any]) -> None:
    judge = EventCoin(
        Rules(ratios=tuple(1 / r for r in ALONE.ratios), cap=math.inf, first=1.0, whole_from=1.0)
    )
    coin = judge.add(judge.begin(0), 0, counted(look))
    assert judge.worth(coin).harm == pytest.approx(look["better"], rel=1e-6)
