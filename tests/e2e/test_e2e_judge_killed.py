"""kill -9 of the daemon while green is compared: everything ends as it would have, and every answer counts exactly once.

One daemon judges all of these releases, so each of them lives through every death.
"""

import collections
import json
import threading

import pytest
from e2e_stories import QUICK, WATCH, WIDE, Stories, Story, canary, log_of, wrong_answers
from e2e_world import until, world

from celadon.judge.metrics import WRONG

pytestmark = [pytest.mark.e2e, pytest.mark.long]

DEATH = threading.Lock()
"""One death at a time."""


def dies(made):
    """The daemon, without a warning; then a new one finds everything again."""
    with DEATH:
        made.kill(made.daemon_pid())
        until(lambda: made.answers() is None)
        made.up()
        made.deaths += 1


def counts_settle(story, wanted, metric="errors"):
    """Wait until no more is said and all of it was heard, and still is by a tick a second later.

    Envoy writes its log with a delay, and the judge may have heard all of it more than once before its end.
    """

    def settled():
        said, at = wanted(story), story.view()["at"]
        until(lambda: story.view()["at"] > at + 1, every_s=0.2)
        return said == wanted(story) == story.judged(metric)

    until(settled, 30)
    return story.judged(metric), wanted(story)


def drawn(story):
    """What the proxy's own log says of the requests of this release, as (answers, errors) of green and of blue."""
    found = collections.Counter()
    for line in log_of(story.made, story.name):
        if line["share"] is not None:
            revision = line["cluster"].split("/")[2]
            found[revision, "answers"] += 1
            found[revision, "errors"] += line["status"] >= 500
    return tuple((found[r, "answers"], found[r, "errors"]) for r in (story.green_id, story.blue))


def ramp(story):
    """Dies at every stage and at the gate."""
    story.at("watching", 0)
    dies(story.made)
    story.at("watching", 1)
    dies(story.made)
    story.at("waiting", 2)
    story.pipeline_ends()
    dies(story.made)
    story.answers_more()
    story.load.pause()
    story.counted = counts_settle(story, drawn)
    story.load.resume()
    run(story.made, "promote", story.name)
    story.gone()


def frozen(story):
    """Dies as soon as it is frozen, and once more while its rest lasts."""
    fails(story)
    story.answers_more()
    dies(story.made)
    story.answers_more()
    story.load.stop()
    story.counted = counts_settle(story, drawn)
    story.stood = story.moving()
    run(story.made, "abort", story.name)
    story.ends()


def copied(story):
    """Its copies prove the harm, whoever dies meanwhile."""
    fails(story)
    story.ends()


def fails(story):
    story.at("watching", 0)
    story.answers_more()
    story.fault.touch()
    story.at("frozen")
    dies(story.made)


def labelled(story):
    """Dies while labels come, in the middle of a post and between two."""
    story.at("watching", 0)
    story.answers_more(100)
    for number in range(3):
        posting = threading.Thread(target=tells, args=(story,))
        posting.start()
        if number < 2:
            dies(story.made)
        posting.join()
        story.answers_more()
    story.load.stop()
    tells(story)
    story.counted = counts_settle(story, told_of, WRONG)
    run(story.made, "abort", story.name)
    story.ends()


def tells(story):
    """Everything that is known by now, once more, until a daemon has taken it."""
    file = story.made.work / f"{story.name}-{threading.get_ident()}.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in wrong_answers(story.load.ended)))
    run(story.made, "feedback", file.name, "--service", story.name)


def run(made, *arguments):
    """A command that is given again where the daemon died under it."""
    until(lambda: made.run(*arguments).returncode == 0, 60, every_s=0.2)


def told_of(story):
    """The same of labels: all answers that were drawn were labelled."""
    drawn_ids = {line["id"] for line in log_of(story.made, story.name) if line["share"] is not None}
    found = collections.Counter()
    for answer in story.load.ended:
        if answer.request_id in drawn_ids:
            found[answer.revision, "answers"] += 1
            found[answer.revision, "wrong"] += json.loads(answer.body)["score"] != 1
    return tuple((found[r, "answers"], found[r, "wrong"]) for r in (story.green_id, story.blue))


STORIES = [
    Story(
        name="ramp",
        release={
            "strategy": canary((20, 3), (50, 3), {"percent": 100, "gate": True, "seconds": 1}),
            "watch": WATCH,
            "judge": WIDE,
        },
        act=ramp,
    ),
    Story(
        name="frozen",
        release={
            "strategy": canary((50, 60), (100, 1)),
            "watch": WATCH,
            "judge": {**WIDE, "freezeSeconds": 100},
        },
        act=frozen,
    ),
    Story(
        name="copied",
        release={
            "strategy": canary((50, 60), (100, 1)),
            "watch": WATCH,
            "judge": {**QUICK, "freezeMirrorPercent": 50},
        },
        act=copied,
    ),
    Story(
        name="labelled",
        release={
            "strategy": canary((50, 90), (100, 1)),
            "watch": WATCH,
            "judge": {**WIDE, "labels": {"maxRatio": 3, "extraPercent": 90, "matureSeconds": 60}},
        },
        green={"score": 1, "revised": True},
        act=labelled,
        rate=20,
    ),
]


@pytest.fixture(scope="module")
def story():
    with world() as made:
        made.deaths = 0
        lived = Stories(made, STORIES)
        try:
            yield lived
        finally:
            lived.over()


def only_green_failed(told):
    bad = told.load.failed()
    assert {f.revision for f in bad} <= {told.green_id}
    return len(bad)


def test_a_ramp_reaches_its_end_through_every_death_and_counts_every_answer_once(story, figure):
    told = story("ramp")
    assert (told.code, told.last["outcome"]) == (3, "promoted")
    assert told.load.failed() == []
    heard, logged = told.counted
    figure("answers", heard)
    assert heard == logged
    assert min(heard[0][0], heard[1][0]) > 50


def test_a_freeze_outlives_the_daemon_and_its_evidence_goes_on(story, figure):
    told = story("frozen")
    assert (told.stood["phase"], told.stood["freezes"]) == ("frozen", 1)
    heard, logged = told.counted
    assert heard == logged
    bad = only_green_failed(told)
    figure("bad_answers", bad)
    assert heard[0][1] == bad <= 60
    assert told.ended_as() == ("rolled_back", "person", 7)


def test_copies_prove_harm_whoever_dies_meanwhile(story, figure):
    told = story("copied")
    assert told.ended_as() == ("rolled_back", "verdict", 2)
    figure("bad_answers", only_green_failed(told))
    assert told.codes().count("frozen") == 1
    after = told.sent(told.since("frozen") + 1.0)
    assert {f.revision for f in after} == {told.blue}


def test_labels_that_are_posted_into_a_death_count_once(story, figure):
    told = story("labelled")
    heard, posted = told.counted
    figure("labels", heard)
    assert heard == posted
    assert min(heard[0][0], heard[1][0]) > 50
    assert told.load.failed() == []


def test_the_daemon_did_die(story):
    for each in STORIES:
        story(each.name)
    assert story.made.deaths >= 8
