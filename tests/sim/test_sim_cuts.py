"""A release that is cut at any point comes to the end that it would have come to."""

import pytest

from celadon.sim.cuts import script
from celadon.sim.orders import POLICIES

CUT = [(policy, 0.0) for policy in POLICIES]
CUT += [(policy, 1.0) for policy in ("all at once", "ramp by evidence", "shadow, ramp, gate", "test")]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("policy", "error_share"), CUT)
def test_a_crash_at_any_point_leads_to_the_same_end(policy: str, error_share: float):
    calm, points = script(policy, error_share=error_share)
    assert calm.broken == ()
    assert len(calm.ended) == 2, "the release came to an end"
    assert points > 20
    for cut in range(1, points + 1):
        cut_short, _ = script(policy, error_share=error_share, cut=cut)
        assert cut_short == calm, f"cut at point {cut} of {points}"
