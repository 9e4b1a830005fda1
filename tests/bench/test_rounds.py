import json
from collections.abc import Callable

import pytest
from bench.machine import Quiet
from bench.report import Report, json_line, table
from bench.rounds import VoidError, by_turns, interleaved, paired_ratios, spread


def calm() -> Quiet:
    return Quiet(calibration_ms=20, steal_ticks=0, all_ticks=1000)


def readings(*pairs: tuple[Quiet, Quiet]) -> Callable[[], Quiet]:
    rest = iter([reading for pair in pairs for reading in pair])
    return lambda: next(rest, calm())


LOUD = {
    "drift": (calm(), Quiet(calibration_ms=23.1, steal_ticks=0, all_ticks=2000)),
    "steal": (calm(), Quiet(calibration_ms=20, steal_ticks=51, all_ticks=2000)),
}


def test_every_party_runs_once_a_round_and_each_begins_in_turn() -> None:
    order: list[tuple[str, int]] = []
    parties = {name: lambda n, name=name: order.append((name, n)) for name in "abc"}
    interleaved(parties, rounds=3, lag_ms_p99=lambda _: 0.0, read=calm)
    assert "".join(name for name, _ in order) == "abcbcacab"


@pytest.mark.parametrize("why", sorted(LOUD))
def test_a_loud_round_is_run_again_and_does_not_count(why: str) -> None:
    runs: list[int] = []
    found = interleaved(
        {"a": lambda n: runs.append(n) or len(runs)},
        rounds=2,
        lag_ms_p99=lambda _: 0.0,
        read=readings(LOUD[why]),
    )
    assert found == {"a": [2, 3]}


def test_a_late_generator_makes_a_round_void() -> None:
    lags = iter([3.1, 1.0])
    assert interleaved({"a": lambda _: next(lags)}, rounds=1, lag_ms_p99=lambda lag: lag, read=calm) == {
        "a": [1.0]
    }


def test_after_three_loud_rounds_nothing_is_said() -> None:
    runs: list[int] = []
    with pytest.raises(VoidError):
        interleaved({"a": runs.append}, rounds=5, lag_ms_p99=lambda _: 4.0, read=calm)
    assert len(runs) == 3


def test_where_no_ratio_is_taken_a_loud_turn_alone_is_run_again() -> None:
    order: list[str] = []
    lags = iter([1.0, 3.1, 1.0, 1.0, 1.0])
    parties = {name: lambda n, name=name: order.append(f"{name}{n}") or next(lags) for name in "ab"}
    counts, again = by_turns(parties, rounds=2, lag_ms_p99=lambda lag: lag, read=calm)
    assert order == ["a0", "b0", "b0", "b1", "a1"]
    assert (counts, again) == ({"a": [1.0, 1.0], "b": [1.0, 1.0]}, {"a": [], "b": [3.1]})


def test_a_party_may_have_a_loud_turn_in_every_round_and_no_more_in_all() -> None:
    lags = iter([4.0, 1.0] * 3)
    counts, again = by_turns({"a": lambda _: next(lags)}, rounds=3, lag_ms_p99=lambda lag: lag, read=calm)
    assert (counts, again) == ({"a": [1.0] * 3}, {"a": [4.0] * 3})
    lags = iter([4.0, 4.0, 1.0] * 3)
    with pytest.raises(VoidError, match="more turns than 3 did not count"):
        by_turns({"a": lambda _: next(lags)}, rounds=3, lag_ms_p99=lambda lag: lag, read=calm)


def test_after_three_loud_turns_in_a_row_nothing_is_said() -> None:
    runs: list[int] = []
    with pytest.raises(VoidError, match="a did not count 3 times"):
        by_turns({"a": runs.append}, rounds=5, lag_ms_p99=lambda _: 4.0, read=calm)
    assert len(runs) == 3


def test_ratios_are_taken_within_a_round() -> None:
    # The second round was twice as slow for both, which changes no ratio.
    ratios = paired_ratios([1.0, 2.0, 1.0], [4.0, 8.0, 2.0])
    assert ratios == [0.25, 0.25, 0.5]
    assert spread(ratios).median == 0.25


def test_the_json_line_has_the_six_keys_and_numbers_alone_as_figures() -> None:
    report = Report(
        bench="x", figures={"n": 1, "ms": 0.5}, peers={"p": "1"}, machine={"cores": 2}, seed=1, seconds=2.0
    )
    line = json_line(report)
    assert "\n" not in line
    assert list(json.loads(line)) == ["bench", "figures", "peers", "machine", "seed", "seconds"]
    assert "0.500" in table(report)
