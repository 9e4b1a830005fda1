"""What a person does with a release through the command line, under load: exit codes, outcomes, no request lost."""

import re

import pytest
from e2e_load import Load, ask
from e2e_world import until, world

pytestmark = pytest.mark.e2e

LONG = {"watch": {"seconds": 300, "deadlineSeconds": 600}}


@pytest.fixture(scope="module")
def made():
    with world() as made:
        made.done("deploy", "-f", made.service())
        made.score, made.bad = 1, set()
        with Load(port=made.port(), rate=40) as load:
            made.load = load
            yield made


@pytest.fixture(autouse=True)
def nothing_lost(made):
    """No release is left over and no request has failed but at a revision that was taken back for it."""
    yield
    until(lambda: made.view()["release"] is None)
    assert made.load.failed(but=made.bad) == []


def next_one(made, release=None, **answer):
    """A file with a revision that was never there."""
    made.score += 1
    return made.service(
        answer={"score": made.score % 9, "number": made.score, **answer}, release=release or {}
    )


def following(made, file, phase="watching"):
    """A pipeline that follows a deploy; its release has reached `phase`."""
    count = len(made.history())
    pipeline = made.start("deploy", "-f", file)
    until(lambda: len(made.history()) > count and made.phase() == phase)
    return pipeline


def ends(pipeline, code):
    said, _ = pipeline.communicate(timeout=30)
    assert pipeline.returncode == code, said
    return said


def last(made):
    release = made.history()[-1]
    return release["outcome"], release["cause"]


def test_a_good_release_ends_the_pipeline_with_0_and_the_same_again_changes_nothing(made):
    file = next_one(made)
    made.done("deploy", "-f", file)
    count = len(made.history())
    assert "nothing to do" in made.done("deploy", "-f", file)
    assert len(made.history()) == count


def test_a_failing_release_ends_it_with_2(made):
    file, blue = next_one(made, fails=True), made.live()
    made.done("deploy", "-f", file, code=2)
    made.bad.add(made.history()[-1]["green"])
    assert (last(made), made.live()) == (("rolled_back", "verdict"), blue)


def test_a_slow_release_ends_it_with_2(made):
    file, blue = next_one(made, {"watch": {"maxLatencyMsP95": 50}}, delay_s=0.2), made.live()
    assert "green's p95 latency is" in made.done("deploy", "-f", file, code=2)
    assert (last(made), made.live()) == (("rolled_back", "verdict"), blue)


def test_a_gate_ends_it_with_3_moves_nothing_and_promote_opens_it(made):
    file, blue = next_one(made, {"gate": True}), made.live()
    made.done("deploy", "-f", file, code=3)
    green = made.view()["release"]["green"]
    assert ask(made.port()).revision == blue
    assert ask(made.port("score preview")).revision == green
    assert made.load.answered_by(green) == []
    made.done("promote", "score")
    until(lambda: made.view()["release"] is None)
    assert (last(made), made.live()) == (("promoted", "plan"), green)


def test_an_abort_at_the_gate_ends_a_release_that_no_client_ever_met(made):
    file, blue = next_one(made, {"gate": True}), made.live()
    made.done("deploy", "-f", file, code=3)
    green = made.view()["release"]["green"]
    made.done("abort", "score")
    until(lambda: made.view()["release"] is None)
    assert (last(made), made.live()) == (("rolled_back", "person"), blue)
    assert made.load.answered_by(green) == []


def test_an_abort_ends_the_pipeline_with_7_and_all_requests_are_on_blue_again(made):
    blue = made.live()
    pipeline = following(made, next_one(made, LONG))
    until(lambda: ask(made.port()).revision != blue)
    made.done("abort", "score")
    ends(pipeline, 7)
    assert (last(made), ask(made.port()).revision) == (("rolled_back", "person"), blue)


def test_a_pause_ends_it_with_3_holds_what_would_be_over_and_resume_lets_it_end(made):
    pipeline = following(made, next_one(made, {"watch": {"seconds": 2}}))
    made.done("pause", "score")
    assert "celadon resume score" in ends(pipeline, 3)
    dwelt = made.view()["release"]["dwelt_s"]
    seen = len(made.load.ended)
    until(lambda: len(made.load.ended) > seen + 100)
    assert made.view()["release"]["dwelt_s"] == pytest.approx(dwelt, abs=0.01)
    made.done("resume", "score")
    until(lambda: made.view()["release"] is None)
    assert last(made) == ("promoted", "plan")


def test_promote_ends_a_watch_at_once(made):
    pipeline = following(made, next_one(made, LONG))
    made.done("promote", "score")
    ends(pipeline, 0)
    assert last(made) == ("promoted", "person")


def test_a_newer_deploy_takes_the_older_one_back_first_and_ends_its_pipeline_with_7(made):
    blue = made.live()
    older = following(made, next_one(made, LONG))
    middle = made.view()["release"]["green"]
    made.done("deploy", "-f", next_one(made))
    ends(older, 7)
    releases = made.history()[-2:]
    assert [(r["outcome"], r["blue"]) for r in releases] == [("superseded", blue), ("promoted", blue)]
    assert releases[0]["green"] == middle


def test_the_same_deploy_again_joins_the_release_that_moves(made):
    file = next_one(made, {"watch": {"seconds": 3}})
    first = following(made, file)
    count = len(made.history())
    made.done("deploy", "-f", file)
    ends(first, 0)
    assert len(made.history()) == count


def test_rollback_brings_back_the_predecessor_and_a_named_revision(made):
    made.done("deploy", "-f", next_one(made))
    first, held = made.history()[0]["green"], made.view()["predecessor"]["revision"]
    made.done("rollback", "score")
    assert made.live() == held
    made.done("rollback", "score", first[:6])
    assert made.live() == first
    assert ask(made.port()).revision == first
    assert [r["way_back"] for r in made.history()[-2:]] == [True, True]


def test_a_rollback_while_a_release_moves_is_what_was_asked_for_so_it_ends_with_0(made):
    blue = made.live()
    pipeline = following(made, next_one(made, LONG))
    made.done("rollback", "score")
    ends(pipeline, 7)
    assert (last(made), made.live()) == (("rolled_back", "person"), blue)


def test_no_verdict_by_the_deadline_waits_for_a_person_with_3_or_goes_back_with_5(made):
    never = {"seconds": 1, "minRequests": 1_000_000, "deadlineSeconds": 1}
    made.done("deploy", "-f", next_one(made, {"watch": never}), code=3)
    assert made.phase() == "holding"
    made.done("promote", "score")
    until(lambda: made.view()["release"] is None)
    assert last(made) == ("promoted", "person")
    made.done("deploy", "-f", next_one(made, {"watch": {**never, "onDeadline": "rollback"}}), code=5)
    assert last(made) == ("rolled_back", "deadline")


@pytest.mark.parametrize("word", ["promote", "abort", "pause", "resume"])
def test_a_command_without_a_release_is_refused_with_6(made, word):
    assert re.search(
        "^release: no release of score is moving\n  hint: ", made.done(word, "score", code=6), re.MULTILINE
    )


@pytest.mark.parametrize("revision", ["live", "unknown"])
def test_a_rollback_to_where_one_is_or_to_nowhere_is_refused_with_6(made, revision):
    told = made.done("rollback", "score", made.live() if revision == "live" else "0123456789ab", code=6)
    assert told.startswith("revision: ")


def test_the_first_release_of_a_service_has_no_way_back(made):
    made.done("deploy", "-f", made.service("first"))
    told = made.done("rollback", "first", code=6)
    assert "has no predecessor" in told
    made.done("remove", "first", "--yes")
