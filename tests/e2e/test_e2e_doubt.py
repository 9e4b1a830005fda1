"""What a release does in doubt: it freezes, goes back, waits for a person, or waits for what it does not know."""

import pytest
from e2e_stories import ENDS_S, QUICK, WATCH, WIDE, Stories, Story, canary
from e2e_world import until, world

from celadon.judge.metrics import COPIES

pytestmark = [pytest.mark.e2e, pytest.mark.long]

SHORT = {**WATCH, "deadlineSeconds": 6}
UNPROVED = {"errors": {"extraPercent": 20}}
"""Five windows until green is proved fine, so that it is not while a test looks."""


def fails_while_it_has_callers(story):
    story.at("watching", 0)
    story.answers_more()
    story.fault.touch()
    story.ends()


def fails_from_the_second_stage_on(story):
    story.at("watching", 1)
    story.answers_more()
    story.fault.touch()
    story.pipeline_ends()
    story.waits = story.view()
    story.answers_more(120)
    story.still = story.moving()
    story.made.done("abort", story.name)
    gone(story)


def fails_for_a_moment(story):
    story.at("watching", 0)
    story.answers_more()
    story.fault.touch()
    story.at("frozen")
    story.frozen_at = story.moving()["stage"]
    story.fault.unlink()
    story.at("watching")
    story.again = story.moving()
    story.answers_more(80)
    story.later = story.moving()
    story.made.done("abort", story.name)
    story.ends()


def is_left_by_its_callers(story):
    story.at("watching", 1)
    story.load.stop()
    story.pipeline_ends()
    story.waits = story.view()
    story.made.done("abort", story.name)
    gone(story)


def is_promoted_by_a_person(story):
    story.pipeline_ends()
    story.waits = story.view()
    story.made.done("promote", story.name)
    gone(story)


def gone(story):
    """The pipeline has left, and the release ends."""
    until(lambda: not story.moving(), ENDS_S, every_s=0.1)


STORIES = [
    Story(
        name="mirror",
        release={
            "strategy": canary((20, 30), (100, 1)),
            "watch": WATCH,
            "judge": {**QUICK, "freezeMirrorPercent": 50},
        },
        act=fails_while_it_has_callers,
        rate=80,
    ),
    Story(
        name="thrice",
        release={
            "strategy": canary((20, 2), (50, 30), (100, 1)),
            "watch": WATCH,
            "judge": {**WIDE, "freezeSeconds": 2},
        },
        act=fails_from_the_second_stage_on,
        rate=60,
    ),
    Story(
        name="moment",
        release={
            "strategy": canary((20, 1), (50, 30), (100, 1)),
            "watch": WATCH,
            "judge": {**UNPROVED, "freezeMirrorPercent": 50, "freezeSeconds": 2},
        },
        act=fails_for_a_moment,
    ),
    Story(
        name="idle",
        release={"strategy": canary((20, 1), (50, 1), (100, 1)), "watch": SHORT, "judge": UNPROVED},
        act=is_left_by_its_callers,
    ),
    Story(
        name="few",
        release={
            "strategy": canary((50, 1), (100, 1)),
            "watch": {**SHORT, "deadlineSeconds": 3, "onDeadline": "rollback"},
            "judge": UNPROVED,
        },
        rate=2,
    ),
    Story(
        name="unlabelled",
        release={
            "strategy": canary((50, 1), (100, 1)),
            "watch": SHORT,
            "judge": {**WIDE, "labels": {"matureSeconds": 2}},
        },
        act=is_promoted_by_a_person,
    ),
    Story(
        name="unlabelledback",
        release={
            "strategy": canary((50, 1), (100, 1)),
            "watch": {**SHORT, "onDeadline": "rollback"},
            "judge": {**WIDE, "labels": {"matureSeconds": 2}},
        },
    ),
]


@pytest.fixture(scope="module")
def story():
    with world() as made:
        lived = Stories(made, STORIES)
        try:
            yield lived
        finally:
            lived.over()


def only_green_failed(told):
    """What callers got that was no good answer, all of it from a green that was told to fail."""
    bad = told.load.failed()
    assert {f.revision for f in bad} <= {told.green_id}
    return len(bad)


def green_is_gone(told, since):
    """No caller meets green whose request was sent some moments after that instant."""
    after = told.sent(since + 1.0)
    assert len(after) > 20
    assert {f.revision for f in after} == {told.blue}


def test_a_green_that_begins_to_fail_is_frozen_within_a_few_answers_and_taken_back_by_its_copies(
    story, figure
):
    told = story("mirror")
    assert told.ended_as() == ("rolled_back", "verdict", 2)
    bad = only_green_failed(told)
    figure("bad_answers", bad)
    assert 1 <= bad <= 60
    assert told.codes().count("frozen") == 1
    green_is_gone(told, told.since("frozen"))
    copies = {f["metric"]: f for f in told.last["findings"]}[COPIES]["green"]
    figure("copies", copies["answers"])
    assert copies["events"] > 10
    assert told.made.live(told.name) == told.blue


def test_without_copies_it_goes_on_at_the_smallest_share_and_the_third_freeze_waits_for_a_person(
    story, figure
):
    told = story("thrice")
    assert told.code == 3
    release = told.waits["release"]
    assert (release["phase"], release["freezes"], release["stays_frozen"]) == ("frozen", 3, True)
    assert (told.still["phase"], told.still["entered_at"]) == ("frozen", release["entered_at"])
    assert [percent for percent, _, _ in told.spans()] == [20, 50, 20, 20]
    figure("bad_answers", only_green_failed(told))
    green_is_gone(told, told.since("third_freeze"))
    assert (told.last["outcome"], told.last["cause"]) == ("rolled_back", "person")


def test_a_green_that_failed_for_a_moment_goes_on_where_it_was(story):
    told = story("moment")
    assert (told.again["stage"], told.again["freezes"]) == (told.frozen_at, 1)
    assert (told.later["phase"], told.later["freezes"]) == ("watching", 1)
    only_green_failed(told)
    assert told.ended_as() == ("rolled_back", "person", 7)


def test_a_service_that_becomes_idle_is_neither_promoted_nor_taken_back_for_it(story):
    told = story("idle")
    assert told.code == 3
    release = told.waits["release"]
    assert (release["phase"], release["stage"]) == ("holding", 1)
    assert "no verdict after" in release["reason"]["text"]
    assert told.load.failed() == []


def test_too_few_callers_are_taken_back_at_the_deadline_where_that_was_chosen(story):
    told = story("few")
    assert told.ended_as() == ("rolled_back", "deadline", 5)
    assert told.load.failed() == []


def test_labels_that_never_come_hold_the_release_and_a_person_may_promote_it(story):
    told = story("unlabelled")
    assert told.code == 3
    release = told.waits["release"]
    assert (release["phase"], release["stage"]) == ("holding", 0)
    assert "waits for labels" in release["reason"]["text"]
    assert told.last["outcome"] == "promoted"
    assert told.load.failed() == []


def test_labels_that_never_come_take_it_back_at_the_deadline_where_that_was_chosen(story):
    told = story("unlabelledback")
    assert told.ended_as() == ("rolled_back", "deadline", 5)
    assert "waits for labels" in told.last["reason"]["text"]
    assert told.load.failed() == []
