"""What bench.exposure makes of releases that ended one way or another."""

from bench.exposure import figures_of, latency_figures
from bench.exposure_peers import peer_figures, seconds_of
from bench.exposure_runs import Answer, Run


def answers(seconds, *, bad_green):
    """Every second one answer of green and nineteen of blue."""
    return tuple(
        Answer(at_s=second + part / 20, green=part == 0, bad=part == 0 and bad_green)
        for second in range(seconds)
        for part in range(20)
    )


def release(outcome, *, bad=0, freeze_s=None, end_s=None, reason="", seen=()):
    return Run(
        outcome=outcome,
        code="",
        reason=reason,
        freezes=0,
        freeze_s=freeze_s,
        end_s=end_s,
        bad=bad,
        answers=seen,
    )


def test_a_release_that_was_never_taken_back_counts_as_late_as_can_be():
    hard = [release("rolled_back", bad=5, freeze_s=2.0, end_s=60.0)]
    soft = [release("promoted", bad=900), release(None, bad=700), release("rolled_back", bad=9, end_s=70.0)]
    figures = figures_of(hard, soft)
    assert figures["hard_bad_answers_p95"] == 5
    assert figures["soft_rolled_back"] == 1
    assert figures["soft_rollback_s_p50"] == 3600


def test_only_rollbacks_for_latency_count_as_such():
    calm = [release("promoted"), release("rolled_back", reason="green is worse by latency: 5 of 9")]
    busy = [release("rolled_back", reason="green is worse by errors: 5 of 9")]
    figures = latency_figures(calm, busy, slow=[release("rolled_back", reason="green is worse by latency")])
    assert (figures["aa_rollbacks"], figures["aa_latency_rollbacks"]) == (2, 1)
    assert figures["slow_latency_rollbacks"] == 1


def test_peers_see_only_the_seconds_in_which_green_had_its_share():
    run = release("rolled_back", freeze_s=3.5, end_s=60.0, seen=answers(10, bad_green=True))
    rows = seconds_of([run, run])
    assert rows.tolist() == [[1, 1, 19, 0]] * 6


def test_a_rule_that_looks_late_costs_its_callers_more():
    run = release("rolled_back", freeze_s=20.0, end_s=60.0, seen=answers(20, bad_green=True))
    figures = peer_figures([run], [run], seed=1)
    assert figures["argo_doc_hard_s"] == 1200
    assert figures["argo_doc_hard_bad_answers"] == 1200
    assert figures["argo_fast_hard_bad_answers"] == 40
    assert figures["best_peer_hard_bad_answers"] <= 40
