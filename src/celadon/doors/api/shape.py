"""What the API says of a service: JSON with stable names, made from the words of `domain`.

Names are snake_case with the unit last, times are Unix seconds, shares are percentages. A field that can not be
known is null and a field beside it says why. Fields are added and never renamed; see docs/api.md.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from celadon.control.accept import Change, Difference
from celadon.control.view import View
from celadon.domain.facts import Exit, Facts, ReplicaFact, RouteFacts, Unknown
from celadon.domain.feedback import Heard
from celadon.domain.goal import Arm, Goal, Route, arm_of
from celadon.domain.memory import Memory
from celadon.domain.names import RevisionId
from celadon.domain.release import Release
from celadon.domain.revision import CommandRuntime, ModelRuntime, Revision
from celadon.domain.samples import Counts
from celadon.doors.api import drills
from celadon.doors.api.explain import (
    findings,
    judged,
    levels,
    percent,
    reason,
    routes,
    shares,
    stages,
    verdict,
)
from celadon.release.stage import in_force
from celadon.resilience.headroom import survives

Json = dict[str, Any]


def service(view: View) -> Json:
    """Everything that is known of one service."""
    memory = view.memory
    return {
        "service": memory.service.name,
        "namespace": memory.service.namespace,
        "state": _state(memory),
        "at": view.at,
        "seq": memory.seq,
        "live": memory.live,
        "reason": reason(view.because),
        "fault": view.fault or None,
        "release": release(memory.release) if memory.release else None,
        "last_release": release(memory.last) if memory.last else None,
        "waiting_commands": [_asked_name(asked.command) for asked in memory.commands],
        "waiting_releases": [
            asked.command.release for asked in memory.commands if hasattr(asked.command, "release")
        ],
        "predecessor": _predecessor(memory),
        "route": _route(memory, view.facts),
        "revisions": [_revision(memory, view.facts, revision) for revision in _shown(memory, view.facts)],
        "replicas_unknown_because": _why_unknown(view.facts),
        "not_survived": _not_survived(view),
        "verdict": verdict(view.judged.verdict) if view.judged else None,
        "judged": judged_now(view),
        "probation": _probation(memory),
        "feedback": heard(view.facts.heard if view.facts else None),
        "drill": drills.drill(view),
        "last_drill": drills.report(memory.drills[-1]) if memory.drills else None,
    }


def _not_survived(view: View) -> Json | None:
    """Why the loss that the service is meant to outlive would hurt callers now; null where it would not."""
    why = survives(view.memory, view.facts) if view.facts else None
    return reason(why) if why else None


def heard(of: Heard | None) -> Json | None:
    """What became of all feedback on a service; null where nothing was ever compared."""
    return asdict(of) if of else None


def judged_now(view: View) -> Json | None:
    """What each metric says of the release under way; null where nothing is judged now."""
    moving = view.memory.release
    if moving is None or view.judged is None:
        return None
    stage = in_force(moving)
    return judged(view.judged, moving.plan, moving.stage if stage is None else stage)


def _probation(memory: Memory) -> Json | None:
    """The promoted release that late labels may still take back, and until when."""
    if memory.probation is None:
        return None
    of = memory.probation
    return {
        "release": of.release.id,
        "green": of.release.green,
        "until": of.until,
        "findings": findings(of.release.findings),
        "levels": levels(of.release.plan),
    }


def _state(memory: Memory) -> str:
    if memory.removed:
        return "removed"
    if memory.removing:
        return "removing"
    if memory.release is not None:
        return "releasing"
    return "live" if memory.live is not None else "empty"


def _asked_name(command: object) -> str:
    return type(command).__name__.lower()


def release(of: Release) -> Json:
    """One release as it stands; `ended_at`, `outcome` and `cause` are null until they are known."""
    return {
        "release": of.id,
        "number": of.number,
        "blue": of.blue,
        "green": of.green,
        "phase": of.phase.value,
        "stage": of.stage,
        "stages": stages(of.plan),
        "dwelt_s": of.dwelt_s,
        "ends": of.plan.ends.value,
        "freezes": of.freezes,
        "rested_s": of.rested_s,
        "rest_s": of.plan.compare.rest_s if of.plan.compare else None,
        "stays_frozen": of.stays_frozen,
        "waved": of.waved,
        "bad_answers": of.bad_answers,
        "bad_answers_max": of.plan.bad_answers_max,
        "probation_s": of.plan.probation_s,
        "findings": findings(of.findings),
        "levels": levels(of.plan),
        "paused": of.paused,
        "way_back": of.way_back,
        "labels": dict(of.labels),
        "began_at": of.began_at,
        "entered_at": of.entered_at,
        "ended_at": of.ended_at,
        "reason": reason(of.because),
        "outcome": of.outcome.value if of.outcome else None,
        "cause": of.cause.value if of.outcome else None,
    }


def _predecessor(memory: Memory) -> Json | None:
    if memory.predecessor is None:
        return None
    kept = memory.predecessor
    return {"revision": kept.revision, "since": kept.since, "kept_until": kept.since + kept.hold_s}


def _route(memory: Memory, facts: Facts | None) -> Json | None:
    """Where clients reach the service, and what the proxy itself showed of it."""
    if memory.settings is None:
        return None
    route = memory.settings.route
    return {
        "host": route.host,
        "port": route.port,
        "hostnames": list(route.hostnames),
        "prefix": route.prefix,
        "preview_port": route.preview_port,
        **_router(facts),
    }


def _router(facts: Facts | None) -> Json:
    if facts is None or isinstance(facts.routes, Unknown):
        why = (
            facts.routes.why
            if facts is not None and isinstance(facts.routes, Unknown)
            else "not looked at yet"
        )
        return {
            "confirmed": None,
            "pending": None,
            "refused": None,
            "notes": [],
            "unknown_because": why,
            "groups": None,
        }
    seen: RouteFacts = facts.routes.value
    return {
        "confirmed": _shares(seen.confirmed.routes) if seen.confirmed else [],
        "pending": _shares(seen.pending.routes) if seen.pending else None,
        "refused": seen.refused.why if seen.refused else None,
        "notes": list(seen.notes),
        "unknown_because": None,
        "groups": routes(seen.confirmed.routes) if seen.confirmed else [],
    }


def _shares(of: tuple[Route, ...]) -> list[Json]:
    """The shares of the route that takes every request that no other route matches: the last one."""
    return shares(of[-1]) if of else []


def _shown(memory: Memory, facts: Facts | None) -> tuple[RevisionId, ...]:
    """Revisions that something is running of or should be: green first, then live, then what is kept."""
    moving = (memory.release.green, memory.release.blue) if memory.release else ()
    kept = (memory.predecessor.revision,) if memory.predecessor else ()
    wanted = tuple(r.revision for r in memory.goal.replicas) if memory.goal else ()
    known = facts is not None and not isinstance(facts.replicas, Unknown)
    running = tuple(r.id.revision for r in facts.replicas.value) if known else ()  # type: ignore[union-attr]
    every = (*moving, memory.live, *kept, *wanted, *running)
    return tuple(dict.fromkeys(revision for revision in every if revision is not None))


def _revision(memory: Memory, facts: Facts | None, of: RevisionId) -> Json:
    replicas = [one for arm in Arm for one in facts.of(of, arm)] if facts else []
    return {
        "revision": of,
        "role": _role(memory, of),
        "share_percent": _goal_share(memory.goal, of),
        "runs": _runs(memory.revisions.get(of)),
        "replicas_wanted": _replicas_wanted(memory.goal, of, Arm.MAIN),
        "replicas_ready": facts.ready(of) if facts else 0,
        "control_wanted": _replicas_wanted(memory.goal, of, Arm.CONTROL),
        "standby_wanted": _replicas_wanted(memory.goal, of, Arm.STANDBY),
        "standby_ready": facts.ready(of, Arm.STANDBY) if facts else 0,
        "replicas": [replica(fact) for fact in replicas],
        "counts": counts(memory.evidence.of(of)) if memory.evidence else None,
    }


def _replicas_wanted(goal: Goal | None, of: RevisionId, arm: Arm) -> int:
    return sum(r.wanted for r in goal.replicas if r.revision == of and r.arm is arm) if goal else 0


def _role(memory: Memory, of: RevisionId) -> str:
    """green, blue, live (nothing is released), kept (the predecessor) or leaving."""
    if memory.release is not None and of == memory.release.green:
        return "green"
    if memory.release is not None and of == memory.release.blue:
        return "blue"
    if of == memory.live:
        return "live"
    if memory.predecessor is not None and of == memory.predecessor.revision:
        return "kept"
    return "leaving"


def _goal_share(goal: Goal | None, of: RevisionId) -> float:
    if goal is None or not goal.routes:
        return 0.0
    return percent(sum(part.share for part in goal.routes[-1].split if part.revision == of))


def _runs(revision: Revision | None) -> Json | None:
    """What a revision runs. Environment variables and secrets are not shown: plan is where they belong."""
    match revision.runtime if revision else None:
        case None:
            return None
        case ModelRuntime(model=model, serving=serving):
            return {"model": model, "version": serving.version}
        case CommandRuntime(command=command, files=files):
            return {"command": list(command), "files": files}


def replica(fact: ReplicaFact) -> Json:
    """One replica as its platform sees it."""
    return {
        "index": fact.id.index,
        "arm": arm_of(fact.id.index).value,
        "zone": fact.zone or None,
        "state": fact.state.value,
        "since": fact.since,
        "address": str(fact.address) if fact.address else None,
        "pid": fact.pid,
        "exits": fact.exits,
        "last_exit": _exit(fact.last_exit) if fact.last_exit else None,
        "notes": list(fact.notes),
    }


def _exit(ended: Exit) -> Json:
    return {"code": ended.code, "at": ended.at, "stderr": list(ended.stderr)}


def _why_unknown(facts: Facts | None) -> str | None:
    if facts is None:
        return "not looked at yet"
    return facts.replicas.why if isinstance(facts.replicas, Unknown) else None


def counts(of: Counts) -> Json:
    """What one revision answered since the stage began."""
    return {"requests": of.requests, "errors": of.errors, "latency_ms": [list(bound) for bound in of.latency]}


def labels(pairs: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Labels as they are kept: sorted, so that the same ones are always equal."""
    return tuple(sorted(pairs.items()))


def difference(of: Difference) -> Json:
    """What a deploy would do."""
    return {
        "service": of.service.name,
        "namespace": of.service.namespace,
        "live": of.live,
        "revision": of.revision,
        "releases": of.releases,
        "changes": [_change(change) for change in of.changes],
    }


def _change(change: Change) -> Json:
    return {"path": change.path, "before": change.before, "after": change.after}
