"""From what callers saw around each killing to the figures of `bench.failover`: pure arithmetic."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median

from bench.exchanges import Exchange, quantile
from bench.failover_side import Event

Figures = dict[str, float | int]

BEFORE_NS = 300_000_000
"""Requests sent so shortly before an event may be on the victim still."""


class NeverAgainError(Exception):
    """A request failed and no later one succeeded, so that the gap has no end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One event as callers saw it.

    gap_ms: the longest that any caller waited for an answer, from when the request should have been sent. requests,
    failed: those sent from shortly before the event until all was whole again. after_requests, after_failed: those
    sent in the time that the loss of a whole priority is followed.
    """

    event: Event
    gap_ms: float
    requests: int
    failed: int
    after_requests: int
    after_failed: int


def seen(requests: Sequence[Exchange], events: Sequence[Event], *, after_s: float) -> list[Seen]:
    """requests: all of one run of the generator, in any order."""
    ordered = sorted(requests, key=lambda e: e.intended_ns)
    sent_ns = [e.intended_ns for e in ordered]
    successes = _successes(ordered)

    def between(from_ns: int, to_ns: int) -> Sequence[Exchange]:
        return ordered[bisect_left(sent_ns, from_ns) : bisect_left(sent_ns, to_ns)]

    found = []
    for event in events:
        around = between(event.at_ns - BEFORE_NS, event.steady_ns)
        after = between(event.at_ns, event.at_ns + int(after_s * 1e9))
        found.append(
            Seen(
                event=event,
                gap_ms=max(waited_ns(e, successes) for e in around) / 1e6,
                requests=len(around),
                failed=sum(1 for e in around if e.fault),
                after_requests=len(after),
                after_failed=sum(1 for e in after if e.fault),
            )
        )
    return found


Successes = tuple[Sequence[int], Sequence[int]]
"""When successful requests should have been sent, in order, and beside each the first answer to it or any later one."""


def _successes(ordered: Sequence[Exchange]) -> Successes:
    good = [e for e in ordered if not e.fault]
    firsts = list(accumulate((e.end_ns for e in reversed(good)), min))
    return [e.intended_ns for e in good], firsts[::-1]


def waited_ns(e: Exchange, successes: Successes) -> int:
    """A caller whose request failed asks again, and has waited until a request sent after the failure succeeds."""
    if not e.fault:
        return e.end_ns - e.intended_ns
    sent_ns, firsts_ns = successes
    later = bisect_left(sent_ns, e.end_ns)
    if later == len(sent_ns):
        raise NeverAgainError(f"nothing succeeded after a request that ended with {e.fault}")
    return firsts_ns[later] - e.intended_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One run of the generator in front of one fleet, from nothing to nothing."""

    seen: Sequence[Seen]
    requests: int
    lost: int
    """Of all requests of the run, in an event or not: failed, or without a record."""
    faults: Mapping[str, int]
    send_lag_ms_p99: float


def figures_of(outcomes: Mapping[str, Sequence[Outcome]]) -> Figures:
    """Events of one kind of all rounds are taken together; what an Envoy with its defaults did has its own prefix."""
    every = [outcome for rounds in outcomes.values() for outcome in rounds]
    found: Figures = {
        **_gaps("noise", of(outcomes, "kill", "noise")),
        **_kills(outcomes),
        **_gaps("hang", of(outcomes, "hang", "hang")),
        **_priority("priority", of(outcomes, "priority", "priority")),
        **_daemon(of(outcomes, "hang", "daemon")),
        **_gaps("envoy", of(outcomes, "envoy", "envoy")),
        **_gaps("defaults_kill", of(outcomes, "defaults", "kill")),
        **_gaps("defaults_hang", of(outcomes, "defaults", "hang")),
        **_priority("defaults_priority", of(outcomes, "defaults", "priority")),
    }
    return found | {
        "requests": sum(o.requests for o in every),
        "send_lag_ms_p99": max(o.send_lag_ms_p99 for o in every),
    }


def figures_again(again: Mapping[str, Sequence[Outcome]]) -> Figures:
    """Turns that were too loud for a gap to mean anything, and what failed in them, which means the same at any noise.

    Not counted are Envoys that died, with which requests are lost, and the peer.
    """
    ours = [
        outcome for name, turns in again.items() if name not in {"envoy", "defaults"} for outcome in turns
    ]
    return {
        "turns_again": sum(len(turns) for turns in again.values()),
        "turns_again_failed": sum(outcome.lost for outcome in ours),
    }


def of(outcomes: Mapping[str, Sequence[Outcome]], run: str, kind: str) -> list[Seen]:
    return [one for outcome in outcomes[run] for one in outcome.seen if one.event.kind == kind]


def _gaps(name: str, events: Sequence[Seen]) -> Figures:
    gaps_ms = [one.gap_ms for one in events]
    return {
        f"{name}_events": len(events),
        f"{name}_gap_ms_p50": median(gaps_ms),
        f"{name}_gap_ms_p95": quantile(gaps_ms, 0.95),
        f"{name}_gap_ms_max": max(gaps_ms),
        f"{name}_failed": sum(one.failed for one in events),
        f"{name}_in_flight_min": min(one.event.in_flight for one in events),
        f"{name}_repeated": sum(one.event.repeated for one in events),
    }


def _kills(outcomes: Mapping[str, Sequence[Outcome]]) -> Figures:
    found = _gaps("kill", of(outcomes, "kill", "kill"))
    found["kill_failed_repeatable"] = found.pop("kill_failed")
    found["kill_failed_all"] = sum(outcome.lost for outcome in outcomes["kill"])
    return found


def _priority(name: str, events: Sequence[Seen]) -> Figures:
    shares = [one.after_failed / one.after_requests for one in events]
    return {
        **_gaps(name, events),
        f"{name}_failed_share": sum(one.after_failed for one in events)
        / sum(one.after_requests for one in events),
        f"{name}_failed_share_max": max(shares),
    }


def _daemon(events: Sequence[Seen]) -> Figures:
    back_s = [one.event.back_s for one in events]
    return {
        **_gaps("daemon", events),
        "daemon_back_s": max(back_s),
        "daemon_back_s_p50": median(back_s),
    }
