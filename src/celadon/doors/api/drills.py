"""Drills as JSON with stable names, and what the journal tells of those that have ended."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from celadon.control.view import View
from celadon.domain.drill import Drill, DrillKind, DrillOrder, DrillReport, Measured, Victim
from celadon.domain.problem import Problem, ProblemsError
from celadon.domain.record import Record
from celadon.domain.spec import Settings
from celadon.doors.api.explain import reason
from celadon.resilience.drill import order_of
from celadon.store.codec import decode

Json = dict[str, Any]

LIMITS = {"before_s": (0.5, 600.0), "lasts_s": (0.5, 3600.0), "rto_s": (0.0, 3600.0), "rate": (5.0, 500.0)}

FULL_DISK_MAX_S = 30.0
"""Nothing can be decided for any service meanwhile."""

REQUESTS_MAX = 20_000
"""So many of its own one drill may send; each is remembered until it has ended."""


def read_order(body: Mapping[str, Any], settings: Settings | None) -> DrillOrder:
    """What a request asks for. Raises ProblemsError with all that is wrong in it."""
    problems = [
        Problem(path=name, found="is not known here", hint=f"known are: kind, insist, {', '.join(LIMITS)}")
        for name in body
        if name not in {"kind", "insist", *LIMITS}
    ]
    kind, names = body.get("kind"), [one.value for one in DrillKind]
    if kind not in names:
        problems.append(
            Problem(path="kind", found=f"{kind!r} is no kind of drill", hint=f"one of {', '.join(names)}")
        )
    if not isinstance(body.get("insist", False), bool):
        problems.append(Problem(path="insist", found="is neither true nor false"))
    for name, (low, high) in LIMITS.items():
        value = body.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if value is not None and not (number and low <= value <= high):
            found = f"{value!r} is no number"
            if number:
                found = f"{value:.10g} is too {'low' if value < low else 'high'}"
            problems.append(Problem(path=name, found=found, hint=f"from {low:g} to {high:g}{_unit(name)}"))
    if problems:
        raise ProblemsError(problems)
    if settings is None:
        problem = Problem(path="drill", found="nothing of the service is live", hint="deploy it first")
        raise ProblemsError([problem], refused=True)
    given = {name: float(body[name]) for name in LIMITS if body.get(name) is not None}
    order = order_of(DrillKind(str(kind)), settings, **given, insists=body.get("insist", False))
    problems = list(_too_much(order))
    if problems:
        raise ProblemsError(problems)
    return order


def _unit(name: str) -> str:
    return " s" if name.endswith("_s") else ""


def _too_much(order: DrillOrder) -> Iterator[Problem]:
    """What is wrong in the whole, although each part of it is in its limits."""
    if order.kind is DrillKind.FILL_DISK and order.lasts_s > FULL_DISK_MAX_S:
        found = f"a full disk for {order.lasts_s:g} s, and nothing is decided for any service meanwhile"
        yield Problem(path="lasts_s", found=found, hint=f"{FULL_DISK_MAX_S:g} s at most")
    requests = order.rate * (order.before_s + order.lasts_s)
    if requests > REQUESTS_MAX:
        hint = f"{REQUESTS_MAX} at most; a lower rate, or less time"
        yield Problem(path="rate", found=f"{requests:.0f} requests in all", hint=hint)


def drill(view: View) -> Json | None:
    """The drill under way with what was measured by now; null when there is none."""
    of = view.memory.drill
    if of is None:
        return None
    probe = view.facts.drill.probe if view.facts else None
    measured = probe.measured if probe and probe.drill == of.number and of.struck_at else None
    return {
        **_about(of),
        "phase": of.phase.value,
        "entered_at": of.entered_at,
        "until": of.lease.until if of.lease else None,
        "measured": _measured(measured) if measured else None,
    }


def report(of: DrillReport) -> Json:
    """A drill that has ended."""
    return {
        **_about(of),
        "verdict": of.verdict.value,
        "ended_at": of.ended_at,
        "undone": of.undone,
        "measured": _measured(of.measured),
    }


def history(view: View, records: Iterable[Record]) -> list[Json]:
    """Every drill that has ended, oldest first: those of the journal and the last ones that are remembered."""
    found: dict[int, DrillReport] = {}
    for record in records:
        raw: Sequence[Any] = record.body.get("set", record.body.get("memory", {})).get("drills") or ()
        for one in raw:
            if one["number"] not in found:
                found[one["number"]] = decode(DrillReport, one)
    found |= {one.number: one for one in view.memory.drills}
    return [report(found[number]) for number in sorted(found)]


def _about(of: Drill | DrillReport) -> Json:
    return {
        "drill": of.number,
        "kind": of.order.kind.value,
        "before_s": of.order.before_s,
        "lasts_s": of.order.lasts_s,
        "rto_goal_s": of.order.rto_s,
        "rate": of.order.rate,
        "insisted": of.order.insists,
        "victims": [_victim(one) for one in of.victims],
        "began_at": of.began_at,
        "struck_at": of.struck_at,
        "reason": reason(of.because),
    }


def _victim(of: Victim) -> Json:
    replica = of.replica
    return {
        "revision": replica.revision if replica else None,
        "index": replica.index if replica else None,
        "pid": of.pid,
    }


def _measured(of: Measured) -> Json:
    return {
        "requests": of.requests,
        "failed": of.failed,
        "gap_ms": round(of.gap_ms, 1),
        "slowest_ms": round(of.slowest_ms, 1),
        "slowest_before_ms": round(of.slowest_before_ms, 1),
        "rto_s": of.rto_s,
        "back_s": of.back_s,
        "refused_writes": of.refused,
        "acknowledged": of.acknowledged,
        "lost": of.lost,
        "lost_age_s": of.lost_age_s,
    }
