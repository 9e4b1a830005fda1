import dataclasses

import pytest
from bench.exchanges import cut_streams, in_flight, latency_ms_p99, lost, quantile, send_lag_ms_p99
from exchanges_given import exchange, traffic
from hypothesis import given
from hypothesis import strategies as st

GOOD = [exchange(ms) for ms in range(1, 200)]
STREAMS = [exchange(ms, kind="stream", took_ms=3000) for ms in range(1, 20)]


def test_good_traffic_has_no_loss() -> None:
    assert lost(traffic(*GOOD, *STREAMS)) == 0
    assert cut_streams(traffic(*GOOD, *STREAMS)) == 0


@pytest.mark.parametrize(
    "fault", ["connect", "closed", "reset", "cut", "timeout", "protocol", "status", "content"]
)
def test_one_planted_lost_request_is_found(fault: str) -> None:
    assert lost(traffic(*GOOD, exchange(50, fault=fault), *STREAMS)) == 1


@pytest.mark.parametrize("fault", ["connect", "reset", "cut", "unmarked", "content", "timeout"])
def test_one_planted_cut_stream_is_found(fault: str) -> None:
    planted = traffic(*GOOD, *STREAMS, exchange(50, kind="stream", fault=fault))
    assert (lost(planted), cut_streams(planted)) == (0, 1)


def test_what_left_no_record_is_lost() -> None:
    holes = traffic(*GOOD, *STREAMS, missing_requests=2, missing_streams=1)
    assert (lost(holes), cut_streams(holes)) == (2, 1)


def test_a_request_is_in_flight_from_its_sending_to_its_end() -> None:
    flying = [exchange(10, took_ms=10)]
    assert [in_flight(flying, int(ms * 1e6)) for ms in (9.9, 10, 19.9, 20)] == [0, 1, 1, 0]


def test_what_was_never_sent_is_never_in_flight() -> None:
    unsent = dataclasses.replace(exchange(10, fault="connect"), sent_ns=0)
    assert in_flight([unsent], int(15e6)) == 0


def test_latency_counts_from_the_intended_time() -> None:
    late = dataclasses.replace(exchange(30, took_ms=5), intended_ns=int(10e6))
    assert latency_ms_p99([late], 0, int(100e6)) == 25


def test_a_handshake_is_no_lag_of_the_generator() -> None:
    slow_connect = dataclasses.replace(exchange(30, reused=False), intended_ns=int(10e6), taken_ns=int(11e6))
    assert send_lag_ms_p99(traffic(slow_connect)) == 1
    assert send_lag_ms_p99(traffic(dataclasses.replace(slow_connect, reused=True))) == 20


@given(st.lists(st.integers(), min_size=1), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_the_smallest_value_that_covers_its_share(values: list[int], share: float) -> None:
    found = quantile(values, share)
    assert sum(v <= found for v in values) >= share * len(values)
    assert sum(v < found for v in values) < share * len(values)
