"""Histograms: what they say between their own bounds."""

from hypothesis import given
from hypothesis import strategies as st

from celadon.domain.durations import at_bounds

steps = st.dictionaries(st.integers(0, 50), st.integers(0, 9), max_size=12).map(lambda of: sorted(of.items()))


@given(steps, st.sets(st.integers(-1, 60), max_size=12).map(sorted))
def test_a_bound_has_the_most_of_the_steps_at_or_below_it(
    of: list[tuple[int, int]], bounds: list[int]
) -> None:
    looked_up = [max((count for upper, count in of if upper <= bound), default=0) for bound in bounds]
    assert at_bounds(of, bounds) == looked_up
