"""A label is joined with the request it tells of exactly once, in whatever order they come."""

import asyncio
import tempfile
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labels_given import BLUE, DIGITS, GREEN, Home, interest, routed

from celadon.domain.compare import Compare, LabelMargin, Margin, PairMargin, ScoreMargin
from celadon.domain.facts import Unknown
from celadon.domain.feedback import Feedback, Heard, Received
from celadon.domain.samples import Label


def test_a_label_tells_of_its_answer_with_the_share_it_was_drawn_at(home):
    home.route(routed("a", group="eu"), routed("b", BLUE, share=500))
    home.predict("a", "3")
    home.predict("b", "4", BLUE)
    home.settle()
    assert home.tell("a", label="7") == Received(accepted=1)
    assert home.tell("b", label="4") == Received(accepted=1)
    assert home.read().labels == (
        Label(at_s=1000, answered_s=1000, revision=GREEN, share=500, group="eu", wrong=True),
        Label(at_s=1000, answered_s=1000, revision=BLUE, share=500, wrong=False),
    )
    assert home.read().labels == ()


@pytest.mark.parametrize("order", list(permutations(("route", "predict", "tell"))))
def test_the_order_in_which_things_come_to_be_known_changes_nothing(home, order):
    begin = {
        "route": lambda: home.route(routed("a")),
        "predict": lambda: home.predict("a", 3),
        "tell": lambda: home.tell("a", label="3"),
    }
    for step in order:
        begin[step]()
        home.settle()
    assert home.read().labels == (Label(at_s=1000, answered_s=1000, revision=GREEN, share=500, wrong=False),)
    assert home.heard == Heard(accepted=1)


def test_feedback_for_an_unknown_request_waits_and_is_said_to_wait(home):
    assert home.tell("a", wrong=True) == Received(waiting=1)
    assert home.heard.waiting == 1
    assert home.read().labels == ()
    home.route(routed("a"))
    assert [label.wrong for label in home.read().labels] == [True]
    assert home.heard == Heard(accepted=1)


def test_of_two_labels_the_first_stays(home):
    home.route(routed("a"))
    home.settle()
    assert home.tell("a", wrong=True) == Received(accepted=1)
    assert home.tell("a", wrong=False) == Received(twice=1)
    again = home.post(Feedback(request="b", score=0.5), Feedback(request="b", score=1.0))
    assert again == Received(waiting=1, twice=1)
    assert [label.wrong for label in home.read().labels] == [True]
    assert home.heard == Heard(accepted=1, waiting=1, twice=2)


def test_a_request_that_is_told_again_stays_as_it_was(home):
    home.route(routed("a", share=500))
    home.route(routed("a", share=500), routed("a", BLUE, share=2500))
    home.settle()
    home.tell("a", wrong=True)
    assert [(label.revision, label.share) for label in home.read().labels] == [(GREEN, 500)]


def test_scores_and_verdicts_need_no_prediction(home):
    home.route(routed("a"), routed("b"))
    home.settle()
    assert home.post(
        Feedback(request="a", score=0.25), Feedback(request="b", wrong=False, score=1.0)
    ) == Received(accepted=2)
    assert [(label.wrong, label.score) for label in home.read().labels] == [(None, 0.25), (False, 1.0)]


def test_positives_are_told_of_the_truth_and_of_the_answer(tmp_path):
    margin = LabelMargin(wrong=Margin(), positive="fraud")
    home = Home(tmp_path).open(interest(Compare(labels=margin)))
    for number, (said, true) in enumerate(
        [("fraud", "fraud"), ("ok", "fraud"), ("fraud", "ok"), ("ok", "ok")]
    ):
        home.predict(f"r{number}", said)
        home.route(routed(f"r{number}"))
        home.settle()
        home.tell(f"r{number}", label=true)
    told = [(label.wrong, label.positive, label.claimed) for label in home.read().labels]
    assert told == [(False, True, True), (True, True, False), (True, False, True), (False, False, False)]
    asyncio.run(home.close())


def test_a_label_of_what_names_no_class_is_counted_and_not_used(home):
    home.route(routed("a"), routed("b"))
    home.predict("a", 0.73)
    home.predict("b", ["3", "4"])
    home.settle()
    assert home.tell("a", label="1") == Received(accepted=1)
    assert home.tell("b", label="3") == Received(accepted=1)
    assert home.read().labels == ()
    assert home.heard == Heard(accepted=2, unusable=2)


def test_a_caller_who_is_kept_on_one_side_counts_once_however_many_answers_are_labelled(home):
    """It was callers who were drawn: one who is answered wrongly again and again is one event."""
    for number in range(4):
        home.route(routed(f"a{number}", unit="who"), routed(f"b{number}", BLUE, unit="other"))
    home.route(routed("c"), routed("d"))
    home.settle()
    for request in ("a0", "a1", "b0", "b1", "b2", "c", "d"):
        home.tell(request, wrong=request.startswith("a"))
    home.tell("a2", wrong=True, score=0.5)
    home.tell("a3", score=0.5)
    told = [(label.revision, label.wrong, label.score) for label in home.read().labels]
    once = [(GREEN, True, None), (BLUE, False, None)]
    assert told == [*once, (GREEN, False, None), (GREEN, False, None), (GREEN, None, 0.5)]
    assert home.heard == Heard(accepted=9, same_caller=4)


def test_a_caller_of_another_release_counts_anew(home):
    home.route(routed("a", unit="who in release 1"), routed("b", unit="who in release 2"))
    home.settle()
    home.tell("a", wrong=True)
    home.tell("b", wrong=True)
    assert len(home.read().labels) == 2


def test_a_label_is_told_with_the_second_of_its_answer(home):
    """Labels that come all at once are not one bad moment: the judge goes by when the answers were given."""
    home.route(routed("a", at_s=1000), routed("b", at_s=1500))
    home.at = 2000
    home.settle()
    home.tell("a", wrong=True)
    home.tell("b", wrong=True)
    assert [(label.at_s, label.answered_s) for label in home.read().labels] == [(2000, 1000), (2000, 1500)]


def test_labels_that_come_too_late_are_counted_and_not_used(home):
    home.route(routed("a", at_s=1000), routed("b", at_s=2000))
    home.at = 1000 + 3601
    home.settle()
    home.tell("a", wrong=True)
    home.tell("b", wrong=True)
    assert [label.at_s for label in home.read().labels] == [4601]
    assert home.heard == Heard(accepted=2, late=1)


def test_what_was_answered_before_the_release_began_belongs_to_another(home):
    home.route(routed("a", at_s=899), routed("b", at_s=900))
    home.settle()
    home.tell("a", wrong=True)
    home.tell("b", wrong=False)
    assert [label.wrong for label in home.read().labels] == [False]


def test_two_releases_read_the_same_labels_each_its_own_part(home):
    over, moving = interest(began_at=900.0, ended_at=1100.0), interest(began_at=1100.5)
    home.follow(moving, over)
    home.route(routed("a", at_s=1000), routed("b", at_s=1200))
    home.settle()
    home.tell("a", wrong=True)
    home.tell("b", wrong=False)
    assert [label.wrong for label in home.read().labels] == [False]
    assert [label.wrong for label in home.labels.samples(DIGITS, (), over).value.labels] == [True]


def test_where_nothing_is_compared_feedback_is_not_kept_and_that_is_said(home):
    home.follow()
    home.route(routed("a"))
    assert home.tell("a", wrong=True) == Received(unneeded=1)
    home.follow(interest(Compare(pairs=PairMargin())))
    assert home.tell("a", wrong=True) == Received(unneeded=1)
    assert home.read().labels == ()


def test_requests_of_other_services_are_not_mixed_up(home):
    home.route(routed("a"))
    home.settle()
    other = type(DIGITS)(name="letters")
    home.labels.follow(other, (interest(Compare(score=ScoreMargin())),))
    assert home.labels.post(other, [Feedback(request="a", score=1.0)]) == Received(waiting=1)
    assert home.tell("a", score=0.5) == Received(accepted=1)
    assert [label.score for label in home.read().labels] == [0.5]


def test_a_closed_home_says_so_and_keeps_nothing(tmp_path):
    home = Home(tmp_path).open()
    asyncio.run(home.close())
    assert home.labels.samples(DIGITS, (), interest()) == Unknown(why="labels are not read any more")


WHATS = st.lists(
    st.tuples(st.sampled_from(("route", "predict", "tell")), st.integers(0, 4)), min_size=1, max_size=25
)


@settings(max_examples=25, deadline=None)
@given(WHATS)
def test_however_often_and_in_whatever_order_each_label_counts_once(steps):
    with tempfile.TemporaryDirectory() as folder:
        home, came = Home(Path(folder)).open(), []
        for what, number in steps:
            request = f"r{number}"
            if what == "route":
                home.route(routed(request))
            elif what == "predict":
                home.predict(request, number)
            else:
                home.tell(request, label=str(number % 2), wrong=None)
            if number == 3:
                came += home.read().labels
        came += home.read().labels
        whole = [n for n in range(5) if {("route", n), ("predict", n), ("tell", n)} <= set(steps)]
        assert len(came) == len(whole)
        assert sum(label.wrong for label in came) == sum(n > 1 for n in whole)
        told = {n for what, n in steps if what == "tell"}
        assert (home.heard.accepted, home.heard.waiting) == (len(whole), len(told) - len(whole))
        asyncio.run(home.close())
