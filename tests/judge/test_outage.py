"""What is made of the moments at which requests were meant to be sent and were answered."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from celadon.judge.outage import WINDOW_S, Asked, outage

RATE = 20


def answers(seconds: float, began: float = 0.0, took_s: float = 0.01, *, ok: bool = True) -> list[Asked]:
    count = round(seconds * RATE)
    return [Asked(at=began + n / RATE, ended=began + n / RATE + took_s, ok=ok) for n in range(count)]


def test_where_nothing_fails_there_is_nothing_to_recover_from() -> None:
    found = outage(answers(5), 2.0, 5.0)
    assert (found.measured.failed, found.measured.rto_s, found.steady) == (0, 0.0, True)
    assert found.measured.gap_ms == pytest.approx(1000 / RATE)
    assert found.before + found.measured.requests == 5 * RATE


def test_recovery_is_counted_from_the_first_failed_request_to_the_first_good_second() -> None:
    asked = [*answers(2), *answers(0.5, 2.0, ok=False), *answers(3, 2.5)]
    found = outage(asked, 2.0, 5.5)
    assert found.measured.failed == RATE // 2
    assert found.measured.rto_s == pytest.approx(0.5)
    assert found.measured.gap_ms == pytest.approx(1000 * (0.5 + 1 / RATE))


def test_one_lucky_answer_is_no_recovery() -> None:
    failing = answers(1, 2.0, ok=False)
    lucky = [Asked(at=one.at, ended=one.ended, ok=n == 5) for n, one in enumerate(failing)]
    found = outage([*answers(2), *lucky, *answers(2, 3.0)], 2.0, 5.0)
    assert found.measured.rto_s == pytest.approx(1.0)


def test_what_has_not_come_back_has_no_recovery_time_and_a_gap_that_grows() -> None:
    asked = [*answers(2), *answers(2, 2.0, ok=False)]
    found = outage(asked, 2.0, 4.0)
    assert found.measured.rto_s is None
    assert not found.steady
    assert found.measured.gap_ms == pytest.approx(2000, abs=100)


def test_slow_answers_after_a_hang_are_a_gap_and_no_failure() -> None:
    held = [Asked(at=2 + n / RATE, ended=3.0, ok=True) for n in range(RATE)]
    found = outage([*answers(2), *held, *answers(2, 3.0)], 2.0, 5.0)
    assert (found.measured.failed, found.measured.rto_s) == (0, 0.0)
    assert found.measured.slowest_ms == pytest.approx(1000)
    assert found.measured.gap_ms == pytest.approx(1000, abs=100)


def test_half_of_the_rate_of_before_is_not_as_before() -> None:
    asked = [*answers(2), *answers(3, 2.0)[::2]]
    assert not outage(asked, 2.0, 5.0).steady


def test_the_longest_drill_at_the_highest_rate_is_weighed_in_no_time() -> None:
    asked = [Asked(at=n / 500, ended=n / 500 + 0.01, ok=n < 2500) for n in range(20_000)]
    began = time.process_time()
    found = outage(asked, 5.0, 40.0)
    assert time.process_time() - began < 0.4
    assert found.measured.failed == 17_500


@given(
    st.lists(st.tuples(st.floats(0, 5), st.booleans()), min_size=RATE, max_size=RATE * 4),
    st.floats(0, 4),
)
@example([*[(0.0, False)] * (RATE - 1), (1.0, True)], 2.0)
def test_figures_stay_within_what_was_measured(drawn: list[tuple[float, bool]], struck_at: float) -> None:
    asked = [Asked(at=n / RATE, ended=n / RATE + took, ok=ok) for n, (took, ok) in enumerate(drawn)]
    clear_to = len(asked) / RATE
    found = outage(asked, struck_at, clear_to)
    measured = found.measured
    assert 0 <= measured.failed <= measured.requests
    assert measured.failed or measured.rto_s == 0
    assert measured.rto_s is None or 0 <= measured.rto_s <= clear_to - WINDOW_S or measured.rto_s == 0
    assert measured.gap_ms >= 0
