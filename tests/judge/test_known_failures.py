"""Streams on which judges of others are known to have said pass: none of them may be called fine."""

from celadon.domain.durations import bucket
from celadon.domain.evidence import Durations, Second, Tally
from celadon.domain.verdict import Fine, Harm, Suspected
from celadon.judge.compare import Comparison, Metric
from celadon.judge.latency import LatencyRules

ERRORS = Comparison((Metric(name="errors"),))
LATENCY = Comparison((Metric(name="errors", part=0.5),), latency=LatencyRules(part=0.5, required=True))


def test_few_errors_beside_none_are_not_fine() -> None:
    ledger = ERRORS.begin(0)
    for minute, errors in enumerate((0, 1, 2, 1, 0, 0)):
        second = Second(at_s=60 * minute, tallies={"errors": (Tally(5000, 100, errors, 100, 0),)})
        ledger = ERRORS.add(ledger, second)
    assert not isinstance(ERRORS.judge(ledger).verdict, Fine)
    for minute in range(6, 60):
        second = Second(
            at_s=60 * minute, tallies={"errors": (Tally(5000, 100, (0, 1, 2, 1, 0, 0)[minute % 6], 100, 0),)}
        )
        ledger = ERRORS.add(ledger, second)
    assert isinstance(ERRORS.judge(ledger).verdict, Harm)


def test_a_rare_long_tail_is_not_hidden_by_an_equal_median() -> None:
    assert isinstance(_latency(green=((10.0, 97), (400.0, 3)), blue=((10.0, 99), (20.0, 1))), Harm)


def test_more_spread_with_an_equal_median_is_not_fine() -> None:
    spread, even = ((5.0, 25), (20.0, 50), (80.0, 25)), ((18.0, 25), (20.0, 50), (22.0, 25))
    assert isinstance(_latency(green=spread, blue=even), Harm | Suspected)


def _latency(green, blue):
    ledger = LATENCY.begin(0)
    for at_s in range(300):
        durations = Durations(
            share=5000,
            green=tuple((bucket(1000 * ms), count) for ms, count in green),
            blue=tuple((bucket(1000 * ms), count) for ms, count in blue),
        )
        tallies = {"errors": (Tally(5000, 100, 0, 100, 0),)}
        ledger = LATENCY.add(ledger, Second(at_s=at_s, tallies=tallies, durations=(durations,)))
    return LATENCY.judge(ledger).verdict
