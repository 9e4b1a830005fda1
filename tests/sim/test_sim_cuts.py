"""A release that is cut at any point comes to the end that it would have come to."""

import pytest

from celadon.sim.cuts import script
from celadon.sim.orders import POLICIES


@pytest.mark.parametrize("error_share", [0.0, 1.0], ids=["green is good", "green fails"])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_crash_at_any_point_leads_to_the_same_end(policy: str, error_share: float):
    calm, points = script(policy, error_share=error_share)
    assert calm.broken == ()
    assert points > 20
    for cut in range(1, points + 1):
        cut_short, _ = script(policy, error_share=error_share, cut=cut)
        assert cut_short == calm, f"cut at point {cut} of {points}"
