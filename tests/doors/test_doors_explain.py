"""What people are shown of the evidence: every metric, what it proves, and what a release waits for."""

import json
from dataclasses import replace

from celadon.control.view import View
from celadon.domain.compare import Compare
from celadon.domain.draw import Condition, Draw, Match, StickyHeader, Where
from celadon.domain.evidence import Tally
from celadon.domain.facts import Facts, Known, RouteFacts, Unknown
from celadon.domain.goal import Arm, Mirror, Part, Route, Stamp, Wanted
from celadon.domain.memory import Memory, Probation
from celadon.domain.names import ServiceKey
from celadon.domain.plan import Plan, Stage
from celadon.domain.reason import Code, because, text
from celadon.domain.release import Phase, Release
from celadon.domain.samples import Evidence
from celadon.domain.spec import Exactly, OnDeadline, ReleasePolicy, Retry, RetryWhen, RouteSpec, Settings
from celadon.domain.verdict import Finding, Interval, Judged, Unsure, Worth
from celadon.doors.api import shape
from celadon.doors.cli import evidence, tree
from celadon.doors.cli.exits import ExitCode
from celadon.doors.cli.follow import Stood, verdict_line
from celadon.doors.cli.human import ordinal

NOW = 1_000_000.0
GREEN, BLUE = "a" * 12, "b" * 12
SERVICE = ServiceKey(name="fraud")

SUSPECT = Finding(
    metric="errors",
    counts=Tally(500, 412, 9, 7820, 12),
    worth=Worth(harm=12.3, suspected=24.0, fine=0.01),
    interval=Interval(ratio=14.2, low=3.1, high=40.0),
    needed=None,
)
HOPEFUL = Finding(
    metric="wrong answers",
    counts=Tally(500, 412, 3, 7820, 52),
    worth=Worth(harm=0.3, suspected=0.3, fine=8.4),
    interval=Interval(ratio=1.1, low=0.2, high=3.9),
    needed=2310,
)
ASIDE = Finding(
    metric="latency",
    counts=Tally(500, 0, 0, 0, 0),
    worth=Worth(harm=1.0, suspected=1.0, fine=0.0),
    interval=Interval(ratio=None, low=0.0, high=None),
    needed=None,
    required=False,
    note="replicas do not have equal load",
)
WAITS = because(
    Code.NEEDS_MORE,
    needed=2310,
    metric="wrong answers",
    green_events=3,
    green=412,
    blue_events=52,
    blue=7820,
)
MATCH = Match(conditions=(Condition(where=Where.COOKIE, name="beta", values=("1", "yes")),))
STICKY = StickyHeader(header="x-user")
PLAN = Plan(
    stages=(
        Stage(share=500, dwell_s=30, proof=4.47, mirror=1000),
        Stage(share=5000, dwell_s=30, proof=20),
        Stage(share=10_000, dwell_s=60),
    ),
    prepare_s=1,
    prove_s=1,
    watch_deadline_s=900,
    on_deadline=OnDeadline.HOLD,
    hold_s=1,
    compare=Compare(rest_s=300),
    match=MATCH,
    sticky=STICKY,
)
ROUTE = RouteSpec(port=8080, preview_port=9080, retry=Retry(when=RetryWhen.NEVER))
RELEASE = Release(
    id="fraud-2",
    number=2,
    blue=BLUE,
    green=GREEN,
    plan=PLAN,
    settings=Settings(
        replicas=Exactly(replicas=2), route=ROUTE, drain_s=1, release=ReleasePolicy(), golden=None
    ),
    phase=Phase.WATCHING,
    began_at=NOW - 50,
    entered_at=NOW - 30,
    because=WAITS,
)
HARM = because(
    Code.HARM_SUSPECTED,
    metric="errors",
    green_events=9,
    green=412,
    blue_events=12,
    blue=7820,
    ratio="14",
    low="3.1",
    high="40",
)
FROZEN = replace(
    RELEASE,
    phase=Phase.FROZEN,
    freezes=1,
    rested_s=41.0,
    because=because(Code.FROZEN, why=text(HARM)),
)


def served(*, frozen=False):
    split = (
        Part(revision=GREEN, share=500),
        Part(revision=BLUE, arm=Arm.CONTROL, share=500),
        Part(revision=BLUE, share=9000),
    )
    draw = Draw(green=GREEN, salt="fraud-2", sticky=STICKY, shares=(500,), frozen=frozen)
    group = Route(match=MATCH, split=split, mirrors=(Mirror(revision=GREEN, share=1000),), draw=draw)
    rest = Route(split=(Part(revision=BLUE, share=10_000),))
    return Wanted(
        service=SERVICE,
        stamp=Stamp(epoch=1, seq=1),
        route=ROUTE,
        routes=(group, rest),
        endpoints=(),
        preview=None,
        ready=(),
    )


def view(release=RELEASE, findings=(SUSPECT, HOPEFUL, ASIDE), **more):
    wanted = served(frozen=release is not None and release.phase is Phase.FROZEN)
    facts = Facts(
        at=NOW,
        replicas=Known(value=(), taken_at=NOW),
        routes=Known(value=RouteFacts(confirmed=wanted), taken_at=NOW),
        samples=Unknown(why="none"),
    )
    settings = RELEASE.settings
    memory = Memory(service=SERVICE, settings=settings, release=release, live=BLUE, **more)
    judged = Judged(verdict=Unsure(because=WAITS), findings=findings, suspicion=3.0)
    why = release.because if release else because(Code.STEADY)
    return shape.service(View(memory=memory, facts=facts, judged=judged, because=why, at=NOW))


def lines(told, room=None):
    return [line.text.rstrip() for line in tree.service(told, NOW, room)]


def words(told, room=None):
    return " ".join("\n".join(lines(told, room)).split())


def test_every_metric_is_sent_with_its_counts_its_evidence_and_what_decides():
    told = json.loads(json.dumps(view()))["judged"]
    assert told["levels"] == {"harm": 100.0, "suspected": 20.0, "fine": 20.0, "stage": 4.47}
    errors = told["findings"][0]
    assert errors["green"] == {"answers": 412, "events": 9}
    assert errors["blue"] == {"answers": 7820, "events": 12}
    assert errors["evidence"] == {"harm": 12.3, "suspected": 24.0, "fine": 0.01}
    assert errors["ratio"] == {"value": 14.2, "low": 3.1, "high": 40.0}
    assert (errors["needed"], errors["required"], errors["note"]) == (None, True, "")
    assert told["findings"][2]["ratio"] == {"value": None, "low": 0.0, "high": None}


def test_evidence_beyond_all_numbers_is_still_json():
    sure = replace(SUSPECT, worth=Worth(harm=float("inf"), suspected=float("inf"), fine=0.0))
    text = json.dumps(view(findings=(sure,)), allow_nan=False)
    assert json.loads(text)["judged"]["findings"][0]["evidence"]["harm"] > 1e299


def test_a_metric_reads_as_counts_ratio_evidence_and_what_is_missing():
    told = words(view())
    assert "metric green blue ratio harm fine" in told
    assert (
        "errors 9 of 412 12 of 7,820 14 (3.1 to 40) 12 of 100 under 0.1 of 20 harm suspected: 24 of 20"
        in told
    )
    assert "wrong answers 3 of 412 52 of 7,820 1.1 (0.2 to 3.9) 0.3 of 100 8.4 of 20 needs about" in told
    assert "needs about 2,310 more answers" in told
    assert "latency - - - 1 of 100 - needs no proof replicas do not have equal load" in told
    assert "this stage ends once every required metric has 4.5 for fine" in told


def test_a_narrow_terminal_gets_the_same_words_in_three_lines_a_metric():
    told = lines(view(), room=80)
    judged = told[next(at for at, line in enumerate(told) if line.startswith("  judged")) :]
    assert all(len(line) <= 80 for line in judged)
    said = "errors harm suspected: 24 of 20 green 9 of 412, blue 12 of 7,820, ratio 14 (3.1 to 40) harm 12 of 100, fine under 0.1 of 20"
    assert said in words(view(), 80)


def test_metrics_that_share_one_bet_add_up_and_one_alone_proves_no_harm_too_early():
    half = replace(SUSPECT, worth=Worth(harm=150.0, suspected=150.0, fine=0.01), part=0.5)
    told = view(findings=(half,))["judged"]
    assert evidence.says(told["findings"][0], told["levels"])[0] == "harm suspected: 75 of 20"
    assert "75 of 100" in words(view(findings=(half,)))


def test_an_interval_without_an_end_is_said_without_one():
    assert evidence.ratio({"value": None, "low": 2.44, "high": None}) == "2.4 or more"
    assert evidence.ratio({"value": 120.0, "low": 40.2, "high": None}) == "120 (40 or more)"
    assert evidence.ratio({"value": 0.0, "low": 0.0, "high": 3.2}) == "0 (0 to 3.2)"


def test_every_route_is_told_with_its_group_its_arms_its_copies_and_what_stays():
    told = view()["route"]
    assert [part["share_percent"] for part in told["confirmed"]] == [100.0]
    group, rest = told["groups"]
    assert group["match"] == [{"where": "cookie", "name": "beta", "values": ["1", "yes"]}]
    assert [(p["arm"], p["share_percent"]) for p in group["shares"]] == [
        ("main", 5.0),
        ("control", 5.0),
        ("main", 90.0),
    ]
    assert (group["sticky"], group["frozen"], rest["match"]) == ({"header": "x-user"}, False, [])
    assert f"5 % to {BLUE} (control), 90 % to {BLUE} of those with cookie beta 1 or yes" in words(view())
    assert f"copies of 10 % to {GREEN} sticky by header x-user" in words(view())


def test_a_freeze_says_when_it_ends_and_needs_nobody():
    told = view(FROZEN)
    assert "fraud-2: frozen, stage 1 of 3 for 30 s, at most 4 min to go" in words(told)
    assert "sticky by header x-user (frozen)" in words(told)
    assert tree.needs(told) == []
    assert not tree.waits_for_person(told["release"])


def test_a_freeze_whose_rest_is_over_and_whose_doubt_has_grown_says_who_can_end_it():
    grew = because(Code.DOUBT_GREW, seconds=300.0, why=text(HARM))
    told = {**view(replace(FROZEN, rested_s=300.0)), "reason": shape.reason(grew)}
    assert "stage 1 of 3 for 30 s, its rest is over" in words(told)
    assert tree.needs(told) == ["celadon promote fraud   or: celadon abort fraud"]
    assert not tree.waits_for_person(told["release"])


def test_the_third_freeze_waits_for_a_person_and_says_the_two_commands():
    third = because(Code.THIRD_FREEZE, freezes=3, why=text(HARM))
    told = view(replace(FROZEN, freezes=3, stays_frozen=True, because=third))
    assert "the 3rd time: a person decides" in words(told)
    assert tree.needs(told) == ["celadon promote fraud   or: celadon abort fraud"]
    stood = Stood(release=told["release"], code=ExitCode.PERSON)
    assert verdict_line(stood).endswith("next: celadon promote fraud   or: celadon abort fraud")


def test_a_release_that_lacks_labels_says_how_they_are_brought():
    none = because(Code.LABELS_MISSING, labelled=0, needed=200)
    some = because(Code.LABELS_MISSING, labelled=3, needed=200)
    assert tree.needs(view(replace(RELEASE, because=none)))[0].endswith("celadon feedback FILE")
    assert tree.needs(view(replace(RELEASE, because=some))) == []


def test_the_end_of_a_release_is_told_with_what_each_metric_said():
    ended = replace(
        RELEASE,
        phase=Phase.ENDED,
        findings=(SUSPECT,),
        because=because(Code.BACK_ON_BLUE, why=text(HARM)),
    )
    told = {**shape.release(ended), "outcome": "rolled_back"}
    first, titles, errors, more = verdict_line(Stood(release=told, code=ExitCode.ROLLED_BACK)).splitlines()
    assert first.startswith("fraud-2 rolled back: all requests are on blue again")
    assert titles.split() == ["metric", "green", "blue", "ratio", "harm", "fine"]
    assert errors.split()[:4] == ["errors", "9", "of", "412"]
    assert more.startswith("  more: celadon why fraud-2")


def test_probation_is_shown_beside_the_service():
    on_trial = Probation(
        release=replace(RELEASE, id="fraud-1", findings=(HOPEFUL,)),
        evidence=Evidence(judge="coin/1", cursor=()),
        until=NOW + 9000,
    )
    told = view(None, probation=on_trial)
    assert told["probation"]["release"] == "fraud-1"
    assert told["probation"]["findings"][0]["metric"] == "wrong answers"
    assert f"probation fraud-1: labels may still take {GREEN} back for 2 h 30 min" in words(told)


def test_counting_in_words():
    assert [ordinal(count) for count in (1, 2, 3, 4, 11, 12, 13, 21, 102)] == [
        "1st",
        "2nd",
        "3rd",
        "4th",
        "11th",
        "12th",
        "13th",
        "21st",
        "102nd",
    ]
