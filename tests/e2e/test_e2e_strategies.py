"""Every strategy as an owner lives it: real callers, a real proxy, real replicas, and what everyone of them meets."""

import contextlib
from http.client import HTTPConnection

import e2e_models
import pytest
from e2e_stories import QUICK, WATCH, WIDE, Stories, Story, by_chance, canary
from e2e_world import until, world

from celadon.domain.names import CONTROL_FROM
from celadon.judge.metrics import COPIES, DIFFER, LATENCY

pytestmark = pytest.mark.e2e


def opens_the_gate(story):
    """A person looks for a while and then lets it go on."""
    story.at("waiting")
    story.pipeline_ends()
    story.first = judged(story)
    until(lambda: judged(story) > story.first + 20, every_s=0.1)
    story.stood = story.moving()["phase"], story.moving()["stage"]
    story.made.done("promote", story.name)
    story.at_gate_code = story.code
    until(lambda: not story.moving(), every_s=0.1)


def fails_at_the_gate(story):
    """Green begins to fail while it waits for a person."""
    story.at("waiting")
    story.pipeline_ends()
    story.fault.touch()
    until(lambda: not story.moving(), 100, every_s=0.1)


def judged(story):
    """How many of green's answers the judge has heard."""
    return story.view()["judged"]["findings"][0]["green"]["answers"]


def user(number):
    """Two hundred users who come again and again, and one who comes but once in between."""
    return {"x-user": f"again-{number % 400}" if number % 2 else f"once-{number}"}


def country(number):
    return {"x-country": "fr" if number % 4 else "at"}


def ends_and_goes_on(story):
    story.ends()
    story.answers_more(60)


def is_looked_at(story):
    story.at("watching", 0)
    until(lambda: len(controls(story)) == 1, every_s=0.1)
    story.ends()
    until(lambda: not controls(story), every_s=0.1)


def controls(story):
    """The replicas of blue that are there for the comparison."""
    blue = next(r for r in story.view()["revisions"] if r["revision"] == story.blue)
    return [replica for replica in blue["replicas"] if replica["index"] >= CONTROL_FROM]


def keeps_its_cookie(story):
    """Callers that keep what they are given, beside those that give nothing back."""
    port, story.kept = story.made.port(story.name), {}
    while story.moving():
        for caller in range(20):
            story.kept.setdefault(caller, []).append(asks(port, story.kept.get(caller, ())))
    story.pipeline_ends()


def asks(port, before):
    """One request with the cookie that came last, as (who answered, cookie)."""
    cookie = next((cookie for _, cookie in reversed(before) if cookie), "")
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("POST", "/score", b"{}", {"cookie": cookie} if cookie else {})
        answer = connection.getresponse()
        assert answer.status == 200
        given = (answer.getheader("set-cookie") or "").partition(";")[0]
        return answer.getheader("x-celadon-revision"), given


def stories(made):
    e2e_models.times(made.work / "flat.onnx")
    e2e_models.times(made.work / "tall.onnx", shape=True)
    model = {"path": "/v1/models/shape:predict", "body": b'{"instances": [[1.0, 2.0]]}'}
    tall = {"body": e2e_models.GOLDEN["body"], "expect": {"at": "predictions", "shape": [1, 2, 1]}}
    return [
        Story(
            name="stages",
            release={"strategy": canary((5, 4), (50, 4), (100, 2)), "watch": WATCH, "judge": WIDE},
            rate=100,
        ),
        Story(
            name="evidence",
            release={
                "strategy": canary((20, 1), (50, 1), (100, 1), advance="evidence"),
                "watch": WATCH,
                "judge": WIDE,
            },
        ),
        Story(
            name="gate",
            release={
                "strategy": canary((30, 2), {"percent": 50, "gate": True, "seconds": 2}, (100, 1)),
                "watch": WATCH,
                "judge": WIDE,
            },
            act=opens_the_gate,
        ),
        Story(
            name="gatefault",
            release={
                "strategy": canary((50, 2), {"percent": 100, "gate": True, "seconds": 1}),
                "watch": WATCH,
                "judge": {**QUICK, "freezeMirrorPercent": 50},
            },
            act=fails_at_the_gate,
        ),
        Story(
            name="sticky",
            release={
                "strategy": canary((20, 3), (50, 3), (80, 3), (100, 1)),
                "sticky": {"header": "x-user"},
                "watch": WATCH,
                "judge": WIDE,
            },
            headers=user,
            rate=100,
        ),
        Story(
            name="abtest",
            release={
                "strategy": {"abTest": {"match": {"headers": {"x-country": ["at"]}}, "seconds": 5}},
                "watch": WATCH,
                "judge": WIDE,
            },
            headers=country,
            rate=80,
            act=ends_and_goes_on,
        ),
        Story(
            name="shadow",
            release={
                "strategy": {"shadow": {"percent": 50, "seconds": 4}},
                "watch": WATCH,
                "judge": WIDE,
            },
            act=ends_and_goes_on,
        ),
        Story(
            name="control",
            release={
                "strategy": canary((20, 24), (100, 1), control=True),
                "watch": WATCH,
                "judge": {**WIDE, "latency": {"maxSlowerPercent": 400}},
            },
            rate=100,
            act=is_looked_at,
        ),
        Story(
            name="cookie",
            release={
                "strategy": canary((30, 3), (60, 3), (100, 1)),
                "sticky": {"cookie": "celadon"},
                "watch": WATCH,
                "judge": WIDE,
            },
            act=keeps_its_cookie,
        ),
        Story(
            name="combined",
            release={
                "strategy": canary({"percent": 0, "mirrorPercent": 100, "seconds": 3}, (50, 2), (100, 1)),
                "watch": WATCH,
                "judge": WIDE,
            },
        ),
        Story(
            name="shape",
            release={
                "strategy": {"shadow": {"seconds": 60}},
                "watch": WATCH,
                "judge": {**WIDE, "falseRollbackPercent": 50},
            },
            spec={"model": "./flat.onnx", "golden": [e2e_models.GOLDEN]},
            green_spec={"model": "./tall.onnx", "golden": [tall]},
            act=ends_and_goes_on,
            **model,
        ),
    ]


@pytest.fixture(scope="module")
def story():
    with world() as made:
        lived = Stories(made, stories(made))
        try:
            yield lived
        finally:
            lived.over()


def test_a_canary_by_stages_gives_green_the_share_that_each_stage_says_and_loses_nothing(story, figure):
    told = story("stages")
    assert told.ended_as() == ("promoted", "plan", 0)
    assert told.load.failed() == []
    assert [percent for percent, _, _ in told.spans()] == [5, 50, 100]
    for percent, begin, end in told.spans():
        here = told.sent(begin, end)
        green = sum(f.revision == told.green_id for f in here)
        figure(f"share_at_{percent}", f"{green} of {len(here)}")
        assert len(here) >= 50
        assert by_chance(green, percent, len(here)), (percent, green, len(here))
    assert "nothing is left to compare it with" in told.last["reason"]["text"]


def test_a_canary_by_evidence_rises_when_enough_is_proved(story):
    told = story("evidence")
    assert told.ended_as() == ("promoted", "plan", 0)
    assert told.load.failed() == []
    ended = [d["reason"]["text"] for d in told.told() if d["reason"]["code"] == "stage_ended"]
    assert len(ended) == 2
    assert all("green is within its margins" in text for text in ended)


def test_a_gate_at_a_later_stage_waits_for_a_person_under_judgement(story):
    told = story("gate")
    assert told.at_gate_code == 3
    assert told.stood == ("waiting", 1)
    assert told.last["outcome"] == "promoted"
    assert [percent for percent, _, _ in told.spans()] == [30, 50, 100]
    assert told.load.failed() == []


def test_a_green_that_fails_while_a_person_is_waited_for_is_taken_back_without_one(story, figure):
    told = story("gatefault")
    assert told.code == 3
    assert (told.last["outcome"], told.last["cause"]) == ("rolled_back", "verdict")
    assert "frozen" in told.codes()
    bad = told.load.failed()
    figure("bad_answers", len(bad))
    assert {f.revision for f in bad} == {told.green_id}
    assert len(bad) <= 60


def test_no_caller_with_a_key_goes_back_to_blue_while_the_share_rises(story):
    told = story("sticky")
    assert told.ended_as() == ("promoted", "plan", 0)
    assert told.load.failed() == []
    seen = {}
    for found in sorted(told.load.ended, key=lambda f: f.sent_at):
        seen.setdefault(user(found.number)["x-user"], []).append(found.revision)
    came_back = [name for name, met in seen.items() if name.startswith("again")]
    assert len(came_back) == 200
    moved = 0
    for name in came_back:
        met = seen[name]
        first = met.index(told.green_id) if told.green_id in met else len(met)
        assert set(met[first:]) <= {told.green_id}, (name, met)
        moved += 0 < first < len(met)
    assert moved > 100


def test_no_caller_with_a_cookie_goes_back_to_blue_while_the_share_rises(story):
    told = story("cookie")
    assert told.ended_as() == ("promoted", "plan", 0)
    assert told.load.failed() == []
    for met in told.kept.values():
        revisions = [revision for revision, _ in met]
        first = revisions.index(told.green_id)
        assert set(revisions[first:]) == {told.green_id}, met
    early = [met[:20] for met in told.kept.values()]
    assert any(revision == told.blue for met in early for revision, _ in met)


def test_a_control_of_blue_serves_beside_green_and_latency_is_judged_by_it(story):
    told = story("control")
    assert told.ended_as() == ("promoted", "plan", 0)
    assert told.load.failed() == []
    latency = {finding["metric"]: finding for finding in told.last["findings"]}[LATENCY]
    assert latency["green"]["answers"] > 20
    assert latency["blue"]["answers"] > 20


def test_a_shadow_and_then_a_canary_are_one_release(story):
    told = story("combined")
    assert told.ended_as() == ("promoted", "plan", 0)
    assert told.load.failed() == []
    (_, begin, end), *_ = told.spans()
    assert {f.revision for f in told.sent(begin, end)} == {told.blue}
    assert [percent for percent, _, _ in told.spans()] == [0, 50, 100]


def test_a_test_by_header_splits_its_group_alone_and_ends_with_a_report(story):
    told = story("abtest")
    assert told.ended_as() == ("reported", "plan", 0)
    assert told.load.failed() == []
    group = [f for f in told.load.ended if country(f.number)["x-country"] == "at"]
    rest = [f for f in told.load.ended if country(f.number)["x-country"] == "fr"]
    assert {f.revision for f in rest} == {told.blue}
    (_, begin, end), *_ = told.spans()
    here = [f for f in group if f in told.sent(begin, end)]
    assert by_chance(sum(f.revision == told.green_id for f in here), 50, len(here))
    after = told.sent(told.last["ended_at"] - told.began_at)
    assert {f.revision for f in after} == {told.blue}
    errors = told.last["findings"][0]
    assert errors["green"]["answers"] + errors["blue"]["answers"] <= len(group)
    assert errors["green"]["answers"] > 20
    assert told.made.live(told.name) == told.blue


def test_a_shadow_answers_copies_that_no_caller_sees_and_says_how_many(story):
    told = story("shadow")
    assert told.ended_as() == ("reported", "plan", 0)
    assert told.load.failed() == []
    assert {f.revision for f in told.load.ended} == {told.blue}
    ended = next(d["reason"] for d in told.told() if d["reason"]["code"] == "shadow_ended")
    (_, begin, end), *_ = told.spans()
    asked, copies = len(told.sent(begin - 0.5, end + 0.5)), ended["fields"]["copies"]
    assert asked / 5 < copies < asked * 0.75
    findings = {finding["metric"]: finding for finding in told.last["findings"]}
    assert findings[COPIES]["green"] == {"answers": copies, "events": 0}


def test_another_output_shape_is_found_by_the_shadow_and_hurts_nobody(story):
    told = story("shape")
    assert told.ended_as() == ("rolled_back", "verdict", 2)
    assert told.load.failed() == []
    assert {f.revision for f in told.load.ended} == {told.blue}
    differ = {finding["metric"]: finding for finding in told.last["findings"]}[DIFFER]
    assert differ["green"]["events"] == differ["green"]["answers"] > 50
    assert differ["blue"]["events"] == 0
    assert "have another shape or type, such as" in differ["note"]
    assert "float32[1,2], and the copy float32[1,2,1]" in differ["note"]
