"""What callers saw of the switches of one run: pure arithmetic over exchanges and marks."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.exchanges import Exchange, Traffic, in_flight


class UnfinishedSwitchError(Exception):
    """After a switch nothing was answered by the new side, so there is nothing to measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A switch as the driver gave it: when the command was sent, and between which names."""

    command_ns: int
    old: str
    new: str
    retires: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchSeen:
    """One switch as callers saw it.

    `switch_ms` runs from the command to the send time of the last request that the old side answered; 0 means
    that no request sent after the command reached the old side. Its resolution is the gap between requests.
    """

    switch_ms: float
    exposed_inflight: int
    open_streams: int


def seen(traffic: Traffic, switches: Sequence[Switch], end_ns: int) -> list[SwitchSeen]:
    """Each switch owns the time until the next command, the last one until `end_ns`."""
    ordered = sorted(traffic.requests, key=lambda e: e.sent_ns)
    edges = [*(s.command_ns for s in switches), end_ns]
    assert all(a < b for a, b in pairwise(edges)), "switches must be given in order"
    return [
        _seen(ordered, traffic.streams, switch, until_ns)
        for switch, until_ns in zip(switches, edges[1:], strict=True)
    ]


def _seen(
    requests: Sequence[Exchange], streams: Sequence[Exchange], switch: Switch, until_ns: int
) -> SwitchSeen:
    window = [e for e in requests if switch.command_ns < e.sent_ns < until_ns]
    # A request still open at the next command may have been routed after it, back to this switch's old side.
    decided = [e for e in window if e.end_ns < until_ns]
    if not any(e.answered_by == switch.new for e in decided):
        raise UnfinishedSwitchError(
            f"no answer from {switch.new} in {(until_ns - switch.command_ns) / 1e6:.0f} ms"
        )
    last_old_ns = max((e.sent_ns for e in decided if e.answered_by == switch.old), default=switch.command_ns)
    return SwitchSeen(
        switch_ms=(last_old_ns - switch.command_ns) / 1e6,
        exposed_inflight=in_flight(requests, switch.command_ns),
        open_streams=in_flight(streams, switch.command_ns),
    )
