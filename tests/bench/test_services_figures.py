from bench.services_figures import Cost, Outcome, Stretches, figures_of, others_ms_p99
from exchanges_given import exchange

COST = Cost(
    daemon_cpu_percent_idle=1.0,
    daemon_cpu_percent_loaded=2.0,
    envoy_cpu_percent_idle=3.0,
    daemon_rss_mib=50.0,
    envoy_rss_mib=60.0,
    first_deploy_s=4.0,
)


def outcome(quiet=(20.0, 20.0), *, starting=20.0, switching=20.0, cost=COST, lost=0):
    others = Stretches(quiet_ms_p99=quiet, starting_ms_p99=starting, switching_ms_p99=switching)
    return Outcome(
        others=others, cost=cost, requests=100, lost=lost, retries=0, faults={}, send_lag_ms_p99=1.0
    )


def test_the_released_services_are_no_part_of_the_others():
    given = [exchange(10, took_ms=500), exchange(10, took_ms=5, target=1), exchange(20, took_ms=7, target=2)]
    assert others_ms_p99(given, frozenset({1, 2}), 0, int(1e9)) == 7


def test_a_stretch_counts_what_was_intended_in_it_whenever_it_was_answered():
    given = [exchange(10, took_ms=300, target=1), exchange(200, took_ms=9, target=1)]
    assert others_ms_p99(given, frozenset({1}), 0, int(100e6)) == 300


def test_ratios_are_taken_within_a_round_and_losses_add_up():
    found = figures_of([
        outcome(switching=30.0, lost=1),
        outcome((40.0, 40.0), switching=40.0, starting=60.0),
        outcome(switching=22.0, lost=2),
    ])  # fmt: skip
    assert (found["others_p99_ratio"], found["others_p99_ratio_low"]) == (1.1, 1.0)
    assert found["others_p99_ratio_high"] == 1.5
    assert found["others_p99_ratio_starting_high"] == 1.5
    assert (found["lost"], found["requests"]) == (3, 300)


def test_the_noise_floor_is_how_far_two_quiet_stretches_are_apart():
    found = figures_of([outcome((20.0, 22.0)), outcome((20.0, 15.0)), outcome()])
    assert round(found["aa_p99_ratio_off_p50"], 6) == 0.1
    assert found["aa_p99_ratio_off_max"] == 0.25


def test_every_figure_is_a_number():
    assert all(type(value) in {int, float} for value in figures_of([outcome()]).values())
