"""Green answers everything with status 200 and is wrong, which only labels show that come later."""

import json
import threading

import pytest
from e2e_stories import ENDS_S, WATCH, WIDE, Stories, Story, canary, wrong_answers
from e2e_world import until, world

from celadon.judge.metrics import WRONG

pytestmark = pytest.mark.e2e

THREE_WINDOWS_S = 21
"""So long a stage lies in three windows of ten seconds at least, whenever it began."""

LABELS = {"extraPercent": 10, "matureSeconds": 30}


def tells(story, answers):
    """Posts what became known of these answers, and returns what was said of it."""
    file = story.made.work / f"{story.name}-labels.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in wrong_answers(answers)))
    said = story.made.done("feedback", file.name, "--service", story.name, "--output", "json")
    return json.loads(said)


def is_labelled_late(story):
    """Nobody knows anything for three windows, and then everything at once."""
    story.at("watching", 0)
    begun = story.since("route_confirmed")
    until(lambda: story.load.ended[-1].ended_at > begun + THREE_WINDOWS_S, 60, every_s=0.1)
    story.posted = story.load.ended
    story.first = tells(story, story.posted)
    story.again = tells(story, story.posted)
    story.ends()


def is_labelled_after_its_promotion(story):
    story.ends()
    story.promoted = story.view()
    tells(story, story.load.ended)
    until(lambda: story.made.live(story.name) == story.blue and not story.moving(), ENDS_S, every_s=0.1)
    story.answers_more(40)


def is_labelled_all_along(story):
    """Labels come as answers do."""
    story.at("watching", 0)
    over, seen = threading.Event(), 0

    def label():
        nonlocal seen
        while not over.wait(1.0):
            ended = story.load.ended
            tells(story, ended[seen:])
            seen = len(ended)

    teller = threading.Thread(target=label)
    teller.start()
    try:
        story.ends()
    finally:
        over.set()
        teller.join()


STORIES = [
    Story(
        name="wrong",
        release={
            "strategy": canary((50, 90), (100, 1)),
            "watch": WATCH,
            "judge": {**WIDE, "falseRollbackPercent": 30, "labels": LABELS},
        },
        act=is_labelled_late,
        rate=20,
    ),
    Story(
        name="right",
        release={
            "strategy": canary((50, 1), (100, 1)),
            "watch": WATCH,
            "judge": {**WIDE, "labels": LABELS},
        },
        green={"score": 1, "revised": True},
        act=is_labelled_all_along,
        rate=20,
    ),
    Story(
        name="probation",
        release={
            "strategy": canary((50, THREE_WINDOWS_S), (100, 1)),
            "watch": WATCH,
            "judge": {**WIDE, "falseRollbackPercent": 30, "labels": {**LABELS, "required": False}},
            "probationSeconds": 100,
        },
        act=is_labelled_after_its_promotion,
        rate=20,
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


def test_wrong_answers_with_status_200_are_taken_back_when_their_labels_come(story):
    told = story("wrong")
    assert told.ended_as() == ("rolled_back", "verdict", 2)
    assert told.load.failed() == []
    assert "wrong" in told.last["reason"]["text"]
    assert told.made.live(told.name) == told.blue


def test_labels_that_are_posted_again_count_once(story):
    told = story("wrong")
    assert told.first["accepted"] > 100
    assert told.first["refused"] == told.again["refused"] == 0
    assert told.again["accepted"] == 0


def test_right_answers_are_promoted_once_their_labels_prove_it(story):
    told = story("right")
    assert told.ended_as() == ("promoted", "plan", 0)
    assert told.load.failed() == []
    wrong = {f["metric"]: f for f in told.last["findings"]}[WRONG]
    assert wrong["green"]["answers"] > 20
    assert wrong["green"]["events"] == 0


def test_labels_that_come_after_the_promotion_bring_blue_back_by_themselves(story):
    told = story("probation")
    assert told.ended_as() == ("promoted", "plan", 0)
    assert told.promoted["live"] == told.green_id
    assert told.promoted["probation"]["release"] == told.id
    back = told.made.history(told.name)[-1]
    assert (back["green"], back["way_back"], back["outcome"]) == (told.blue, True, "promoted")
    began = [
        d["reason"]["text"] for d in told.made.client.get(f"/v1/releases/{back['release']}")["decisions"]
    ]
    assert any("labels that came after the promotion prove harm" in text for text in began)
    after = told.sent(back["ended_at"] - told.began_at + 0.5)
    assert after
    assert {f.revision for f in after} == {told.blue}
    assert told.load.failed() == []
