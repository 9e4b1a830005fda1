"""Bugs that are planted on purpose, each in the real code and each against one law: the laws are trusted only while
every one of them is found.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any
from unittest.mock import patch

from celadon.control import look, loop, reconcile
from celadon.domain.action import StopReplica
from celadon.domain.facts import Known, ReplicaState, Unknown
from celadon.domain.goal import Wanted
from celadon.domain.reason import Code, because
from celadon.domain.release import Phase
from celadon.domain.verdict import Fine, Judged, Suspected
from celadon.judge import compare, guard, metrics
from celadon.judge import watch as judge_watch
from celadon.release import decide, freeze, phases, prepare, split, step, watch
from celadon.release.step import Seen, Step
from celadon.sim.laws.names import Law
from celadon.store import fold

Change = tuple[ModuleType | type, str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A planted bug: what is changed where, and the law that has to name it."""

    name: str
    law: Law
    changes: Callable[[], list[Change]]


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The product with this bug in it."""
    with ExitStack() as stack:
        stack.callback(metrics._KEPT.clear)
        metrics._KEPT.clear()
        for where, name, value in mutant.changes():
            stack.enter_context(patch.object(where, name, value))
        yield


def _no_stamp_check() -> list[Change]:
    return [(Wanted, "older_than", lambda _self, _other: False)]


def _forward_again() -> list[Change]:
    table = {**phases.NEXT, Phase.ROLLING_BACK: frozenset({Phase.ENDED, Phase.MOVING})}
    original = watch.rolling_back

    def rolling_back(memory: Any, release: Any, seen: Seen) -> Any:
        if release.moved and isinstance(seen.verdict, Fine):
            why = because(Code.TRAFFIC_MOVES, percent=100.0)
            there = phases.enter(release, Phase.MOVING, why, seen.now.wall)
            return Step(memory=replace(memory, release=there), because=why)
        return original(memory, release, seen)

    return [(phases, "NEXT", table), (decide, "STEPS", {**decide.STEPS, Phase.ROLLING_BACK: rolling_back})]


def _before_ready() -> list[Change]:
    def forward(memory: Any, release: Any, seen: Seen, *, dwelt_s: float = 0.0) -> Any:
        stage = release.plan.stages[release.stage]
        why = because(Code.TRAFFIC_MOVES, percent=stage.share / 100)
        moved = replace(release, moved=release.moved or stage.share > 0, dwelt_s=dwelt_s)
        there = phases.enter(moved, Phase.MOVING, why, seen.now.wall)
        return Step(memory=replace(memory, release=there), because=why)

    def preparing(memory: Any, release: Any, seen: Seen) -> Any:
        why = because(Code.GREEN_READY, wanted=0)
        there = phases.enter(release, Phase.PROVING, why, seen.now.wall)
        proved = {**memory.proved, release.green: release.settings.golden or ""}
        return Step(memory=replace(memory, release=there, proved=proved), because=why)

    steps = {**decide.STEPS, Phase.PREPARING: preparing}
    changed = [(module, "forward", forward) for module in (prepare, watch, freeze)]
    return [*changed, (decide, "STEPS", steps)]


def _last_one_removed() -> list[Change]:
    original = reconcile._stops

    def stops(memory: Any, goal: Any, facts: Any, served: Any) -> Iterator[Any]:
        ready = [one for one in facts.replicas.value if one.state is ReplicaState.READY]
        if len(ready) == 1:
            yield StopReplica(replica=ready[0].id, grace_s=goal.drain_s)
        yield from original(memory, goal, facts, served)

    return [(reconcile, "_stops", stops)]


def _missing_is_fine() -> list[Change]:
    original = look.judge

    def judge(release: Any, stage: Any, who: Any, evidence: Any, *, samples: Any, labels: Any) -> Any:
        evidence, judged = original(release, stage, who, evidence, samples=samples, labels=labels)
        if isinstance(samples, Unknown):
            why = because(Code.WITHIN_LIMITS, requests=0, errors=0, latency="unknown")
            return evidence, Judged(verdict=Fine(because=why))
        return evidence, judged

    return [(look, "judge", judge)]


@dataclass(frozen=True)
class _Early:
    """A journal before which the effects of a decision are begun."""

    journal: Any
    effects: Any
    now: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.journal, name)

    def record(self, before: Any, after: Any, reason: Any, at: float, steps: Any = ()) -> Any:
        stamped = fold.stamped(before, after, at)
        facts = look.observe(self.effects, before, self.now)
        for action in reconcile.reconcile(before.service, stamped, facts):
            self.effects.begin(before.service, action, stamped, facts)
        return self.journal.record(before, after, reason, at, steps)


def _effect_first() -> list[Change]:
    original = loop.decision

    def decision(service: Any, journal: Any, effects: Any, draft: Any, now: Any) -> Any:
        return original(service, _Early(journal, effects, now), effects, draft, now)

    return [(loop, "decision", decision)]


def _lost_evidence() -> list[Change]:
    original = fold._decided

    def decided(memory: Any, record: Any) -> Any:
        kept = {name: data for name, data in record.body["set"].items() if name != "evidence"}
        return original(memory, replace(record, body={**record.body, "set": kept}))

    return [(fold, "_decided", decided)]


def _lost_command() -> list[Change]:
    original = fold._asked

    def asked(memory: Any, record: Any) -> Any:
        after = original(memory, record)
        return replace(after, commands=memory.commands)

    return [(fold, "_asked", asked)]


def _no_hysteresis() -> list[Change]:
    original = judge_watch._asked

    def doubt(_release: Any, seen: Seen) -> Any:
        return seen.verdict.because if isinstance(seen.verdict, Suspected) else None

    def asked(*given: Any) -> Any:
        return replace(original(*given), forgiven=0.0)

    return [(freeze, "_doubt", doubt), (judge_watch, "_asked", asked)]


def _stale_facts() -> list[Change]:
    return [(module, "fresh", lambda fact, _wall: isinstance(fact, Known)) for module in (step, reconcile)]


def _no_drain() -> list[Change]:
    return [(reconcile, "_unreached", lambda *_: True)]


def _started_twice() -> list[Change]:
    return [
        (
            reconcile,
            "_may_start",
            lambda replica, _at: replica is None or replica.state is not ReplicaState.STOPPING,
        )
    ]


def _split_unseen() -> list[Change]:
    def levels(**given: float) -> Any:
        return compare.Levels(**given, split=math.inf)

    return [(guard, "SPLIT_AGREES", 0.0), (metrics, "Levels", levels)]


def _open_gates() -> list[Change]:
    original = prepare.forward

    def forward(memory: Any, release: Any, seen: Seen, *, dwelt_s: float = 0.0) -> Any:
        opened = replace(release, passed_gates=release.passed_gates | {release.stage})
        return original(memory, opened, seen, dwelt_s=dwelt_s)

    return [(module, "forward", forward) for module in (prepare, watch, freeze)]


def _unconfirmed() -> list[Change]:
    return [(Seen, "confirmed", lambda _self, _memory: True)]


def _harm_unheard() -> list[Change]:
    return [(module, "turned", lambda *_: None) for module in (watch, freeze)]


def _promotion_restarts() -> list[Change]:
    original = reconcile._stops

    def stops(memory: Any, goal: Any, facts: Any, served: Any) -> Iterator[Any]:
        yield from original(memory, goal, facts, served)
        held = [one.revision for one in goal.replicas]
        if goal.prove is None and len(set(held)) == 2 and len(goal.routed) == 1:
            live = next(iter(goal.routed))
            for one in facts.replicas.value:
                if one.id.revision == live and one.state is ReplicaState.READY and facts.at - one.since < 60:
                    yield StopReplica(replica=one.id, grace_s=goal.drain_s)

    return [(reconcile, "_stops", stops)]


def _units_move() -> list[Change]:
    original = split.green_share

    def share(release: Any) -> int:
        late = release.phase is Phase.WATCHING and release.dwelt_s > 3
        return original(release) // 2 if late and not release.plan.control else original(release)

    return [(split, "green_share", share)]


def _never_ends() -> list[Change]:
    def rolling_back(memory: Any, release: Any, _seen: Seen) -> Any:
        return Step(memory=memory, because=release.because)

    return [(decide, "STEPS", {**decide.STEPS, Phase.ROLLING_BACK: rolling_back})]


def _never_content() -> list[Change]:
    return [(Wanted, "same_traffic", lambda self, other: self is other)]


def _skipped_phase() -> list[Change]:
    table = {**phases.NEXT, Phase.PREPARING: phases.NEXT[Phase.PREPARING] | {Phase.MOVING}}
    original = prepare.preparing

    def preparing(memory: Any, release: Any, seen: Seen) -> Any:
        step = original(memory, release, seen)
        after = step.memory.release
        if after is not None and after.phase is Phase.PROVING and release.way_back:
            return prepare.forward(memory, release, seen)
        return step

    return [(phases, "NEXT", table), (decide, "STEPS", {**decide.STEPS, Phase.PREPARING: preparing})]


def _all_move_at_once() -> list[Change]:
    def moved(_memory: Any, goal: Any, facts: Any) -> Iterator[Any]:
        yield from reconcile._astray(goal.replicas, goal, facts)

    return [(reconcile, "_moved", moved), (reconcile, "not_spared", lambda *_: frozenset())]


def _nobody_is_kept_back() -> list[Change]:
    return [(reconcile, "not_spared", lambda *_: frozenset())]


MUTANTS = (
    Mutant(name="no stamp check", law=Law.OLDER_REFUSED, changes=_no_stamp_check),
    Mutant(name="rollback that can move forward again", law=Law.NEVER_FORWARD_AGAIN, changes=_forward_again),
    Mutant(name="traffic before ready", law=Law.READY_FIRST, changes=_before_ready),
    Mutant(name="last healthy set removed", law=Law.SOMEBODY_SERVES, changes=_last_one_removed),
    Mutant(name="missing data read as fine", law=Law.UNKNOWN_SHOWN, changes=_missing_is_fine),
    Mutant(name="effect before journal", law=Law.RECORDED_FIRST, changes=_effect_first),
    Mutant(name="lost evidence after a crash", law=Law.EVIDENCE_SURVIVES, changes=_lost_evidence),
    Mutant(name="lost command", law=Law.COMMANDS_SURVIVE, changes=_lost_command),
    Mutant(name="no hysteresis", law=Law.NO_FLAPPING, changes=_no_hysteresis),
    Mutant(name="stale facts used", law=Law.FRESH_FORWARD, changes=_stale_facts),
    Mutant(name="drain skipped", law=Law.NO_REQUEST_LOST, changes=_no_drain),
    Mutant(name="double start", law=Law.STARTED_ONCE, changes=_started_twice),
    Mutant(name="split not verified", law=Law.SPLIT_AGREES, changes=_split_unseen),
    Mutant(name="gates that open themselves", law=Law.GATES_HOLD, changes=_open_gates),
    Mutant(name="unconfirmed steps count", law=Law.CONFIRMED_FIRST, changes=_unconfirmed),
    Mutant(name="harm is not heard", law=Law.HARM_TURNS_BACK, changes=_harm_unheard),
    Mutant(name="promotion restarts green", law=Law.PROMOTION_CHANGES_ROLES, changes=_promotion_restarts),
    Mutant(name="callers are moved back", law=Law.UNITS_STAY, changes=_units_move),
    Mutant(name="a rollback that never ends", law=Law.RELEASES_END, changes=_never_ends),
    Mutant(name="a diff that is never empty", law=Law.DIFF_EMPTIES, changes=_never_content),
    Mutant(name="a phase that is skipped", law=Law.ALONG_THE_TABLE, changes=_skipped_phase),
    Mutant(name="all move at once into other zones", law=Law.SPARE_ALONE, changes=_all_move_at_once),
    Mutant(name="nobody is kept until others are ready", law=Law.SPARE_ALONE, changes=_nobody_is_kept_back),
)
