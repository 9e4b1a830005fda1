"""What blue could take back now."""

from celadon.domain.facts import Facts
from celadon.domain.headroom import Headroom
from celadon.domain.memory import Memory


def headroom(memory: Memory, facts: Facts) -> Headroom:
    """Ready replicas of blue against the number that carries the whole service."""
    release = memory.release
    if release is None or release.blue is None or memory.settings is None:
        return Headroom(ready=0, needed=0)
    return Headroom(ready=facts.ready(release.blue), needed=memory.settings.replicas.wanted)
