"""From a drill that a person asks for to a journalled command, or to everything that forbids it."""

from celadon.control.engine import Engine
from celadon.control.others import others
from celadon.domain.command import Asked, EndDrill, MarkDrill, RunDrill
from celadon.domain.drill import OF_ALL_SERVICES, DrillKind, DrillOrder, DrillPhase
from celadon.domain.memory import Memory
from celadon.domain.names import ServiceKey
from celadon.domain.problem import Problem, ProblemsError
from celadon.domain.reason import text
from celadon.resilience.drill import next_drill, refusal

WAIT = "wait for it to end; --insist runs the drill anyway"
MORE = "give it more to lose first (docs/redundancy.md); --insist runs the drill anyway"


def run_drill(engine: Engine, service: ServiceKey, order: DrillOrder) -> Asked:
    """Journal a drill. Raises ProblemsError(refused) for what stands in its way now."""
    view = engine.view(service)
    memory = engine.memory(service)
    if any(isinstance(asked.command, RunDrill) for asked in memory.commands):
        raise _refused("a drill waits to begin", "wait for it to end")
    if view.facts is None:
        raise _refused("how the service stands is not known yet", "ask again in a moment")
    refused = refusal(memory, view.facts, order)
    if refused is not None:
        raise _refused(text(refused), _hint(memory))
    if not order.insists:
        _check_others(engine, service, order.kind)
    return engine.ask(service, RunDrill(drill=next_drill(memory), order=order))


def _hint(memory: Memory) -> str:
    """What helps, by what stands in the way."""
    if memory.drill is not None and memory.drill.phase is DrillPhase.UNDOING:
        return "it is being undone; wait for it to end"
    if memory.drill is not None:
        return f"`celadon drill end {memory.service}` undoes and ends it"
    return MORE if memory.release is None else WAIT


def end_drill(engine: Engine, service: ServiceKey) -> Asked:
    """Journal that the drill under way is to end now. A full disk ends first: it would refuse this very command."""
    engine.view(service)
    drill = engine.memory(service).drill
    if drill is None:
        raise _refused(f"no drill of {service} is under way", f"`celadon drill history {service}` lists them")
    if drill.order.kind is DrillKind.FILL_DISK:
        engine.effects.drills.undo(service, drill.number)
    return engine.ask(service, EndDrill(drill=drill.number))


def mark_drill(engine: Engine, service: ServiceKey) -> Asked:
    """Journal a mark of the drill under way, by which it is seen afterwards whether what was confirmed is there."""
    engine.view(service)
    drill = engine.memory(service).drill
    if drill is None:
        raise _refused(f"no drill of {service} is under way", "marks are for drills alone")
    return engine.ask(service, MarkDrill(drill=drill.number))


def _check_others(engine: Engine, service: ServiceKey, kind: DrillKind) -> None:
    """What all services share fails for all of them. It is weighed once more when it strikes."""
    if kind in OF_ALL_SERVICES and (why := others(engine.journal, service)):
        raise _refused(f"{kind.value} reaches every service, and {why}", WAIT)


def _refused(found: str, hint: str) -> ProblemsError:
    return ProblemsError([Problem(path="drill", found=found, hint=hint)], refused=True)
