from bench.machine import cores

from bench import failover


def test_a_real_replica_is_killed_under_load_and_its_requests_are_answered_by_others():
    settings = failover.configuration(1, quick=True)
    part = failover.Part(fleet="kill", load_s=0.2, counts=(("noise", 1), ("kill", 1)))
    found = failover.measure(part, settings, cores(), 0)
    noise, kill = found.seen
    assert (found.lost, found.faults) == (0, {})
    assert (noise.event.repeated, kill.failed) == (0, 0)
    assert kill.event.repeated >= kill.event.in_flight >= 5


def test_a_peer_without_celadon_loses_its_first_priority_and_gets_it_back():
    settings = failover.configuration(1, quick=True)
    part = failover.Part(fleet="defaults", load_s=0.2, counts=(("priority", 1),))
    (found,) = failover.measure(part, settings, cores(), 0).seen
    assert found.gap_ms > 0
    assert found.after_requests > 0
