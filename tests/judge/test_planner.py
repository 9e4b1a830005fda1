"""The planner: times that simulation confirms, and an honest word when traffic is too little."""

import pytest

from celadon.judge.odds import Rules
from celadon.judge.planner import Traffic, fine_forecast, harm_forecast, prospect

RULES = Rules()


def traffic(rate_per_s: float = 200, base: float = 0.01) -> Traffic:
    return Traffic(rate_per_s=rate_per_s, share=500, base=base)


@pytest.mark.parametrize(
    ("base", "ratio", "mean", "p95"),
    [
        (0.01, 2.0, 1087, 2795),
        (0.001, 2.0, 11_014, 27_503),
        (0.01, 1.5, 3962, 10_177),
        (0.001, 5.0, 1150, 3015),
    ],
)
def test_harm_is_forecast_as_published_simulations_found_it(base, ratio, mean, p95) -> None:
    found = harm_forecast(Rules(first=1.0), traffic(base=base), ratio, 20.0)
    assert found is not None
    assert found.mean == pytest.approx(mean, rel=0.2)
    assert found.p95 == pytest.approx(p95, rel=0.25)


@pytest.mark.parametrize(("base", "mean"), [(0.001, 34_249), (0.01, 3459), (0.05, 690)])
def test_proof_is_forecast_as_published_simulations_found_it(base, mean) -> None:
    found = fine_forecast(Rules(fine_extra=0.0), traffic(base=base), 20.0)
    assert found is not None
    assert found.mean == pytest.approx(mean, rel=0.1)


def test_less_traffic_takes_longer_and_is_told_when_it_is_too_little() -> None:
    much, little = (prospect(RULES, traffic(rate_per_s=rate), deadline_s=3600) for rate in (200, 2))
    assert much.decides
    assert not little.decides
    assert little.harm[0].seconds.p50 == pytest.approx(100 * much.harm[0].seconds.p50)
    assert little.harm[0].hurt.p50 == pytest.approx(much.harm[0].hurt.p50)


def test_no_harm_is_promised_before_the_capped_windows_allow_it() -> None:
    assert prospect(RULES, traffic(rate_per_s=100_000), deadline_s=60).harm[-1].seconds.p50 == 40


def test_a_service_without_errors_can_be_proved_fine_and_no_ratio_of_it_can_be_proved_harm() -> None:
    found = prospect(RULES, traffic(base=0.0), deadline_s=3600)
    assert found.harm == ()
    assert found.fine_s is not None
    assert 250 < found.fine_s.mean < 450
