"""Crash points, all of them and not a sample: a release is cut before and after every effect and every record, and has to
come to the same end.
"""

from dataclasses import dataclass

from celadon.domain.command import Abort, Deploy, Promote
from celadon.domain.names import RevisionId
from celadon.domain.release import Phase
from celadon.sim.laws.names import Law
from celadon.sim.orders import POLICIES, revision, settings
from celadon.sim.world import World

TICKS_MAX = 200
RATE = 400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a script ended, as far as callers can tell: by what it was ended may depend on when it was looked at."""

    ended: tuple[str, ...]
    live: RevisionId | None
    shares: tuple[tuple[RevisionId, int], ...]
    replicas: tuple[str, ...]
    broken: tuple[Law, ...]


def script(policy: str, *, error_share: float = 0.0, cut: int | None = None) -> tuple[End, int]:
    """One release of a green under a policy, over a blue that is there. cut: the point at which the daemon dies.

    Returns how it ended, and how many points the release had.
    """
    world = World(f"cuts of {policy}")
    world.site.callers.rate = RATE
    blue, green = revision(0), revision(1)
    world.character(blue.id).start_s = 0.5
    world.character(green.id).error_share = error_share
    world.ask(Deploy(release="fraud-1", revision=blue, settings=settings(POLICIES["all at once"])))
    _until_rest(world)
    began = world.daemon.points
    world.daemon.dies_at = None if cut is None else began + cut
    world.ask(Deploy(release="fraud-2", revision=green, settings=settings(POLICIES[policy])))
    if not world.daemon.alive:  # Nobody was told that it was taken, so it is asked again if it is not there.
        world.run(world.daemon.ticks + 1)
        if world.memory.releases_asked < 2:
            world.ask(Deploy(release="fraud-2", revision=green, settings=settings(POLICIES[policy])))
    _until_rest(world)
    points = world.daemon.points - began
    world.laws.ended(world.daemon.view)
    return _end(world), points


def _until_rest(world: World) -> None:
    """Whoever is waited for at a gate opens it, and takes back what stays frozen."""
    for _ in range(TICKS_MAX):
        world.run(world.daemon.ticks + 1)
        release = world.release
        if release is None:
            if world.at_rest and world.settled:
                return
        elif release.phase is Phase.WAITING:
            world.ask(Promote(release=release.id))
        elif release.stays_frozen:
            world.ask(Abort(release=release.id))


def _end(world: World) -> End:
    goal = world.memory.goal
    shares = {part.revision: part.share for route in goal.routes for part in route.split} if goal else {}
    return End(
        ended=tuple(end.split("/", maxsplit=1)[0] for end in world.ended),
        live=world.memory.live,
        shares=tuple(sorted(shares.items())),
        replicas=tuple(str(key) for key in sorted(world.site.machine.there)),
        broken=tuple(world.laws.book.broken),
    )
