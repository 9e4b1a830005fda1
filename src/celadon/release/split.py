"""From a position to shares: which revision gets which part of the requests."""

from celadon.domain.facts import Facts, Unknown
from celadon.domain.goal import Part, Route
from celadon.domain.memory import Memory
from celadon.domain.names import RevisionId
from celadon.domain.plan import FULL
from celadon.domain.release import Phase, Release

ON_STAGE = frozenset({Phase.MOVING, Phase.WATCHING, Phase.HOLDING})


def green_share(release: Release) -> int:
    """Green's share by the plan, out of 10,000. Before the first stage and on the way back it is 0."""
    if release.phase in ON_STAGE:
        return release.plan.stages[release.stage].share
    if release.phase is Phase.WAITING and release.stage > 0:
        return release.plan.stages[release.stage - 1].share
    return 0


def routes(memory: Memory, facts: Facts) -> tuple[Route, ...]:
    """The routes that the position asks for; none when nothing of the service may be reached.

    On the way back, requests leave green only for a blue that is ready: that somebody serves comes first.
    """
    release = memory.release
    if memory.removing:
        return ()
    if release is None:
        return () if memory.live is None else _to(memory.live)
    if release.phase is Phase.ROLLING_BACK and release.moved and not can_return(memory, facts):
        return memory.goal.routes if memory.goal else ()
    share = green_share(release)
    if release.blue is None:
        return _to(release.green) if share else ()
    if share == 0:
        return _to(release.blue)
    if share == FULL:
        return _to(release.green)
    parts = (Part(revision=release.blue, share=FULL - share), Part(revision=release.green, share=share))
    return (Route(split=parts),)


def can_return(memory: Memory, facts: Facts) -> bool:
    """Whether blue can take requests now, or green can not either. What is not known can not."""
    release = memory.release
    assert release is not None
    if release.blue is None or isinstance(facts.replicas, Unknown):
        return False
    return facts.ready(release.blue) > 0 or facts.ready(release.green) == 0


def _to(revision: RevisionId) -> tuple[Route, ...]:
    return (Route(split=(Part(revision=revision, share=FULL),)),)
