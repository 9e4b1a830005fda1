"""What a drill has shown. Pure."""

from celadon.domain.drill import Drill, DrillKind, DrillVerdict, FaultFact, Measured, ProbeFact
from celadon.domain.memory import Memory
from celadon.domain.reason import Code, Reason, because
from celadon.domain.release import Phase
from celadon.domain.spec import RetryWhen
from celadon.domain.values import replace

HELD_S = 1.0
"""An answer that is right and comes this much later than before is no outage yet, whatever the goal."""

JUDGED = frozenset({Phase.WATCHING.value, Phase.FROZEN.value})
"""Phases that end by what was counted."""

REQUESTS_MIN = 20
"""Fewer requests since the failure show nothing."""

VERDICTS: dict[Code, DrillVerdict] = {
    Code.DRILL_PASSED: DrillVerdict.PASS,
    Code.DRILL_PASSED_UNREPEATED: DrillVerdict.PASS,
    Code.DRILL_FAILED_REQUESTS: DrillVerdict.FAIL,
    Code.DRILL_TOO_SLOW: DrillVerdict.FAIL,
    Code.DRILL_HELD_BACK: DrillVerdict.FAIL,
    Code.DRILL_NOT_BACK: DrillVerdict.FAIL,
    Code.DRILL_MOVED_BLIND: DrillVerdict.FAIL,
    Code.DRILL_LOST_COMMANDS: DrillVerdict.FAIL,
    Code.DRILL_NOT_HIT: DrillVerdict.INCONCLUSIVE,
    Code.DRILL_NOT_MEASURED: DrillVerdict.INCONCLUSIVE,
    Code.DRILL_UNWATCHED: DrillVerdict.INCONCLUSIVE,
    Code.DRILL_NOT_STEADY: DrillVerdict.INCONCLUSIVE,
    Code.DRILL_GAVE_WAY: DrillVerdict.INCONCLUSIVE,
    Code.DRILL_NOT_UNDONE: DrillVerdict.INCONCLUSIVE,
    Code.DRILL_ENDS_EARLY: DrillVerdict.INCONCLUSIVE,
}
"""What each way to end says of the service."""


def measured(probe: ProbeFact | None, fault: FaultFact | None) -> Measured:
    """What callers noticed, and what was seen of the failure itself."""
    found = probe.measured if probe else Measured(rto_s=None)
    return found if fault is None else replace(found, back_s=fault.back_s, refused=fault.refused)


def verdict(
    memory: Memory, drill: Drill, probe: ProbeFact | None, fault: FaultFact | None, lacks: str
) -> Reason:
    """The reason that a drill ends with, and by `VERDICTS` what it ends as.

    lacks: what of the service was not as before in the end.
    """
    found, goal_s = measured(probe, fault), drill.order.rto_s
    if not drill.hit:
        return because(Code.DRILL_NOT_HIT, why=(fault.why if fault else "") or "what was to fail went on")
    if probe is None or probe.over or found.requests < REQUESTS_MIN:
        why = (probe.why if probe else "") or f"{found.requests} requests since the failure"
        return because(Code.DRILL_NOT_MEASURED, why=why)
    if found.lost:
        return because(
            Code.DRILL_LOST_COMMANDS,
            lost=found.lost,
            acknowledged=found.acknowledged,
            age_s=found.lost_age_s or 0.0,
        )
    counts = {"failed": found.failed, "requests": found.requests}
    if found.rto_s is None or lacks or not probe.steady:
        seconds = probe.clear_to - drill.entered_at
        return because(Code.DRILL_NOT_BACK, seconds=seconds, why=lacks or "callers are not served as before")
    if found.rto_s > goal_s:
        return because(Code.DRILL_TOO_SLOW, rto_s=found.rto_s, goal_s=goal_s, **counts)
    slowest_s, before_s = found.slowest_ms / 1000, found.slowest_before_ms / 1000
    if slowest_s > before_s + max(goal_s, HELD_S):
        return because(
            Code.DRILL_HELD_BACK, slowest_s=slowest_s, before_s=before_s, goal_s=max(goal_s, HELD_S), **counts
        )
    if found.failed and _repeatable(memory):
        return because(Code.DRILL_FAILED_REQUESTS, gap_ms=found.gap_ms, **counts)
    if drill.order.kind is DrillKind.FREEZE_METRICS and not _watched(memory, drill):
        return because(Code.DRILL_UNWATCHED, gap_ms=found.gap_ms, **counts)
    passed = Code.DRILL_PASSED_UNREPEATED if found.failed else Code.DRILL_PASSED
    return because(passed, gap_ms=found.gap_ms, rto_s=found.rto_s, goal_s=goal_s, **counts)


def _watched(memory: Memory, drill: Drill) -> bool:
    """Whether the counters decided on a release, when they began to stand still or since."""
    phases = {drill.moved[1]} if drill.moved else set()
    if memory.release is not None:
        phases.add(memory.release.phase.value)
    return not phases.isdisjoint(JUDGED)


def _repeatable(memory: Memory) -> bool:
    """Whether the owner says that requests may be sent again once a replica has them; else some may be lost."""
    return memory.settings is not None and memory.settings.route.retry.when is RetryWhen.RESET
