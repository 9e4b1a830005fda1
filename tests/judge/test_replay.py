"""What is remembered after a crash is what an undisturbed judge remembers, to the last bit, however samples were cut."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from judge_given import BEGAN_S, BLUE, GREEN, Watched, cursor, release, sides, stage

from celadon.domain.compare import (
    Compare,
    Groups,
    LabelMargin,
    LatencyMargin,
    Margin,
    PairMargin,
    ScoreMargin,
)
from celadon.domain.evidence import Ledger
from celadon.domain.facts import Known
from celadon.domain.goal import Arm
from celadon.domain.samples import Answers, Evidence, Label, Pairs, Samples
from celadon.judge.watch import judge
from celadon.store.codec import decode, encode

EVERYTHING = Compare(
    latency=LatencyMargin(),
    labels=LabelMargin(wrong=Margin(), positive="fraud"),
    score=ScoreMargin(),
    pairs=PairMargin(),
    groups=Groups(header="x-plan", values=("gold",)),
    freeze_mirror=3000,
)
RELEASE = release(EVERYTHING, stage(2500), control=True)
SIDES = sides(2, 1, 1)
BEGIN = BEGAN_S

ARMS = (
    (GREEN, Arm.MAIN, False),
    (BLUE, Arm.MAIN, False),
    (BLUE, Arm.CONTROL, False),
    (GREEN, Arm.MAIN, True),
)


@st.composite
def request(draw: Any) -> tuple[Answers, int]:
    """One answer, and how many seconds after the one before it."""
    revision, arm, mirrored = draw(st.sampled_from(ARMS))
    error = draw(st.sampled_from([0, 0, 0, 1]))
    one = Answers(
        at_s=0,
        revision=revision,
        arm=arm,
        share=draw(st.sampled_from([2500, 2500, 2500, 500, 0])),
        group=draw(st.sampled_from(["", "gold"])),
        mirrored=mirrored,
        mirror=3000,
        requests=1,
        errors=error,
        failed=error,
        durations=() if error else ((draw(st.integers(80, 90)), 1),),
    )
    return one, draw(st.sampled_from([0, 0, 0, 0, 1, 3, 9, 400]))


@st.composite
def label(draw: Any) -> Label:
    wrong, positive = draw(st.booleans()), draw(st.booleans())
    return Label(
        at_s=BEGIN + draw(st.integers(0, 40)),
        answered_s=BEGIN + draw(st.integers(0, 40)),
        revision=draw(st.sampled_from([GREEN, BLUE])),
        share=draw(st.sampled_from([2500, 500])),
        group=draw(st.sampled_from(["", "gold"])),
        wrong=wrong,
        positive=positive,
        claimed=wrong != positive,
        score=draw(st.sampled_from([None, 0.0, 0.3, 0.7, 1.0])),
    )


@st.composite
def pair(draw: Any) -> Pairs:
    differ = draw(st.integers(0, 5))
    return Pairs(
        at_s=BEGIN + draw(st.integers(0, 60)),
        copy=draw(st.sampled_from([GREEN, BLUE])),
        pairs=5,
        differ=differ,
        only_copy_wrong=draw(st.integers(0, 1)),
        labelled_alike=draw(st.integers(0, 1)),
        reshaped=differ // 5,
        example="[1] became 1" if differ else "",
    )


def timed(requests: Sequence[tuple[Answers, int]]) -> list[Answers]:
    at_s, found = BEGIN, []
    for one, after_s in requests:
        at_s += after_s
        found.append(replace(one, at_s=at_s))
    return found


def tick(
    evidence: Evidence | None, answers: Sequence[Answers], told: tuple[int, int, Sequence[Label | Pairs]]
) -> Evidence:
    """One look at the sources, which go on where the evidence ends."""
    since = evidence.cursor if evidence else ()
    to = int(since[0][1]) + len(answers) if since else 0
    samples = Samples(
        cursor_from=since, cursor_to=cursor("router", to), counts=(), answers=tuple(summed(answers))
    )
    start, end, late = told
    labels = Samples(
        cursor_from=cursor("labels", start) if start else (),
        cursor_to=cursor("labels", end) if end else (),
        counts=(),
        labels=tuple(one for one in late if isinstance(one, Label)),
        pairs=tuple(one for one in late if isinstance(one, Pairs)),
    )
    after, _ = judge(
        RELEASE,
        RELEASE.plan.stages[0],
        SIDES,
        evidence,
        samples=Known(value=samples, taken_at=float(BEGIN)),
        labels=Known(value=labels, taken_at=0.0),
    )
    assert after is not None
    return after


def summed(answers: Sequence[Answers]) -> list[Answers]:
    """As a router tells them: one for all that have second, side, share and group in common."""
    found: dict[object, Answers] = {}
    for one in answers:
        key = (one.at_s, one.revision, one.arm, one.share, one.group, one.mirrored)
        was = found.get(key)
        found[key] = one if was is None else _both(was, one)
    return list(found.values())


def _both(a: Answers, b: Answers) -> Answers:
    total = dict(a.durations)
    for number, count in b.durations:
        total[number] = total.get(number, 0) + count
    return replace(
        a,
        requests=a.requests + b.requests,
        errors=a.errors + b.errors,
        failed=a.failed + b.failed,
        durations=tuple(sorted(total.items())),
    )


def undisturbed(answers: Sequence[Answers], late: Sequence[Label | Pairs]) -> Evidence:
    evidence = tick(None, (), (0, 0, ()))
    return tick(evidence, answers, (0, len(late), late))


def journalled(evidence: Evidence) -> Evidence:
    """Through the very bytes of the journal."""
    return decode(Evidence, json.loads(rfc8785.dumps(encode(evidence))))


def crashing(
    answers: Sequence[Answers], late: Sequence[Label | Pairs], steps: Sequence[tuple[int, int, bool, bool]]
) -> Evidence:
    """The same stream in pieces. Each step: how much is read of both, whether it is a checkpoint, and a crash after."""
    evidence = kept = journalled(tick(None, (), (0, 0, ())))
    for more, more_late, checkpoint, crash in [*steps, (len(answers), len(late), False, False)]:
        at = int(evidence.cursor[0][1])
        late_at = int(evidence.label_cursor[0][1]) if evidence.label_cursor else 0
        told = late[late_at : late_at + more_late]
        evidence = tick(evidence, answers[at : at + more], (late_at, late_at + len(told), told))
        if checkpoint:
            kept = journalled(evidence)
        if crash:
            evidence = kept
    return evidence


STEP = st.tuples(st.integers(0, 12), st.integers(0, 6), st.booleans(), st.booleans())


@settings(max_examples=120)
@given(
    st.lists(request(), max_size=60),
    st.lists(st.one_of(label(), pair()), max_size=25),
    st.lists(STEP, max_size=12),
)
def test_after_crashes_the_ledger_is_that_of_an_undisturbed_judge(
    requests: list[tuple[Answers, int]], late: list[Label | Pairs], steps: list[tuple[int, int, bool, bool]]
) -> None:
    answers = timed(requests)
    labels_first = [one for one in late if isinstance(one, Label)]
    ordered = [*labels_first, *(one for one in late if isinstance(one, Pairs))]
    expected, found = undisturbed(answers, ordered), crashing(answers, ordered, steps)
    assert found.ledger == expected.ledger
    assert found.cursor == expected.cursor
    assert bytes_of(found.ledger) == bytes_of(expected.ledger)


def bytes_of(ledger: Ledger | None) -> bytes:
    return rfc8785.dumps(encode(ledger, Ledger | None))


def test_a_ledger_of_every_metric_is_small() -> None:
    watched = Watched(RELEASE, sides=SIDES)
    for at_s in range(BEGIN + 1, BEGIN + 400):
        watched.hear(
            [
                Answers(
                    at_s=at_s,
                    revision=revision,
                    arm=arm,
                    share=2500,
                    group="gold",
                    mirrored=mirrored,
                    mirror=3000,
                    requests=50,
                    errors=at_s % 3,
                    durations=tuple((number, 1) for number in range(60, 110)),
                )
                for revision, arm, mirrored in ARMS
            ]
        )
    assert watched.judged is not None
    assert watched.evidence is not None
    metrics = sum(one.part > 0 for one in watched.judged.findings)
    assert len(bytes_of(watched.evidence.ledger)) <= 1024 * metrics
