import pytest
from bench.switches import Switch, UnfinishedSwitchError, seen
from exchanges_given import exchange, traffic


def switch(at_ms: float, old: str = "blue", new: str = "green") -> Switch:
    return Switch(command_ns=int(at_ms * 1e6), old=old, new=new)


def test_a_switch_lasts_until_the_last_request_that_the_old_side_got() -> None:
    given = traffic(
        exchange(99), exchange(101), exchange(102, by="green"), exchange(107), exchange(108, by="green")
    )
    assert seen(given, [switch(100)], int(200e6))[0].switch_ms == 7


def test_an_answer_that_comes_late_to_a_request_sent_early_does_not_count() -> None:
    given = traffic(exchange(99, took_ms=80), exchange(101, by="green"))
    assert seen(given, [switch(100)], int(200e6))[0].switch_ms == 0


def test_each_switch_owns_the_time_until_the_next_command() -> None:
    given = traffic(
        exchange(103),
        exchange(105, by="green"),
        exchange(150, by="green"),
        exchange(204, by="green"),
        exchange(210),
    )
    found = seen(given, [switch(100), switch(200, "green", "blue")], int(300e6))
    assert [s.switch_ms for s in found] == [3, 4]


def test_a_straggler_on_the_old_side_is_found_however_late() -> None:
    given = traffic(
        exchange(101, by="green"),
        *(exchange(ms, by="green") for ms in range(110, 180)),
        exchange(190, took_ms=5),
    )
    assert seen(given, [switch(100)], int(200e6))[0].switch_ms == 90


def test_what_the_next_switch_sent_back_is_no_straggler_of_this_one() -> None:
    # Sent 1 ms before the command back to blue, and routed after it.
    given = traffic(exchange(101, by="green"), exchange(199, took_ms=10), exchange(203))
    found = seen(given, [switch(100), switch(200, "green", "blue")], int(300e6))
    assert [s.switch_ms for s in found] == [0, 0]


def test_a_switch_that_never_came_is_no_fast_switch() -> None:
    with pytest.raises(UnfinishedSwitchError):
        seen(traffic(exchange(101), exchange(150)), [switch(100)], int(200e6))


def test_what_is_open_at_the_command_is_exposed() -> None:
    given = traffic(
        exchange(85), exchange(95), exchange(99), exchange(101, by="green"),
        exchange(10, kind="stream", took_ms=3000), exchange(101, kind="stream", took_ms=3000),
    )  # fmt: skip
    found = seen(given, [switch(100)], int(200e6))[0]
    assert (found.exposed_inflight, found.open_streams) == (2, 1)
