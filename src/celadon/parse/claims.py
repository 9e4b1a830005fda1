"""Who claims which address: two services never listen for the same requests."""

import ipaddress

from celadon.domain.spec import RouteSpec

LOOPBACK = "127.0.0.1"


def clashes(a: RouteSpec, b: RouteSpec) -> str | None:
    """Why two services can not both have these routes, in words that fit either; None when they can."""
    if a.port == b.port and hosts_overlap(a.host, b.host):
        if a.host != b.host:
            return f"{a.host} and {b.host} overlap on port {a.port}: services that share a port must share the host"
        return _same_listener(a, b)
    if a.preview_port == b.preview_port:
        return f"preview port {b.preview_port} is the preview port of both"
    for one, other in ((a, b), (b, a)):
        if one.preview_port == other.port and hosts_overlap(LOOPBACK, other.host):
            return f"port {other.port} is the port of one and the preview port of the other"
    return None


def hosts_overlap(a: str, b: str) -> bool:
    """Whether two listen addresses can not be bound apart: equal ones, or one of them is every address."""
    first, second = ipaddress.ip_address(a), ipaddress.ip_address(b)
    return first == second or first.is_unspecified or second.is_unspecified


def _same_listener(a: RouteSpec, b: RouteSpec) -> str | None:
    shared = [name for name in b.hostnames if name in a.hostnames]
    if shared and a.prefix.rstrip("/") == b.prefix.rstrip("/"):
        return f"both claim {shared[0]}{b.prefix} on {b.host} port {b.port}"
    if a.preview_port == b.preview_port:
        return f"preview port {b.preview_port} is the preview port of both"
    return None
