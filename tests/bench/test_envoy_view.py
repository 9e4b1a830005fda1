from bench.envoy_view import Host, add


def test_a_server_in_two_clusters_is_healthy_when_both_say_so_and_its_requests_add_up():
    found = {}
    add(found, 80, Host(healthy=True, active=2))
    add(found, 80, Host(healthy=False, active=3))
    add(found, 81, Host(healthy=True, active=1))
    assert found == {80: Host(healthy=False, active=5), 81: Host(healthy=True, active=1)}
