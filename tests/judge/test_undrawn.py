"""What no control stood beside, and what was not drawn request by request, is compared with nothing."""

from dataclasses import replace

import pytest
from judge_given import BEGAN_S, BLUE, GREEN, Watched, answers, control, release, sides, stage

from celadon.domain.compare import Compare, LatencyMargin, Units
from celadon.domain.durations import bucket
from celadon.domain.plan import FULL
from celadon.domain.samples import Answers
from celadon.domain.verdict import Harm, Suspected
from celadon.judge.metrics import COPIES


def test_errors_while_no_control_had_a_share_say_nothing_where_users_can_not_be_told_apart() -> None:
    watched = Watched(release(Compare(units=Units.UNSEEN), control=True))
    for at_s in range(BEGAN_S + 1, BEGAN_S + 600):
        watched.hear(answers(at_s, 500, (20, 1), (380, 19), alone=True))
    assert watched.judged is not None
    assert watched.judged.suspicion == pytest.approx(1.0)


def test_answers_from_while_no_control_had_a_share_are_compared_with_no_latency() -> None:
    """A daemon that comes back reads on, and by then the control may be ready that was not."""
    watched = Watched(
        release(Compare(latency=LatencyMargin()), control=True), sides=sides(green=1, control=1)
    )
    for at_s in range(BEGAN_S + 1, BEGAN_S + 60):
        watched.hear([*answers(at_s, 500, (20, 0), (360, 0)), control(at_s, 500, 20)])
    slow = ((bucket(5000), 10), (bucket(50_000), 10))
    for at_s in range(BEGAN_S + 60, BEGAN_S + 200):
        green = Answers(at_s=at_s, revision=GREEN, share=500, requests=20, durations=slow, alone=True)
        watched.hear([green, replace(green, revision=BLUE, requests=380)])
    assert watched.judged is not None
    assert watched.judged.suspicion <= 1.0


def test_copies_are_not_compared_while_users_with_keys_are_drawn_to_sides() -> None:
    """One user of green's side who always fails is among the copies again and again, and blue's users count once."""
    watched = Watched(release(Compare(units=Units.KEYED), stage(500, mirror=3000), stage(FULL)))
    for at_s in range(BEGAN_S + 1, BEGAN_S + 200):
        copies = Answers(
            at_s=at_s, revision=GREEN, share=500, mirror=3000, mirrored=True, requests=30, errors=3
        )
        watched.hear([*answers(at_s, 500, (5, 0), (95, 0), mirror=3000, units=1), copies])
    assert watched.finding(COPIES).counts.green == 0
    assert not isinstance(watched.verdict, Suspected | Harm)


def test_copies_of_requests_that_nobody_was_drawn_for_are_compared_also_where_users_have_keys() -> None:
    watched = Watched(release(Compare(units=Units.KEYED), stage(0, mirror=3000), stage(FULL)))
    for at_s in range(BEGAN_S + 1, BEGAN_S + 200):
        copies = Answers(
            at_s=at_s, revision=GREEN, share=0, mirror=3000, mirrored=True, requests=30, errors=3
        )
        watched.hear([*answers(at_s, 0, (0, 0), (100, 0), mirror=3000), copies])
    assert isinstance(watched.verdict, Harm)
