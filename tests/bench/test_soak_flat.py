"""Flatness is judged by arithmetic: what leaks is found, what breathes is not."""

import math
import random

import pytest
from bench.soak_figures import CEILINGS, LEEWAY_S, LIMITS, curve_figures, growing, growths, lost, too_high

from celadon.sim.flat import Curve, Limit, growth

HOUR = [5.0 * n for n in range(720)]


def curve(values, *, sawtooth=False, at_s=HOUR):
    return Curve(name="memory", at_s=at_s, values=list(values), sawtooth=sawtooth)


def test_a_steady_leak_is_measured_in_its_own_unit_and_in_percent_of_the_median():
    found = growth(curve(100 + 10 * at / 3600 for at in HOUR))
    assert found.amount_per_hour == pytest.approx(10, rel=0.01)
    assert found.percent_per_hour == pytest.approx(100 * 10 / 105, rel=0.02)


def test_a_leak_is_found_under_noise_that_is_larger_than_it():
    draws = random.Random(1)
    found = growth(curve(100 + 8 * at / 3600 + draws.gauss(0, 8) for at in HOUR))
    assert 5 < found.amount_per_hour < 11


def test_noise_alone_is_flat():
    for seed in range(20):
        draws = random.Random(seed)
        assert growth(curve(60 + draws.gauss(0, 1) for _ in HOUR)).within(Limit(percent=5))


def test_no_spike_decides():
    values = [50.0] * 720
    values[-12:] = [500.0] * 12
    assert growth(curve(values)).amount_per_hour == 0


def test_a_step_at_the_end_of_the_warm_up_is_not_seen_once_the_warm_up_is_left_out():
    values = curve(20.0 if at < 1200 else 60.0 for at in HOUR)
    assert growth(values).amount_per_hour > 0
    assert growth(values.since(1200)).amount_per_hour == 0


def test_a_step_is_growth_even_where_it_is_level_before_and_after():
    assert growth(curve(20.0 if at < 2700 else 30.0 for at in HOUR)).amount_per_hour > 10


def test_what_falls_is_within_every_limit():
    assert growth(curve(100 - at / 60 for at in HOUR)).within(Limit(percent=0))


def test_a_saw_is_flat_while_its_peaks_are_level():
    saw = curve((at % 300 for at in HOUR), sawtooth=True)
    assert growth(saw).amount_per_hour == 0


def test_a_saw_whose_peaks_rise_grows():
    saw = curve((at % 300 + at / 36 for at in HOUR), sawtooth=True)
    assert growth(saw).amount_per_hour == pytest.approx(100, rel=0.2)


def test_one_look_says_nothing_and_nothing_from_nothing_grows_without_bound():
    assert growth(curve([7.0], at_s=[3.0])).percent_per_hour == 0
    assert growth(curve([0.0] * 720)).percent_per_hour == 0
    assert growth(curve([0.0] * 400 + [1.0] * 320)).percent_per_hour == math.inf


def test_a_curve_without_values_is_a_mistake_of_the_soak_and_not_flat():
    with pytest.raises(AssertionError, match="memory has no values"):
        growth(curve([], at_s=[]))


def test_a_small_amount_is_allowed_where_the_limit_says_so():
    found = growth(curve(0.01 + 0.5 * at / 3600 for at in HOUR))
    assert not found.within(Limit(percent=5))
    assert found.within(Limit(percent=5, amount=1))


def samples(**rising):
    """An hour in which everything is level, but for those that rise by so much."""
    level = dict.fromkeys([*LIMITS, *CEILINGS], 100.0)
    return [
        {"at_s": at, **level, **{name: level[name] + much * at / 3600 for name, much in rising.items()}}
        for at in HOUR
    ]


COURSE = {"judged_s": 1200.0, "proxy_judged_s": 2400.0}


def test_a_proxy_that_levels_out_late_is_judged_from_then_on():
    rows = [row | {"envoy_rss_mb": min(row["at_s"], 2000.0)} for row in samples()]
    assert growing(growths(rows, COURSE)) == []
    assert growing(growths(rows, {**COURSE, "proxy_judged_s": 1200.0})) != []


def test_every_curve_has_its_limit_and_what_grows_is_named():
    assert growing(growths(samples(), COURSE)) == []
    told = growing(growths(samples(daemon_fds=3, home_labels_mb=20), COURSE))
    assert [line.split()[0] for line in told] == ["daemon_fds", "home_labels_mb"]
    assert told[0].startswith("daemon_fds grows by 3.0")


def test_figures_give_counts_in_pieces_and_the_rest_in_percent():
    rows = samples(daemon_fds=3, daemon_rss_mb=6)
    figures = curve_figures(rows, growths(rows, COURSE))
    assert figures["daemon_fds_growth_per_hour"] == pytest.approx(3, rel=0.01)
    assert figures["daemon_rss_mb_growth_percent_per_hour"] == pytest.approx(5.77, rel=0.02)
    assert figures["daemon_rss_mb_last"] == pytest.approx(106, rel=0.01)


def test_only_what_the_absence_of_the_proxy_explains_is_no_loss():
    away = [(100.0, 101.0)]
    during = {"at": 100.4, "ended": 100.4}
    met_by_the_kill = {"at": 99.0, "ended": 100.1}
    just_after = {"at": 101.0 + LEEWAY_S / 2, "ended": 101.3}
    before, after = {"at": 90.0, "ended": 90.1}, {"at": 103.0, "ended": 103.1}
    assert lost([during, met_by_the_kill, just_after], away) == []
    assert lost([before, during, after], away) == [before, after]


def test_what_can_not_level_out_within_an_hour_has_a_ceiling():
    assert too_high(samples(home_requests_mb=300)) == []
    (told,) = too_high(samples(home_requests_mb=600))
    assert told == "home_requests_mb was 699, over 585"
