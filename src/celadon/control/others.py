"""What of the other services stands in the way of a drill that reaches all of them."""

from contextlib import suppress

from celadon.control.ports import Journal
from celadon.domain.command import Deploy, Remove, Rollback, RunDrill
from celadon.domain.drill import OF_ALL_SERVICES, DrillPhase
from celadon.domain.memory import Memory
from celadon.domain.names import ServiceKey
from celadon.domain.problem import Fault

WAITS = Deploy | Rollback | Remove | RunDrill


def reaches_others(memory: Memory) -> bool:
    """Whether a drill of this service waits, or is about to strike, that fails for every service."""
    waiting = [a.command.order.kind for a in memory.commands if isinstance(a.command, RunDrill)]
    if memory.drill is not None and memory.drill.phase is DrillPhase.MEASURING:
        waiting.append(memory.drill.order.kind)
    return not OF_ALL_SERVICES.isdisjoint(waiting)


def others(journal: Journal, service: ServiceKey) -> str:
    """Why what all services share may not fail now; empty when they are all at rest."""
    for other in journal.services():
        # A service that can not be read is not moved either.
        with suppress(Fault):
            if other != service and (why := _busy(journal.read(other))):
                return why
    return ""


def _busy(memory: Memory) -> str:
    if memory.drill is not None:
        return f"drill {memory.drill.number} of {memory.service} has not ended"
    if memory.release is not None:
        return f"release {memory.release.id} of {memory.service} has not ended"
    waits = next((a.command for a in memory.commands if isinstance(a.command, WAITS)), None)
    what = "drill" if isinstance(waits, RunDrill) else "release"
    return "" if waits is None else f"a {what} of {memory.service} waits to begin"
