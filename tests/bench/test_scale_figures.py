from dataclasses import replace

import pytest
from bench.scale_figures import Seen, figures_of, growth_exponent

SEEN = Seen(
    services=1_000,
    released=100,
    ended=100,
    idle_cpu_ms=10.0,
    cpu_ms=50.0,
    rss_mib=100.0,
    lag_s_p99=0.1,
    lag_s_max=0.2,
    bytes_per_release=20_000.0,
)


def many(cpu_ms, **given):
    return replace(SEEN, services=5_000, released=500, ended=500, cpu_ms=cpu_ms, **given)


def test_what_grows_with_the_services_has_the_exponent_one():
    assert growth_exponent(1_000, 50.0, 5_000, 250.0) == pytest.approx(1.0)
    assert growth_exponent(1_000, 50.0, 5_000, 1_250.0) == pytest.approx(2.0)
    assert growth_exponent(1_000, 50.0, 5_000, 50.0) == 0.0


def test_growth_is_from_the_second_largest_number_to_the_largest():
    found = figures_of({10: [replace(SEEN, services=10)], 1_000: [SEEN], 5_000: [many(250.0)]})
    assert found["growth_exponent"] == pytest.approx(1.0)
    assert [found[f"cpu_ms_per_tick_{count}"] for count in (10, 1_000, 5_000)] == [50.0, 50.0, 250.0]


def test_costs_are_medians_and_lags_and_memory_the_worst_of_the_rounds():
    runs = [
        many(100.0, idle_cpu_ms=50.0, lag_s_p99=0.3),
        many(300.0, idle_cpu_ms=75.0, rss_mib=200.0),
        many(200.0, idle_cpu_ms=100.0),
    ]
    found = figures_of({1_000: [SEEN] * 3, 5_000: runs})
    assert found["cpu_ms_per_tick_5000"] == 200.0
    assert found["idle_service_us_per_tick"] == pytest.approx(15.0)
    assert found["rss_mb_5000"] == pytest.approx(209.7152)
    assert found["decision_lag_s_p99"] == 0.3
    assert (found["released"], found["promoted"]) == (1_800, 1_800)
