"""From a position to shares: which revision gets which part of the requests, and how they are drawn."""

from celadon.domain.compare import Compare
from celadon.domain.draw import EVERY, Draw
from celadon.domain.facts import Facts, ReplicaState, Unknown
from celadon.domain.goal import Arm, Mirror, Part, Route
from celadon.domain.memory import Memory
from celadon.domain.names import RevisionId
from celadon.domain.plan import FULL, Stage
from celadon.domain.release import Phase, Release
from celadon.domain.spec import Ends
from celadon.release.stage import blue_holds, green_share, in_force

NOISE_OF_MIRROR = 10
"""Where pairs are compared, blue gets one copy for this many of green's: in how much blue differs from itself."""


def routes(memory: Memory, facts: Facts) -> tuple[Route, ...]:
    """The routes that the position asks for; none when nothing of the service may be reached.

    On the way back green keeps what blue can not take yet, which the release remembers: that somebody serves comes
    first.
    """
    release = memory.release
    if memory.removing:
        return ()
    if release is None:
        return () if memory.live is None else _to(memory.live)
    if release.blue is None:
        return _to(release.green) if green_share(release) else ()
    stage = in_force(release)
    if stage is None or (release.phase is Phase.ROLLING_BACK and not release.kept):
        return _to(release.blue)
    return _staged(memory, release, release.blue, stage, facts)


def routed_share(memory: Memory, green: RevisionId) -> int:
    """Green's share out of 10,000 by the recorded goal, of those requests that it has most of."""
    routed = memory.goal.routes if memory.goal else ()
    return max((sum(p.share for p in route.split if p.revision == green) for route in routed), default=0)


def _staged(
    memory: Memory, release: Release, blue: RevisionId, number: int, facts: Facts
) -> tuple[Route, ...]:
    """Those who are drawn, and, where not everybody is, the others on blue."""
    plan, stage = release.plan, release.plan.stages[number]
    share, back = green_share(release), release.phase is Phase.ROLLING_BACK
    frozen = release.phase is Phase.FROZEN or (blue_holds(release) and share == 0)
    control = stage.share if share and _control_serves(memory, release, blue, stage.share, facts) else 0
    drawn = Route(
        match=EVERY if stage.share == FULL and plan.ends is Ends.PROMOTED else plan.match,
        split=_split(blue, release.green, share, control),
        mirrors=() if back else _mirrors(release, blue, stage, frozen=frozen),
        draw=_draw(memory, release, number, frozen=frozen),
    )
    return (drawn,) if drawn.match == EVERY else (drawn, *_to(blue))


def _split(blue: RevisionId, green: RevisionId, share: int, control: int) -> tuple[Part, ...]:
    """Green comes first, so that a rising share takes nobody away from it."""
    parts = (
        Part(revision=green, share=share),
        Part(revision=blue, share=FULL - share - control),
        Part(revision=blue, arm=Arm.CONTROL, share=control),
    )
    return tuple(part for part in parts if part.share)


def _mirrors(release: Release, blue: RevisionId, stage: Stage, *, frozen: bool) -> tuple[Mirror, ...]:
    compare = release.plan.compare
    share = freeze_mirror(compare) if frozen else stage.mirror
    if share == 0:
        return ()
    copies = (Mirror(revision=release.green, share=share),)
    if compare is None or compare.pairs is None:
        return copies
    return (*copies, Mirror(revision=blue, share=max(1, share // NOISE_OF_MIRROR)))


def freeze_mirror(compare: Compare | None) -> int:
    """Part of 10,000 of the requests that a frozen green gets as copies; 0 where none are allowed."""
    return compare.freeze_mirror if compare else 0


def _draw(memory: Memory, release: Release, number: int, *, frozen: bool) -> Draw | None:
    """How callers are drawn. Where all are on green and nothing is compared, nobody is and nothing is logged."""
    plan, stage = release.plan, release.plan.stages[number]
    if stage.guard is None or (stage.share == FULL and plan.compare is None and plan.sticky is None):
        return None
    groups = plan.compare.groups if plan.compare else None
    return Draw(
        green=release.green,
        salt=f"{memory.service.namespace}/{release.id}",
        sticky=plan.sticky,
        stage=number,
        shares=tuple(one.share for one in plan.stages[: number + 1]),
        frozen=frozen,
        returning=release.phase is Phase.ROLLING_BACK,
        group=groups.header if groups else "",
        groups=groups.values if groups else (),
    )


def _control_serves(memory: Memory, release: Release, blue: RevisionId, share: int, facts: Facts) -> bool:
    """Whether blue's second set gets green's share. What is not known of it stays as it is routed.

    On the way back it gets no more than it has: nothing is compared any more.
    """
    if not release.plan.control or not 0 < share <= FULL // 2:
        return False
    routed = memory.goal.routes if memory.goal else ()
    serves = any(part.arm is Arm.CONTROL for route in routed for part in route.split)
    if isinstance(facts.replicas, Unknown) or (release.phase is Phase.ROLLING_BACK and not serves):
        return serves
    return any(replica.state is ReplicaState.READY for replica in facts.control_of(blue))


def _to(revision: RevisionId) -> tuple[Route, ...]:
    return (Route(split=(Part(revision=revision, share=FULL),)),)
