import pytest
from bench.failover_figures import NeverAgainError, Outcome, figures_of, seen
from bench.failover_side import Event
from exchanges_given import exchange


def event(at_ms=1000.0, steady_ms=3000.0, *, kind="kill", in_flight=6, back_s=0.0):
    return Event(
        kind=kind,
        at_ns=int(at_ms * 1e6),
        steady_ns=int(steady_ms * 1e6),
        in_flight=in_flight,
        repeated=in_flight,
        back_s=back_s,
    )


def only(requests, given=None, *, after_s=1.0):
    (one,) = seen(requests, [given or event()], after_s=after_s)
    return one


def test_the_gap_is_the_longest_wait_of_any_caller_around_the_event():
    found = only([exchange(900, took_ms=20), exchange(990, took_ms=70), exchange(2000, took_ms=20)])
    assert (found.gap_ms, found.requests, found.failed) == (70, 3, 0)


def test_waits_long_before_an_event_or_after_all_was_steady_are_none_of_its():
    found = only([exchange(600, took_ms=90), exchange(1500, took_ms=20), exchange(3000, took_ms=90)])
    assert (found.gap_ms, found.requests) == (20, 1)


def test_a_request_that_was_sent_in_time_counts_however_late_it_is_answered():
    assert only([exchange(2990, took_ms=500)]).gap_ms == 500


def test_a_caller_whose_request_failed_waits_until_one_sent_after_the_failure_succeeds():
    found = only([
        exchange(1000, took_ms=5, fault="reset"),
        exchange(1004, took_ms=1),
        exchange(1010, took_ms=300),
        exchange(1020, took_ms=30),
    ])  # fmt: skip
    # Sent at 1000 and failed at 1005; what was sent at 1004 does not count, and the first answer after it is at 1050.
    assert (found.gap_ms, found.failed) == (300, 1)
    assert only([exchange(1000, took_ms=5, fault="reset"), exchange(1020, took_ms=30)]).gap_ms == 50


def test_a_failure_that_no_success_follows_is_never_a_figure():
    with pytest.raises(NeverAgainError, match="after a request that ended with reset"):
        only([exchange(900), exchange(1000, fault="reset")])


def test_the_order_of_the_records_says_nothing():
    given = [exchange(1020, took_ms=30), exchange(1000, took_ms=5, fault="reset"), exchange(1500)]
    assert only(given) == only(given[::-1])


def test_the_share_of_failures_is_of_the_time_after_the_event_and_not_until_it_is_steady():
    given = [exchange(990, fault="reset"), exchange(1100, fault="reset"), exchange(1900), exchange(2100)]
    found = only(given)
    assert (found.after_requests, found.after_failed) == (2, 1)
    assert (found.requests, found.failed) == (4, 2)


def outcome(*events, lost=0, requests=100):
    given = [
        exchange(at / 1e6 + 1, took_ms=10 + place)
        for place, at in enumerate([one.at_ns for one in events] or [0])
    ]
    return Outcome(
        seen=seen(given, events, after_s=1.0),
        requests=requests,
        lost=lost,
        faults={},
        send_lag_ms_p99=1.0,
    )


def outcomes(*kills, lost=0):
    noise = event(100, 200, kind="noise")
    defaults = [event(i * 1000, i * 1000 + 500, kind=k) for i, k in enumerate(("kill", "hang", "priority"))]
    return {
        "kill": [outcome(noise, *kills, lost=lost)],
        "hang": [
            outcome(event(kind="hang"), event(5000, 6000, kind="daemon", back_s=1.5)),
            outcome(event(kind="hang"), event(5000, 6000, kind="daemon", back_s=1.1)),
        ],
        "priority": [outcome(event(kind="priority"))],
        "envoy": [outcome(event(kind="envoy"))],
        "defaults": [outcome(*defaults)],
    }


def test_events_of_all_rounds_are_taken_together_and_each_kind_for_itself():
    found = figures_of(outcomes(event(), event(4000, 5000)))
    assert (found["noise_events"], found["kill_events"], found["hang_events"]) == (1, 2, 2)
    assert (found["noise_gap_ms_max"], found["kill_gap_ms_p50"], found["kill_gap_ms_max"]) == (10, 11.5, 12)
    assert found["daemon_back_s"] == 1.5
    assert found["requests"] == 600


def test_what_failed_outside_of_every_event_is_counted_too():
    found = figures_of(outcomes(event(), lost=3))
    assert (found["kill_failed_repeatable"], found["kill_failed_all"]) == (0, 3)


def test_the_least_loaded_victim_is_told():
    found = figures_of(outcomes(event(in_flight=9), event(4000, 5000, in_flight=5)))
    assert found["kill_in_flight_min"] == 5


def test_every_figure_is_a_number():
    assert all(type(value) in {int, float} for value in figures_of(outcomes(event())).values())
