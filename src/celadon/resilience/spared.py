"""Whom a drill hits, and whether those that it spares can carry the service. Pure."""

from collections import Counter
from collections.abc import Sequence

from celadon.domain.command import Deploy, Remove, Rollback
from celadon.domain.drill import OF_ALL_SERVICES, OF_REPLICAS, DrillKind, DrillOrder, Victim
from celadon.domain.facts import Facts, ReplicaFact, ReplicaState, Unknown
from celadon.domain.goal import Arm, arm_of
from celadon.domain.memory import Memory
from celadon.domain.names import ReplicaId, RevisionId
from celadon.resilience.headroom import settings_of


def hindrance(memory: Memory, facts: Facts, order: DrillOrder, number: int) -> str | None:
    """Why the drill of this number may not be, as things stand. What a person insists on is not weighed any more."""
    if memory.live is None or memory.settings is None or memory.removing:
        return "nothing of the service is live"
    fault = facts.drill.fault
    if fault is not None and fault.undone_at is None and fault.drill != number:
        return f"drill {fault.drill} is not undone yet"
    if isinstance(facts.replicas, Unknown):
        return f"which replicas there are is not known ({facts.replicas.why})"
    hit = victims(memory, facts, order.kind, number)
    if not hit and order.kind in OF_REPLICAS | {DrillKind.KILL_PROXY}:
        return "none is ready that could be hit"
    if order.insists:
        return None
    return _moving(memory) or _others(facts, order.kind) or _too_few(memory, facts, order.kind, hit)


def _moving(memory: Memory) -> str | None:
    if memory.release is not None:
        return f"release {memory.release.id} has not ended"
    waiting = (a for a in memory.commands if isinstance(a.command, Deploy | Rollback | Remove))
    return "a release waits to begin" if next(waiting, None) is not None else None


def _others(facts: Facts, kind: DrillKind) -> str | None:
    reached = kind in OF_ALL_SERVICES and facts.drill.others
    return f"{kind.value} reaches every service, and {facts.drill.others}" if reached else None


def _too_few(memory: Memory, facts: Facts, kind: DrillKind, hit: Sequence[Victim]) -> str | None:
    """Whether what is left carries everything (N-1)."""
    settings = settings_of(memory, _carries(memory))
    assert settings is not None
    needed, redundancy = settings.needed, settings.redundancy
    if kind is DrillKind.KILL_PROXY and len(facts.drill.proxies) < 2:
        return "there is one proxy, and nobody takes over from it; `celadon up --proxies 2` runs two"
    if kind is DrillKind.KILL_ZONE and not redundancy.zones:
        return "the service has no `zones`, so that all of it would be lost"
    if kind is DrillKind.KILL_ZONE and (astray := _astray(memory, facts)):
        return f"not every replica is in the zone where it belongs ({astray} of {len(_ready(memory, facts))} are not)"
    if kind is DrillKind.KILL_FIRST_PRIORITY and not redundancy.standby:
        return "the service has no `standby` that could take over"
    gone = {victim.pid for victim in hit}
    left = [one for one in _ready(memory, facts) if one.pid not in gone]
    main = sum(arm_of(one.id.index) is Arm.MAIN for one in left)
    behind = sum(arm_of(one.id.index) is Arm.STANDBY for one in left)
    if main >= needed or (redundancy.standby and behind >= redundancy.standby):
        return None
    stands = f" and {behind} of {redundancy.standby} behind them" if redundancy.standby else ""
    return f"{main} of the {needed} replicas that it needs{stands} would be ready"


def _astray(memory: Memory, facts: Facts) -> int:
    """How many replicas of what carries the service are still to be moved."""
    goal = memory.goal
    return sum(goal is not None and one.zone != goal.zone_of(one.id) for one in _ready(memory, facts))


def victims(memory: Memory, facts: Facts, kind: DrillKind, number: int) -> tuple[Victim, ...]:
    """Whom it hits: always the same for the same facts; drills of a kind take turns."""
    if kind is DrillKind.KILL_PROXY:
        pids = facts.drill.proxies
        return (Victim(pid=pids[number % len(pids)]),) if pids else ()
    if kind not in OF_REPLICAS:
        return ()
    main = [one for one in _ready(memory, facts) if arm_of(one.id.index) is Arm.MAIN]
    if not main:
        return ()
    match kind:
        case DrillKind.KILL_FIRST_PRIORITY:
            return _as_victims(main)
        case DrillKind.KILL_ZONE:
            zones, last = sorted({one.zone for one in main}), _hit_last(memory, kind)
            was = next((one.zone for one in main if last and one.id.index == last.index), "")
            lost = next((zone for zone in zones if zone > was), zones[0])
            return _as_victims([one for one in _running(facts) if one.zone == lost])
        case _:
            last = _hit_last(memory, kind)
            return _as_victims([next((one for one in main if last and one.id.index > last.index), main[0])])


def _hit_last(memory: Memory, kind: DrillKind) -> ReplicaId | None:
    """A replica that the last drill of this kind hit."""
    hit = (
        victim.replica for one in reversed(memory.drills) if one.order.kind is kind for victim in one.victims
    )
    return next((replica for replica in hit if replica is not None), None)


def _as_victims(replicas: Sequence[ReplicaFact]) -> tuple[Victim, ...]:
    return tuple(
        Victim(replica=one.id, pid=one.pid, zone=one.zone) for one in replicas if one.pid is not None
    )


def _ready(memory: Memory, facts: Facts) -> list[ReplicaFact]:
    """Of what carries the service, in every arm."""
    revision = _carries(memory)
    return [one for one in _running(facts) if one.id.revision == revision and one.state is ReplicaState.READY]


def _carries(memory: Memory) -> RevisionId:
    """Which revision gets most requests by the recorded goal; what is live where none gets any."""
    assert memory.live is not None
    shares = Counter[RevisionId]({memory.live: 0})
    for route in memory.goal.routes if memory.goal else ():
        for part in route.split:
            shares[part.revision] += part.share
    return shares.most_common(1)[0][0]


def _running(facts: Facts) -> list[ReplicaFact]:
    assert not isinstance(facts.replicas, Unknown)
    known = sorted(facts.replicas.value, key=lambda one: one.id)
    return [one for one in known if one.state is not ReplicaState.EXITED]


def in_words(kind: DrillKind, hit: Sequence[Victim]) -> str:
    """What is done, in words."""
    names = ", ".join(
        f"{victim.replica.revision}/{victim.replica.index}" if victim.replica else f"process {victim.pid}"
        for victim in hit
    )
    match kind:
        case DrillKind.KILL_REPLICA:
            return f"SIGKILL to replica {names}"
        case DrillKind.HANG_REPLICA:
            return f"SIGSTOP to replica {names}"
        case DrillKind.KILL_ZONE:
            of = f" of zone {hit[0].zone}" if hit[0].zone else ""
            return f"SIGKILL to every replica{of}: {names}"
        case DrillKind.KILL_FIRST_PRIORITY:
            return f"SIGKILL to every replica of the first set: {names}"
        case DrillKind.KILL_PROXY:
            return f"SIGKILL to the proxy, {names}"
        case DrillKind.KILL_DAEMON:
            return "SIGKILL to the daemon"
        case DrillKind.FILL_DISK:
            return "no page more for the journal, as on a full disk"
        case DrillKind.FREEZE_METRICS:
            return "the counters of the judge stand still"
