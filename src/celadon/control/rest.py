"""What stays as it was costs next to nothing: the same memory and the same facts lead to the same.

A service at rest decides nothing anew. What changes with time alone ends a rest: the decision says when that is, facts may
grow stale, clocks may jump. During a release a goal that is reached is not compared with the facts again until one of the
two changes.
"""

from dataclasses import dataclass

from celadon.control.reconcile import reached
from celadon.control.view import View
from celadon.domain.facts import Facts, Known, Now, Unknown, fresh
from celadon.domain.memory import Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """That the facts were found to be the goal, with nothing left to begin. by: what of the memory decided on that."""

    by: tuple[object, ...]
    facts: Facts


def done(memory: Memory, facts: Facts) -> Done | None:
    """Where nothing is to be begun: whether that stays so until something changes. None while a drill is under way."""
    if memory.drill is not None or not reached(memory, facts):
        return None
    if not (fresh(facts.replicas, facts.at) and fresh(facts.routes, facts.at)):
        return None
    return Done(by=_decides(memory), facts=facts)


def stays_done(done: Done, memory: Memory, facts: Facts) -> bool:
    """Whether nothing that decides on what is to be begun has changed since."""
    return done.by == _decides(memory) and _seen_again(done.facts, facts)


def _decides(memory: Memory) -> tuple[object, ...]:
    """All of a memory that what is begun depends on."""
    release = memory.release
    of_all = (memory.goal, memory.drill, memory.settings, memory.revisions)
    if release is None:
        return of_all
    return (*of_all, release.id, release.phase, release.settings, release.began_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What a tick came to that changed nothing and asked for nothing. until: wall time from which it may differ."""

    journalled: Memory
    view: View
    until: float


def rest(journalled: Memory, view: View, until: float) -> Rest | None:
    """The rest that a tick which left its goal reached leads to; None while anything moves or is waited for."""
    if view.at >= until or view.memory.seq != journalled.seq:
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
        and _seen_again(seen, facts)
    )


def at_rest(rest: Rest, facts: Facts, now: Now) -> View:
    """How a service looks that went on as it was."""
    seen = rest.view
    return View(memory=seen.memory, facts=facts, judged=None, because=seen.because, at=now.wall)


def _seen_again(before: Facts, now: Facts) -> bool:
    """Whether the same is known as before, and lately, apart from what is only judged."""
    return (
        _same(before.replicas, now.replicas, now.at)
        and _same(before.routes, now.routes, now.at)
        and before.sources == now.sources
        and before.proof == now.proof
        and before.drill == now.drill
    )


def _same(before: Known[object] | Unknown, now: Known[object] | Unknown, wall: float) -> bool:
    return (
        isinstance(before, Known)
        and isinstance(now, Known)
        and before.value == now.value
        and fresh(now, wall)
    )
