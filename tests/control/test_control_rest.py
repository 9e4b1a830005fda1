"""What is not compared again would have come to nothing."""

import pytest

from celadon.control import tick
from celadon.control.reconcile import reconcile
from celadon.sim.play import play


@pytest.mark.parametrize("seed", [12, 101, 204])
def test_a_goal_that_stays_reached_leaves_nothing_to_begin(seed, monkeypatch):
    passed_over = 0
    stays_done = tick.stays_done

    def stays(known, memory, facts):
        nonlocal passed_over
        found = stays_done(known, memory, facts)
        if found:
            passed_over += 1
            assert reconcile(memory.service, memory, facts) == ()
        return found

    monkeypatch.setattr(tick, "stays_done", stays)
    assert play(seed).violations == ()
    assert passed_over > 10
