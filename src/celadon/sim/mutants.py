"""Bugs that are planted on purpose, each in the real code and each against one law: the laws are trusted only while
every one of them is found.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any
from unittest.mock import patch

from celadon.control import look, reconcile, tick
from celadon.domain.facts import Known, ReplicaState, Unknown
from celadon.domain.goal import Wanted
from celadon.domain.reason import Code, because
from celadon.domain.release import Phase
from celadon.domain.verdict import Fine, Judged
from celadon.judge import guard
from celadon.judge import watch as judge_watch
from celadon.release import commands, decide, end, freeze, phases, prepare, split, watch
from celadon.release.step import Seen
from celadon.resilience import place
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
            return decide.Step(memory=replace(memory, release=phases.enter(release, Phase.MOVING, why, seen.now.wall)), because=why)
        return original(memory, release, seen)

    return [(phases, "NEXT", table), (decide, "STEPS", {**decide.STEPS, Phase.ROLLING_BACK: rolling_back})]


def _before_ready() -> list[Change]:
    def forward(memory: Any, release: Any, seen: Seen, *, dwelt_s: float = 0.0) -> Any:
        stage = release.plan.stages[release.stage]
        why = because(Code.TRAFFIC_MOVES, percent=stage.share / 100)
        moved = replace(release, moved=release.moved or stage.share > 0, dwelt_s=dwelt_s)
        there = phases.enter(moved, Phase.MOVING, why, seen.now.wall)
        return decide.Step(memory=replace(memory, release=there), because=why)

    return [(module, "forward", forward) for module in (prepare, watch, freeze)]


def _last_one_removed() -> list[Change]:
    original = reconcile._stops

    def stops(goal: Any, facts: Any, served: Any) -> Iterator[Any]:
        ready = [one for one in facts.replicas.value if one.state is ReplicaState.READY]
        if len(ready) == 1:
            yield reconcile.StopReplica(replica=ready[0].id, grace_s=goal.drain_s)
        yield from original(goal, facts, served)

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


def _effect_first() -> list[Change]:
    original = tick.place

    def decided(memory: Any, routes: Any) -> Any:
        return original(memory, routes)

    class Eager(tick.Decided):
        pass

    real = tick.decision

    def decision(service: Any, journal: Any, effects: Any, draft: Any, now: Any) -> Any:
        class Early:
            def __getattr__(self, name: str) -> Any:
                return getattr(journal, name)

            def record(self, before: Any, after: Any, reason: Any, at: float, steps: Any = ()) -> Any:
                stamped = fold.stamped(before, after)
                facts = look.observe(effects, before, now)
                for action in reconcile.reconcile(service, stamped, facts):
                    effects.begin(service, action, stamped, facts)
                return journal.record(before, after, reason, at, steps)

        return real(service, Early(), effects, draft, now)

    from celadon.control import loop

    return [(loop, "decision", decision)]


def _lost_evidence() -> list[Change]:
    original = fold._decided

    def decided(memory: Any, body: Any) -> Any:
        kept = {name: data for name, data in body["set"].items() if name != "evidence"}
        return original(memory, {**body, "set": kept})

    return [(fold, "_decided", decided)]


def _lost_command() -> list[Change]:
    original = fold._asked

    def asked(memory: Any, record: Any) -> Any:
        after = original(memory, record)
        return replace(after, commands=memory.commands)

    return [(fold, "_asked", asked)]


def _no_hysteresis() -> list[Change]:
    def doubt(release: Any, seen: Seen) -> Any:
        return seen.verdict.because if isinstance(seen.verdict, freeze.Suspected) else None

    return [(freeze, "_doubt", doubt)]


def _stale_facts() -> list[Change]:
    return [(Seen, "_fresh", lambda _self, fact: isinstance(fact, Known))]


def _no_drain() -> list[Change]:
    return [(reconcile, "_unreached", lambda *_: True)]


def _started_twice() -> list[Change]:
    return [(reconcile, "_may_start", lambda replica, _at: replica is None or replica.state is not ReplicaState.STOPPING)]


def _split_unseen() -> list[Change]:
    from celadon.judge import compare

    original = compare.Comparison._split_broken if hasattr(compare.Comparison, "_split_broken") else None
    changes: list[Change] = [(guard, "SPLIT_AGREES", 0.0)]
    if original is not None:
        changes.append((compare.Comparison, "_split_broken", lambda *_: None))
    return changes


def _open_gates() -> list[Change]:
    original = prepare.forward

    def forward(memory: Any, release: Any, seen: Seen, *, dwelt_s: float = 0.0) -> Any:
        opened = replace(release, passed_gates=release.passed_gates | {release.stage})
        return original(memory, opened, seen, dwelt_s=dwelt_s)

    return [(module, "forward", forward) for module in (prepare, watch, freeze)]


def _unconfirmed() -> list[Change]:
    return [(Seen, "confirmed", lambda _self, _routes: True)]


def _harm_unheard() -> list[Change]:
    return [(module, "turned", lambda *_: None) for module in (watch, freeze)]


def _promotion_restarts() -> list[Change]:
    original = reconcile._stops

    def stops(goal: Any, facts: Any, served: Any) -> Iterator[Any]:
        yield from original(goal, facts, served)
        held = [one.revision for one in goal.replicas]
        if goal.prove is None and len(set(held)) == 2 and len(goal.routed) == 1:
            live = next(iter(goal.routed))
            for one in facts.replicas.value:
                if one.id.revision == live and one.state is ReplicaState.READY and facts.at - one.since < 60:
                    yield reconcile.StopReplica(replica=one.id, grace_s=goal.drain_s)

    return [(reconcile, "_stops", stops)]


def _units_move() -> list[Change]:
    original = split.green_share
    ours = split._staged

    def staged(memory: Any, release: Any, blue: Any, number: int, facts: Any) -> Any:
        if release.phase is Phase.WATCHING and number and release.dwelt_s > 3:
            return ours(memory, release, blue, 0, facts)
        return ours(memory, release, blue, number, facts)

    assert original is not None
    return [(split, "_staged", staged)]


def _never_ends() -> list[Change]:
    def rolling_back(memory: Any, release: Any, _seen: Seen) -> Any:
        return decide.Step(memory=memory, because=release.because)

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
)
