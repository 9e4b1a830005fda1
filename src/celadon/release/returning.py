"""Requests return to blue: all at once where it can take them, else in bounded steps as its replicas become ready.

There are never more steps than blue needs replicas. Each is taken in the tick that sees one more of them ready.
"""

from celadon.domain.headroom import Room
from celadon.domain.memory import Memory
from celadon.domain.plan import FULL
from celadon.domain.reason import Code, Reason, because
from celadon.domain.release import Phase, Release
from celadon.domain.values import replace
from celadon.release.split import routed_share
from celadon.release.stage import blue_holds
from celadon.release.step import Seen, Step


def room_of_blue(memory: Memory, release: Release, seen: Seen) -> Room:
    """What blue could take back now; nothing where there is none."""
    if release.blue is None:
        return Room(ready=0, needed=1)
    return seen.headroom.room(release.blue, memory.settings or release.settings)


def takes_all(memory: Memory, release: Release, seen: Seen) -> bool:
    """Whether every request may go to blue: it can carry them, or green can not carry any. What is not known can not."""
    if release.blue is None or seen.headroom.unknown:
        return False
    return room_of_blue(memory, release, seen).whole or green_lost(release, seen)


def green_lost(release: Release, seen: Seen) -> bool:
    """Whether green is known to have nobody who could answer; then however few of blue's are better."""
    return not seen.headroom.unknown and seen.headroom.ready.get(release.green, 0) == 0


def turned_now(memory: Memory, seen: Seen) -> Memory:
    """A release that has just turned to blue gives it everything with the same step, where blue can take it."""
    release = memory.release
    if release is None or release.kept is not None:
        return memory
    if release.phase is not Phase.ROLLING_BACK and not blue_holds(release):
        return memory
    kept = 0 if takes_all(memory, release, seen) else routed_share(memory, release.green)
    return replace(memory, release=replace(release, kept=kept))


def next_step(memory: Memory, release: Release, seen: Seen) -> Step | None:
    """As much more to blue as it can take by now; None while that is no more than it has."""
    assert release.kept is not None, f"{release.id}: what green keeps is fixed when it turns"
    kept = _keeps(memory, release, seen)
    if kept >= release.kept:
        return None
    room = room_of_blue(memory, release, seen)
    why = because(Code.RETURNS_IN_STEPS, percent=room.share / 100, ready=room.ready, needed=room.needed)
    if kept == 0:
        why = because(Code.RETURNS_WHOLE, ready=room.ready, needed=room.needed)
        if not room.whole:
            why = because(Code.RETURNS_TO_FEW, ready=room.ready, needed=room.needed)
    return Step(memory=replace(memory, release=replace(release, kept=kept)), because=why)


def waits_for_blue(memory: Memory, release: Release, seen: Seen) -> Reason:
    """Whom the way back waits for."""
    if seen.headroom.unknown:
        return because(Code.BLUE_UNKNOWN, why=seen.headroom.unknown)
    room = room_of_blue(memory, release, seen)
    if release.kept and room.ready:
        left = release.kept / 100
        return because(Code.REST_WAITS, percent=left, ready=room.ready, needed=room.needed)
    wanted = (memory.settings or release.settings).replicas.wanted
    return because(Code.BLUE_NOT_READY, ready=room.ready, wanted=wanted)


def _keeps(memory: Memory, release: Release, seen: Seen) -> int:
    """What is left on green, out of 10,000, once blue has what it can take. A hold lets all go or none."""
    assert release.kept is not None
    if takes_all(memory, release, seen):
        return 0
    if release.phase is not Phase.ROLLING_BACK:
        return release.kept
    return min(release.kept, FULL - room_of_blue(memory, release, seen).share)
