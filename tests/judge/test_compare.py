"""Green beside blue over several metrics: proof, suspicion, and silence where nothing can be known."""

from dataclasses import replace

from celadon.domain.evidence import Ledger, Second, Tally
from celadon.domain.reason import Code, text
from celadon.domain.verdict import Fine, Harm, Invalid, Suspected, Unsure
from celadon.judge.coin import EventCoin
from celadon.judge.compare import Comparison, Metric, Units
from celadon.judge.interval import interval
from celadon.judge.odds import Rules
from celadon.judge.told import needed
from celadon.store.codec import decode, encode

ERRORS = Metric(name="errors", part=0.4)
WRONG = Metric(name="wrong", part=0.3, required=False)
BOTH = Comparison((ERRORS, WRONG))


def run(comparison: Comparison, seconds, green: int = 0, wrong: int = 0) -> Ledger:
    ledger = comparison.begin(0)
    for at_s in seconds:
        tallies = {"errors": (Tally(500, 10, green, 190, 2),), "wrong": (Tally(500, 10, wrong, 190, 2),)}
        ledger = comparison.add(ledger, Second(at_s=at_s, tallies=tallies))
    return ledger


def test_nothing_seen_is_unsure() -> None:
    judged = BOTH.judge(BOTH.begin(0))
    assert isinstance(judged.verdict, Unsure)
    assert judged.findings[0].interval.ratio is None


def test_harm_is_first_suspected_and_then_proved_and_its_metric_named() -> None:
    early, late = BOTH.judge(run(BOTH, range(4), green=2)), BOTH.judge(run(BOTH, range(90), green=2))
    assert isinstance(early.verdict, Suspected)
    assert isinstance(late.verdict, Harm)
    assert late.verdict.because.fields["metric"] == "errors"
    assert "180 of 900 against blue's 180 of 17100" in text(late.verdict.because)


def test_harm_in_one_metric_is_enough() -> None:
    verdict = BOTH.judge(run(BOTH, range(120), wrong=3)).verdict
    assert isinstance(verdict, Harm)
    assert verdict.because.fields["metric"] == "wrong"


def test_a_fine_green_needs_more_answers_until_it_is_proved() -> None:
    judged = BOTH.judge(run(BOTH, range(60)))
    assert judged.verdict.because.code is Code.NEEDS_MORE
    assert judged.findings[0].needed is not None
    assert isinstance(BOTH.judge(run(BOTH, range(600))).verdict, Fine)


def test_a_split_that_is_not_what_was_asked_is_invalid() -> None:
    ledger = BOTH.begin(0)
    for at_s in range(60):
        ledger = BOTH.add(ledger, Second(at_s=at_s, tallies={"errors": (Tally(500, 20, 0, 180, 0),)}))
    verdict = BOTH.judge(ledger).verdict
    assert isinstance(verdict, Invalid)
    assert text(verdict.because) == "holding: green got 10.00 % of the requests and 5.00 % was asked for"


def test_users_that_can_not_be_told_apart_are_never_a_certainty() -> None:
    unseen = Comparison((ERRORS, WRONG), units=Units.UNSEEN)
    assert isinstance(unseen.judge(run(unseen, range(90), green=5)).verdict, Unsure)


def test_evidence_of_another_judge_is_invalid() -> None:
    old = replace(BOTH.begin(0), judge="coin/0")
    assert isinstance(BOTH.judge(old).verdict, Invalid)


def test_a_ledger_survives_the_journal() -> None:
    ledger = run(BOTH, range(45), green=1)
    again = decode(Ledger, encode(ledger))
    assert again == ledger
    assert BOTH.judge(again) == BOTH.judge(ledger)


def test_the_interval_holds_the_ratio_and_leaves_one_out_with_the_proof() -> None:
    between = interval(Rules(), [Tally(500, 10_000, 300, 190_000, 1900)])
    assert 1 < between.low < 3 < (between.high or 0)
    assert between.ratio is not None
    assert abs(between.ratio - 3) < 0.01


def test_without_events_of_green_the_interval_begins_at_nothing() -> None:
    between = interval(Rules(), [Tally(500, 10_000, 0, 190_000, 1900)])
    assert (between.ratio, between.low) == (0.0, 0.0)
    assert between.high is not None
    assert between.high < 1


def test_labels_that_come_from_one_side_only_are_no_evidence() -> None:
    late = Comparison((ERRORS, replace(WRONG, late=True)))
    ledger = late.begin(0)
    for at_s in range(120):
        tallies = {"errors": (Tally(500, 10, 0, 190, 2),), "wrong": (Tally(500, 10, 5, 20, 0),)}
        ledger = late.add(ledger, Second(at_s=at_s, tallies=tallies))
    verdict = late.judge(ledger).verdict
    assert isinstance(verdict, Invalid)
    assert verdict.because.fields["metric"] == "wrong"


def test_a_blue_that_differs_from_its_own_control_is_no_measure() -> None:
    ledger = BOTH.begin(0)
    for at_s in range(120):
        second = Second(
            at_s=at_s,
            tallies={"errors": (Tally(500, 10, 2, 190, 2),)},
            placebo=(Tally(500, 10, 2, 180, 0),),
        )
        ledger = BOTH.add(ledger, second)
    verdict = BOTH.judge(ledger).verdict
    assert isinstance(verdict, Invalid)
    assert verdict.because.code is Code.PLACEBO_FIRED


def test_the_answers_still_needed_are_those_of_the_windows_that_must_pass() -> None:
    """However many answers come, no window more than doubles the money on fine: from two to twenty takes three more and a part."""
    coin = EventCoin(Rules())
    seen = coin.begin(0, (10_000, 100))
    for at_s in range(10):
        seen = coin.add(seen, at_s, Tally(5000, 1000, 10, 1000, 10))
    told = needed(coin, seen, coin.worth(seen).fine, 20.0)
    assert told is not None
    assert told == 3 * 10_000


def test_money_that_is_all_but_gone_needs_many_answers_and_no_more_than_can_be_counted() -> None:
    coin = EventCoin(Rules())
    seen = coin.begin(0, (10_000, 100))
    for at_s in range(10):
        seen = coin.add(seen, at_s, Tally(5000, 1000, 10, 1000, 10))
    told = needed(coin, seen, 5e-324, 20.0)
    assert told is not None
    assert told > 100 * 10_000
