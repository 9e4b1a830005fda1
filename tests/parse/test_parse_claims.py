"""Two services never listen for the same requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celadon.domain.spec import Retry, RetryWhen, RouteSpec
from celadon.parse.claims import clashes

RETRY = Retry(when=RetryWhen.NEVER)


def route(port=8080, preview=18080, host="127.0.0.1", hostnames=("*",), prefix="/"):
    return RouteSpec(
        host=host, port=port, preview_port=preview, hostnames=hostnames, prefix=prefix, retry=RETRY
    )


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (route(preview=1), "both claim */ on 127.0.0.1 port 8080"),
        (route(preview=1, host="0.0.0.0"), "must share the host"),
        (route(preview=1, host="::"), "must share the host"),
        (route(port=1), "is the preview port of both"),
        (route(port=18080, preview=1), "port 18080 is the port of one and the preview port of the other"),
        (
            route(port=18080, preview=1, host="0.0.0.0"),
            "port 18080 is the port of one and the preview port of the other",
        ),
        (route(port=1, preview=8080), "port 8080 is the port of one and the preview port of the other"),
        (route(prefix="/a"), "is the preview port of both"),
    ],
)
def test_clash(other, why):
    assert why in clashes(route(), other)


@pytest.mark.parametrize(
    "other",
    [
        route(port=1, preview=2),
        route(preview=2, prefix="/a"),
        route(preview=2, hostnames=("a.com",)),
        route(preview=2, host="10.0.0.1"),
        route(port=18080, preview=1, host="10.0.0.1"),
    ],
)
def test_live_side_by_side(other):
    assert clashes(route(), other) is None


def test_a_slash_at_the_end_of_a_prefix_makes_no_other_route():
    assert "both claim" in clashes(route(prefix="/a"), route(preview=1, prefix="/a/"))


ROUTES = st.builds(
    route,
    port=st.integers(1, 4),
    preview=st.integers(5, 8) | st.integers(1, 4),
    host=st.sampled_from(["127.0.0.1", "0.0.0.0", "10.0.0.1", "::", "::1"]),
    hostnames=st.lists(st.sampled_from(["*", "a", "b"]), min_size=1, unique=True).map(tuple),
    prefix=st.sampled_from(["/", "/a", "/a/"]),
)


@given(a=ROUTES, b=ROUTES)
def test_a_clash_is_one_whichever_came_first(a, b):
    assert (clashes(a, b) is None) == (clashes(b, a) is None)


@given(a=ROUTES)
def test_nobody_can_have_a_route_twice(a):
    assert clashes(a, a) is not None
