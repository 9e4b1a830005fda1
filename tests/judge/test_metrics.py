"""What follows from a plan before the first answer is seen."""

import math

import pytest

from celadon.domain.compare import Compare, Units
from celadon.domain.evidence import Tally
from celadon.judge.coin import EventCoin
from celadon.judge.metrics import ERRORS, _metrics, parts


def coin_of_errors(units: Units) -> EventCoin:
    (errors,) = (
        one for one in _metrics(Compare(units=units), copies=False, control=False) if one.name == ERRORS
    )
    return EventCoin(errors.rules)


@pytest.mark.parametrize("share", [500, 5000])
def test_a_caller_who_counted_as_calm_and_fails_later_is_a_fair_bet(share: int) -> None:
    """Such a caller adds an event and no answer. When green is like blue it is green's with the chance of its share."""
    judge = coin_of_errors(Units.KEYED)
    coin = judge.begin(0, (1000, 100))
    pi = share / 10_000
    green = judge.worth(judge.add(coin, 1, Tally(share, 0, 1, 0, 0))).suspected
    blue = judge.worth(judge.add(coin, 1, Tally(share, 0, 0, 0, 1))).suspected
    start = judge.worth(coin).suspected
    assert math.isclose(pi * green + (1 - pi) * blue, start, rel_tol=1e-9)


def test_the_parts_of_a_bet_are_one_whatever_is_judged() -> None:
    assert sum(parts(Compare(), copies=True).values()) == pytest.approx(1)
