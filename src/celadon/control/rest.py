"""A service at rest costs next to nothing: the same memory and the same facts lead to the same decision.

What changes with time alone ends a rest: the decision says when that is, facts may grow stale, clocks may jump.
"""

from dataclasses import dataclass

from celadon.control.reconcile import reached
from celadon.control.view import View
from celadon.domain.facts import Facts, Known, Now, Unknown, fresh
from celadon.domain.memory import Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What a tick came to that changed nothing and asked for nothing. until: wall time from which it may differ."""

    journalled: Memory
    view: View
    until: float


def rest(journalled: Memory, view: View, until: float) -> Rest | None:
    """The rest that a tick which asked for nothing leads to; None while anything moves or is waited for."""
    facts = view.facts
    moves = view.memory.seq != journalled.seq or view.memory.drill is not None
    if view.at >= until or facts is None or moves:
        return None
    if not (fresh(facts.replicas, view.at) and fresh(facts.routes, view.at)):
        return None
    if not reached(view.memory, facts):
        return None
    return Rest(journalled=journalled, view=view, until=until)


def goes_on(rest: Rest, journalled: Memory, facts: Facts, now: Now) -> bool:
    """Whether a tick on these facts would come to what the last one came to. Every record makes a memory anew."""
    seen = rest.view.facts
    return (
        seen is not None
        and journalled is rest.journalled
        and rest.view.at <= now.wall < rest.until
        and not now.jumped_s
        and _same(seen.replicas, facts.replicas, now.wall)
        and _same(seen.routes, facts.routes, now.wall)
        and seen.sources == facts.sources
        and seen.proof == facts.proof
        and seen.drill == facts.drill
    )


def at_rest(rest: Rest, facts: Facts, now: Now) -> View:
    """How a service looks that went on as it was."""
    seen = rest.view
    return View(memory=seen.memory, facts=facts, judged=None, because=seen.because, at=now.wall)


def _same(before: Known[object] | Unknown, now: Known[object] | Unknown, wall: float) -> bool:
    return (
        isinstance(before, Known)
        and isinstance(now, Known)
        and before.value == now.value
        and fresh(now, wall)
    )
