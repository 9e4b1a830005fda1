"""The judge behind the watch: one word on a stage from all that was seen, and none on what was not."""

from dataclasses import replace

import pytest
from judge_given import (
    BEGAN_S,
    BLUE,
    GREEN,
    OTHER,
    Watched,
    answers,
    control,
    cursor,
    release,
    sides,
    stage,
)

from celadon.domain.compare import (
    Compare,
    Groups,
    LabelMargin,
    LatencyMargin,
    Margin,
    PairMargin,
    ScoreMargin,
    Units,
)
from celadon.domain.durations import bucket
from celadon.domain.facts import NO_LABELS, Known, Unknown
from celadon.domain.plan import FULL
from celadon.domain.reason import Code, text
from celadon.domain.release import Phase
from celadon.domain.samples import Answers, Label, Pairs, Samples
from celadon.domain.verdict import Fine, Harm, Invalid, Suspected, Unsure
from celadon.judge.metrics import COPIES, DIFFER, ERRORS, FALSE_ALARMS, MISSED, WRONG, WRONG_COPIES, parts
from celadon.judge.tallies import LABELS_OF_WINDOW, share_of_copies

PLAIN = Compare()
PROOF = (stage(500, proof=20.0), stage(FULL))
BLUE_USUAL = (95, 0)


def fed(watched: Watched, seconds: int, green=(5, 0), blue=BLUE_USUAL, share: int = 500, **more) -> Watched:
    """So many seconds of the same, one tick each."""
    start = watched.seconds
    for at_s in range(start + 1, start + 1 + seconds):
        watched.hear(answers(at_s, share, green, blue, **more))
    return watched


# What decides


def test_a_green_that_is_like_blue_is_fine_once_it_is_proved_and_not_before() -> None:
    watched = Watched(release(PLAIN, *PROOF))
    early = fed(watched, 20).verdict
    assert isinstance(early, Unsure)
    assert early.because.code is Code.NEEDS_MORE
    assert isinstance(fed(watched, 900).verdict, Fine)
    assert watched.verdict.because.code is Code.PROVED_FINE


def test_a_stage_that_asks_for_less_proof_ends_sooner() -> None:
    watched = Watched(release(PLAIN, stage(500, proof=2.0), stage(FULL)))
    assert isinstance(fed(watched, 250).verdict, Fine)


def test_a_stage_that_asks_for_no_proof_is_fine_by_the_guard_alone() -> None:
    watched = Watched(release(PLAIN))
    assert isinstance(fed(watched, 3).verdict, Unsure)
    assert watched.verdict.because.code is Code.TOO_FEW_REQUESTS
    fed(watched, 3)
    assert isinstance(watched.verdict, Fine)
    assert watched.verdict.because.code is Code.WITHIN_LIMITS


def test_harm_is_suspected_before_it_is_proved() -> None:
    watched = Watched(release(PLAIN))
    seen = [type(fed(watched, 1, green=(5, 1)).verdict).__name__ for _ in range(120)]
    assert seen.index("Suspected") < seen.index("Harm")
    assert seen[-1] == "Harm"


def test_two_errors_that_the_plain_guard_would_call_harm_are_only_weighed() -> None:
    watched = Watched(release(PLAIN))
    fed(watched, 3, green=(5, 1), blue=(95, 19))
    fed(watched, 2, green=(5, 0), blue=(95, 0))
    assert isinstance(watched.verdict, Unsure)
    assert watched.verdict.because.code is Code.ERROR_SHARE


def test_a_limit_is_harm_once_it_is_proved_to_be_broken_even_if_blue_is_as_bad() -> None:
    watched = Watched(release(PLAIN))
    fed(watched, 200, green=(5, 2), blue=(95, 38))
    assert isinstance(watched.verdict, Harm)
    assert watched.verdict.because.code is Code.SLO_BROKEN
    assert "green's errors" in text(watched.verdict.because)


def test_slow_answers_beyond_the_limit_are_harm_once_that_is_proved() -> None:
    watched = Watched(release(PLAIN))
    for at_s in range(BEGAN_S + 1, BEGAN_S + 120):
        slow = Answers(
            at_s=at_s, revision=GREEN, share=500, requests=5, durations=((bucket(5000), 4), (bucket(2e6), 1))
        )
        watched.hear([slow, *answers(at_s, 500, (0, 0), (95, 0))])
    assert isinstance(watched.verdict, Harm)
    assert watched.verdict.because.code is Code.LATENCY


def test_at_the_full_share_the_guard_decides_and_the_reason_says_that_nothing_is_compared() -> None:
    watched = Watched(release(PLAIN, stage(FULL)))
    fed(watched, 10, green=(100, 1), blue=(0, 0), share=FULL)
    assert isinstance(watched.verdict, Fine)
    assert watched.verdict.because.code is Code.ABSOLUTE_ONLY
    assert watched.verdict.because.fields["requests"] == 1000
    fed(watched, 10, green=(100, 60), blue=(0, 0), share=FULL)
    assert isinstance(watched.verdict, Harm)


def test_without_a_comparison_the_guard_judges_as_ever() -> None:
    watched = Watched(release(None, stage(FULL)))
    fed(watched, 3, green=(100, 0), blue=(0, 0), share=FULL)
    assert isinstance(watched.verdict, Fine)
    assert watched.evidence is not None
    assert watched.evidence.ledger is None


def test_what_happens_where_nothing_was_live_before_is_judged_by_the_guard() -> None:
    watched = Watched(release(PLAIN, stage(FULL), blue=None))
    watched.sides = None
    watched.evidence = None
    watched.hear([])
    assert isinstance(watched.verdict, Unsure)


# What is not known


def test_missing_samples_are_unsure_and_change_nothing() -> None:
    watched = fed(Watched(release(PLAIN, *PROOF)), 900)
    before = watched.evidence
    watched.tick(Unknown(why="the log can not be read"), NO_LABELS)
    assert isinstance(watched.verdict, Unsure)
    assert watched.evidence == before


def test_labels_that_can_not_be_read_are_told_from_labels_that_never_came() -> None:
    watched = fed(Watched(release(LABELLED)), 30)
    broken = Unknown(why="no space is left\n  hint: free some")
    start = cursor("router", watched.read)
    samples = Samples(cursor_from=start, cursor_to=start, counts=())
    watched.tick(Known(value=samples, taken_at=0.0), broken)
    assert watched.judged is not None
    notes = {finding.metric: finding.note for finding in watched.judged.findings}
    assert notes["wrong answers"] == "can not be read: no space is left; hint: free some"
    assert not notes["errors"]


def test_samples_that_do_not_join_are_invalid_and_nothing_is_added() -> None:
    watched = fed(Watched(release(PLAIN)), 30)
    before = watched.evidence
    wrong = Samples(
        cursor_from=cursor("router", 7),
        cursor_to=cursor("router", 8),
        counts=(),
        answers=tuple(answers(BEGAN_S + 31, 500, (5, 5), BLUE_USUAL)),
    )
    watched.tick(Known(value=wrong, taken_at=0.0), NO_LABELS)
    assert isinstance(watched.verdict, Invalid)
    assert watched.evidence == before
    assert isinstance(fed(watched, 1).verdict, Fine)


def test_labels_that_do_not_join_are_invalid_and_nothing_is_added() -> None:
    watched = fed(Watched(release(Compare(labels=LabelMargin(wrong=Margin())))), 30)
    watched.label(label(GREEN, 1020, wrong=False))
    before = watched.evidence.ledger
    watched.labelled += 5
    watched.label(label(GREEN, 1020, wrong=True))
    assert isinstance(watched.verdict, Invalid)
    assert watched.evidence.ledger is before


def test_an_incomplete_interval_spoils_one_look() -> None:
    watched = fed(Watched(release(PLAIN)), 30)
    before = watched.evidence.ledger
    watched.hear(answers(BEGAN_S + 31, 500, (5, 5), BLUE_USUAL), complete=False)
    assert isinstance(watched.verdict, Invalid)
    assert watched.evidence.ledger is before
    assert isinstance(fed(watched, 1).verdict, Fine)


def test_an_idle_service_is_never_fine() -> None:
    watched = fed(Watched(release(PLAIN)), 30)
    watched.seconds += 31
    watched.hear([])
    assert isinstance(watched.verdict, Unsure)
    assert "no answer for 31 s" in text(watched.verdict.because)


def test_a_split_that_was_not_asked_for_is_invalid() -> None:
    watched = fed(Watched(release(PLAIN)), 120, green=(20, 0), blue=(80, 0))
    assert isinstance(watched.verdict, Invalid)
    assert watched.verdict.because.code is Code.SPLIT_BROKEN


def test_a_frozen_or_a_full_share_is_no_broken_split() -> None:
    watched = Watched(release(PLAIN))
    fed(watched, 60, green=(0, 0), blue=(100, 0), share=0)
    fed(watched, 60, green=(100, 0), blue=(0, 0), share=FULL)
    fed(watched, 10)
    assert isinstance(watched.verdict, Fine | Invalid)
    assert watched.verdict.because.code is not Code.SPLIT_BROKEN


def test_answers_of_other_revisions_are_left_out_and_told() -> None:
    watched = Watched(release(PLAIN))
    strange = replace(answers(BEGAN_S + 1, 500, (5, 0), (0, 0))[0], revision=OTHER)
    watched.hear([strange])
    assert watched.evidence.ledger.strangers == 5
    assert watched.finding(ERRORS).counts[1:] == (0, 0, 0, 0)


# Units


def test_users_that_can_not_be_told_apart_are_unsure_without_a_control() -> None:
    watched = fed(Watched(release(Compare(units=Units.UNSEEN))), 60)
    assert isinstance(watched.verdict, Unsure)
    assert watched.verdict.because.code is Code.UNITS_UNSEEN
    assert "told apart" in watched.finding(ERRORS).note


def test_beside_a_control_their_windows_are_exchanged_and_prove_harm_but_never_fine() -> None:
    watched = Watched(release(Compare(units=Units.UNSEEN), *PROOF, control=True))
    for at_s in range(BEGAN_S + 1, BEGAN_S + 1200):
        watched.hear([*answers(at_s, 500, (5, 1), (90, 0)), control(at_s, 500, 5)])
    assert isinstance(watched.verdict, Harm)
    watched = Watched(release(Compare(units=Units.UNSEEN), *PROOF, control=True))
    for at_s in range(BEGAN_S + 1, BEGAN_S + 1200):
        watched.hear([*answers(at_s, 500, (5, 0), (90, 0)), control(at_s, 500, 5)])
    assert isinstance(watched.verdict, Unsure)
    assert watched.verdict.because.code is Code.UNITS_UNSEEN


def test_the_split_of_units_is_judged_by_units_and_not_by_their_errors() -> None:
    watched = Watched(release(Compare(units=Units.KEYED), stage(2500)))
    for at_s in range(BEGAN_S + 1, BEGAN_S + 400):
        met = [replace(one, units=one.requests) for one in answers(at_s, 2500, (25, 0), (75, 0))]
        failed_later = replace(answers(at_s, 2500, (1, 1), (0, 0))[0], requests=0)
        watched.hear([*met, failed_later])
    assert isinstance(watched.verdict, Harm)


# Groups


def test_harm_in_one_group_is_found_and_named() -> None:
    compare = Compare(groups=Groups(header="x-plan", values=("gold", "basic")))
    watched = Watched(release(compare))
    for at_s in range(BEGAN_S + 1, BEGAN_S + 200):
        gold = answers(at_s, 500, (1, 1), (19, 0), group="gold")
        watched.hear([*gold, *answers(at_s, 500, (20, 0), (380, 8), group="basic")])
        if isinstance(watched.verdict, Harm):
            break
    assert watched.verdict.because.fields["metric"] == "errors in gold"
    assert watched.finding("errors in basic").worth.harm < 1


# Latency


def slower(us: float, share: int = 500, seconds: int = 120, ready=(19, 1, 0), with_control: bool = False):
    of = release(
        Compare(latency=LatencyMargin(required=True)), stage(share, proof=20.0), control=with_control
    )
    watched = Watched(of, sides=sides(*ready))
    for at_s in range(BEGAN_S + 1, BEGAN_S + 1 + seconds):
        spread = {us * part: count for part, count in ((0.8, 5), (1.0, 10), (1.2, 5))}
        greens = Answers(
            at_s=at_s,
            revision=GREEN,
            share=share,
            requests=20,
            durations=tuple(sorted((bucket(d), c) for d, c in spread.items())),
        )
        blues = replace(
            greens, revision=BLUE, durations=((bucket(4000), 5), (bucket(5000), 10), (bucket(6000), 5))
        )
        rest = 20 * (FULL - share) // share
        calm = replace(blues, requests=rest, durations=tuple((b, c * rest // 20) for b, c in blues.durations))
        heard = [greens, calm]
        if with_control:
            main = replace(calm, requests=rest - 20, durations=((bucket(1000), rest - 20),))
            heard = [greens, main, replace(blues, arm=control(0, 0, 1).arm)]
        watched.hear(heard)
    return watched


def test_a_slower_green_is_seen_under_equal_load() -> None:
    assert slower(7500.0).verdict.because.fields["metric"] == "latency"
    assert isinstance(slower(7500.0).verdict, Harm)


def test_latency_is_compared_with_the_control_where_there_is_one() -> None:
    assert isinstance(slower(7500.0, with_control=True, ready=(5, 1, 1)).verdict, Harm)
    fine = slower(5000.0, with_control=True, ready=(5, 1, 1), seconds=60)
    assert fine.finding("latency").worth.fine > 2
    assert fine.finding("latency").note == ""


def test_under_unequal_load_latency_is_not_compared_and_the_finding_says_so() -> None:
    watched = slower(7500.0, ready=(2, 2, 0), seconds=900)
    assert isinstance(watched.verdict, Unsure)
    assert watched.verdict.because.code is Code.NOT_COMPARED
    assert watched.finding("latency").counts.green == 0
    assert "unequal" not in watched.finding("latency").metric
    assert "same load" in watched.finding("latency").note


def test_the_first_seconds_after_a_change_of_share_say_nothing_of_latency() -> None:
    watched = slower(7500.0, seconds=10)
    assert watched.evidence.ledger.slowness.heard == ()
    watched = slower(7500.0, seconds=11)
    assert watched.evidence.ledger.slowness.heard != ()


# Blue against its control


def test_a_blue_that_differs_from_its_control_spoils_the_evidence() -> None:
    watched = Watched(release(PLAIN, stage(2500), control=True))
    for at_s in range(BEGAN_S + 1, BEGAN_S + 120):
        watched.hear([*answers(at_s, 2500, (25, 0), (50, 0)), control(at_s, 2500, 25, 4)])
    assert isinstance(watched.verdict, Invalid)
    assert watched.verdict.because.code is Code.PLACEBO_FIRED


# Copies


MIRRORED = Compare(freeze_mirror=3000)


def suspected(compare: Compare) -> Watched:
    """Up to the tick at which harm is suspected."""
    watched = Watched(release(compare))
    while not isinstance(watched.verdict, Suspected):
        fed(watched, 1, green=(5, 1))
    return watched


def copied(watched: Watched, seconds: int, errors: int) -> Watched:
    """Blue has every request, and green copies of three in ten."""
    for at_s in range(watched.seconds + 1, watched.seconds + 1 + seconds):
        copies = answers(at_s, 0, (30, errors), (0, 0), mirrored=True, mirror=3000)
        watched.hear([*copies, *answers(at_s, 0, (0, 0), (100, 0), mirror=3000)])
    return watched


def test_a_frozen_green_goes_on_being_judged_by_its_copies() -> None:
    watched = fed(Watched(release(MIRRORED)), 20, green=(5, 2))
    assert isinstance(watched.verdict, Suspected)
    watched.stands(Phase.FROZEN)
    copied(watched, 90, errors=10)
    assert isinstance(watched.verdict, Harm)
    assert watched.verdict.because.fields["metric"] == COPIES
    assert watched.finding(ERRORS).note == "frozen: every request is on blue"


def test_copies_that_are_fine_outweigh_what_was_suspected() -> None:
    watched = suspected(MIRRORED)
    watched.stands(Phase.FROZEN)
    copied(watched, 1, errors=0)
    assert watched.judged.suspicion > 1
    copied(watched, 900, errors=0)
    assert watched.judged.suspicion < 1
    watched.stands(Phase.WATCHING)
    fed(watched, 5)
    assert watched.judged.suspicion < 1
    assert not isinstance(watched.verdict, Suspected)


def test_what_was_forgiven_when_a_freeze_ended_is_not_suspected_again() -> None:
    watched = suspected(PLAIN)
    watched.release = replace(watched.release, forgiven=watched.judged.suspicion)
    fed(watched, 1)
    assert not isinstance(watched.verdict, Suspected)


def test_a_shadow_is_judged_by_copies_alone() -> None:
    watched = Watched(release(PLAIN, stage(0, proof=20.0, mirror=3000)))
    copied(watched, 100, errors=0)
    assert isinstance(watched.verdict, Unsure)
    assert watched.verdict.because.fields["metric"] == COPIES
    copied(watched, 500, errors=0)
    assert isinstance(watched.verdict, Fine)
    assert watched.evidence.copies == 18_000


def test_the_part_of_copies_fits_their_number_and_that_of_their_originals() -> None:
    assert share_of_copies(0, 3000) == round(10_000 * 0.3 / 1.3)
    assert share_of_copies(5000, 10_000) == round(10_000 / 1.5)
    assert share_of_copies(0, 0) == 0


# Labels


LABELLED = Compare(labels=LabelMargin(wrong=Margin(), positive="fraud"), score=ScoreMargin())


def label(revision, at_s: int, share: int = 500, **more) -> Label:
    return Label(at_s=at_s + 500, answered_s=at_s, revision=revision, share=share, **more)


def labels(seconds: int, wrong: int, **more) -> list[Label]:
    """Twenty a second, one of them green's, of which every `wrong`-th is wrong, and every 100th of blue's."""
    found = []
    for number in range(20 * seconds):
        green = number % 20 == 0
        bad = number // 20 % wrong == 0 if green else number % 100 == 7
        found.append(label(GREEN if green else BLUE, BEGAN_S + number // 20, wrong=bad, **more))
    return found


def test_wrong_answers_are_found_by_labels_that_come_all_at_once() -> None:
    watched = fed(Watched(release(LABELLED)), 30)
    watched.label(*labels(600, wrong=4))
    assert isinstance(watched.verdict, Harm)
    assert watched.verdict.because.fields["metric"] == WRONG


def test_right_answers_are_proved_by_labels() -> None:
    watched = fed(Watched(release(LABELLED)), 30)
    watched.label(*labels(6000, wrong=100))
    assert watched.finding(WRONG).worth.fine >= 20
    assert watched.finding(WRONG).required


def test_a_required_label_that_never_came_is_waited_for() -> None:
    watched = fed(Watched(release(replace(LABELLED, score=None), *PROOF)), 900)
    assert isinstance(watched.verdict, Unsure)
    assert watched.verdict.because.code is Code.LABELS_MISSING


def test_labels_in_any_order_of_their_answers_still_prove_something() -> None:
    watched = fed(Watched(release(LABELLED)), 30)
    newest_first = list(reversed(labels(600, wrong=4)))
    watched.label(*newest_first)
    assert len(newest_first) > 10 * LABELS_OF_WINDOW
    assert isinstance(watched.verdict, Harm)


def test_labels_of_answers_from_before_the_release_are_left_out() -> None:
    watched = fed(Watched(release(LABELLED)), 30)
    watched.label(*(replace(one, answered_s=one.answered_s - 5000) for one in labels(100, wrong=2)))
    assert watched.finding(WRONG).counts.green == 0


def test_missed_ones_are_counted_among_what_was_truly_positive_and_false_alarms_among_all() -> None:
    watched = fed(Watched(release(LABELLED)), 30)
    watched.label(
        label(GREEN, 1020, wrong=True, positive=True, claimed=False),
        label(GREEN, 1020, wrong=True, positive=False, claimed=True),
        label(GREEN, 1020, wrong=False, positive=False, claimed=False),
        label(BLUE, 1021, wrong=False, positive=True, claimed=True),
    )
    assert watched.finding(MISSED).counts == (0, 1, 1, 1, 0)
    assert watched.finding(FALSE_ALARMS).counts == (0, 3, 1, 1, 0)


def test_labels_that_come_for_one_side_only_are_no_evidence() -> None:
    watched = fed(Watched(release(LABELLED)), 30)
    watched.label(*(label(GREEN, 1020 + n // 10, wrong=n % 3 == 0) for n in range(100)))
    assert isinstance(watched.verdict, Invalid)
    assert watched.verdict.because.code is Code.LABELS_UNEVEN
    assert watched.finding(WRONG).worth.harm == 1


def test_lower_scores_are_harm_and_equal_ones_are_fine() -> None:
    for green, expected in ((0.5, Harm), (0.8, Fine)):
        watched = fed(Watched(release(replace(LABELLED, labels=None), stage(500))), 30)
        scores = [
            label(GREEN if n % 20 == 0 else BLUE, BEGAN_S + n // 20, score=green if n % 20 == 0 else 0.8)
            for n in range(24_000)
        ]
        watched.label(*scores)
        assert isinstance(watched.verdict, expected)
        if expected is Harm:
            assert watched.verdict.because.code is Code.SCORE_WORSE
            assert watched.verdict.because.fields["green_mean"] == "0.5"
        else:
            assert watched.finding("score").worth.fine >= 20


# Mirrored pairs


PAIRED = Compare(pairs=PairMargin(differ_max=0.05, required=True))


def pairs(copy, at_s: int, differ: int, of: int = 50, **more) -> Pairs:
    return Pairs(at_s=at_s, copy=copy, pairs=of, differ=differ, **more)


def shadowed() -> Watched:
    return copied(Watched(release(PAIRED, stage(0, proof=20.0, mirror=3000))), 600, errors=0)


def test_a_shadow_whose_answers_differ_too_often_is_harm() -> None:
    watched = shadowed()
    watched.label(pairs=tuple(pairs(GREEN, BEGAN_S + n, differ=15) for n in range(120)))
    assert isinstance(watched.verdict, Harm)
    assert watched.verdict.because.fields["metric"] == DIFFER


def test_what_blue_differs_from_itself_is_not_held_against_green() -> None:
    watched = shadowed()
    noisy = [pairs(who, BEGAN_S + n, differ=10) for n in range(300) for who in (BLUE, GREEN)]
    watched.label(pairs=tuple(noisy))
    assert watched.finding(DIFFER).worth.harm < 5
    counts = watched.finding(DIFFER).counts
    assert (counts.green_events, counts.green) == (3_000, 15_000)
    assert isinstance(watched.verdict, Fine)


def test_a_shadow_whose_answers_are_alike_is_fine() -> None:
    watched = shadowed()
    assert isinstance(watched.verdict, Unsure)
    watched.label(pairs=tuple(pairs(GREEN, BEGAN_S + n, differ=1) for n in range(120)))
    assert isinstance(watched.verdict, Fine)


def test_a_changed_shape_is_a_finding() -> None:
    watched = shadowed()
    watched.label(pairs=(pairs(GREEN, BEGAN_S + 1, differ=50, reshaped=50, example="[1] became [[1]]"),))
    assert watched.finding(DIFFER).note == "50 answers have another shape or type, such as [1] became [[1]]"


def test_labelled_pairs_show_which_side_is_wrong() -> None:
    watched = shadowed()
    wrong = tuple(
        pairs(GREEN, BEGAN_S + n, differ=2, only_copy_wrong=2, labelled_alike=40) for n in range(200)
    )
    watched.label(pairs=wrong)
    assert isinstance(watched.verdict, Harm)
    assert watched.verdict.because.fields["metric"] == WRONG_COPIES


# Drift


def test_other_answers_are_a_warning_and_never_a_verdict() -> None:
    watched = fed(Watched(release(PLAIN)), 30)
    watched.label(
        classes=((GREEN, "fraud", 900), (GREEN, "fine", 100), (BLUE, "fraud", 500), (BLUE, "fine", 9500))
    )
    assert isinstance(watched.verdict, Fine)
    assert "90.0 %" in watched.finding("answers").note
    watched = fed(Watched(release(PLAIN)), 30)
    watched.label(
        classes=((GREEN, "fraud", 5), (GREEN, "fine", 95), (BLUE, "fraud", 500), (BLUE, "fine", 9500))
    )
    assert all(one.metric != "answers" for one in watched.judged.findings)


# The whole bet


@pytest.mark.parametrize("copies", [False, True])
def test_the_parts_of_all_metrics_are_one(copies: bool) -> None:
    everything = Compare(
        latency=LatencyMargin(),
        labels=LabelMargin(wrong=Margin(), positive="x"),
        score=ScoreMargin(),
        pairs=PairMargin(),
        groups=Groups(header="g", values=("a", "b")),
    )
    of = parts(everything, copies=copies)
    assert sum(of.values()) == pytest.approx(1)
    assert sum(parts(PLAIN, copies=copies).values()) == pytest.approx(1)
    assert sum(share for name, share in of.items() if name.startswith(ERRORS)) == pytest.approx(4 / 9)


def test_the_first_counts_of_a_stage_that_began_long_before_are_marked() -> None:
    late = Watched(release(None, stage(5_000)))
    late.hear(answers(BEGAN_S + 60, 5_000, (300, 0), (100, 0)))
    assert late.evidence is not None
    assert {one.revision: one.requests for one in late.evidence.unread} == {BLUE: 100, GREEN: 300}
    soon = Watched(replace(release(None, stage(5_000)), entered_at=BEGAN_S + 58.0))
    soon.hear(answers(BEGAN_S + 60, 5_000, (300, 0), (100, 0)))
    assert soon.evidence is not None
    assert soon.evidence.unread == ()
