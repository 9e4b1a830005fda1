"""The pure difference between what should be and what is: effects that the present facts permit, as data.

Nothing here waits and nothing is remembered: an effect is asked for again until the facts show it done.
"""

from collections.abc import Container, Iterable, Iterator

from celadon.domain.action import (
    Action,
    DropRoutes,
    Fetch,
    ForgetDrill,
    ForgetProof,
    Probe,
    Prove,
    SetRoutes,
    StartReplica,
    StopReplica,
    Strike,
    Undo,
)
from celadon.domain.facts import Facts, Known, ReplicaFact, ReplicaState, RouteFacts, SourceState, fresh
from celadon.domain.goal import Arm, Cover, Endpoint, Goal, ReplicaSet, Wanted, arm_of
from celadon.domain.memory import Memory, not_before
from celadon.domain.names import Address, Digest, ReplicaId, RevisionId, ServiceKey
from celadon.domain.release import Phase
from celadon.domain.values import replace
from celadon.resilience.headroom import Named, not_spared

RETRY_REFUSED_S = 5.0
"""A refused route is offered again after this long: the port may be free by now."""

BACKOFF_S = 0.5
BACKOFF_MAX_S = 30.0
SERVING = frozenset({ReplicaState.READY, ReplicaState.UNREADY})


def reconcile(service: ServiceKey, memory: Memory, facts: Facts) -> tuple[Action, ...]:
    """What to begin now. memory.goal must be recorded already: no effect without a recorded goal."""
    goal = memory.goal
    if goal is None:
        return ()
    actions: list[Action] = [*_fetches(memory, goal, facts)]
    if isinstance(facts.replicas, Known):
        actions += _starts(service, memory, goal, facts)
        if isinstance(facts.routes, Known):
            actions += _routes(service, memory, goal, facts, facts.routes.value)
            actions += _stops(memory, goal, facts, facts.routes.value)
            actions += _proof(goal, facts, facts.routes.value)
    return (*actions, *_drill(memory, goal, facts))


def reached(memory: Memory, facts: Facts) -> bool:
    """Whether the facts are the goal: then what is not begun now is not begun when more time has passed, either."""
    goal, replicas, served = memory.goal, facts.replicas, facts.routes
    if not isinstance(replicas, Known) or not isinstance(served, Known):
        return False
    there = {(one.id.revision, one.id.index) for one in replicas.value if one.state is ReplicaState.READY}
    return (
        served.value.pending is None
        and served.value.refused is None
        and len(there) == len(replicas.value)
        and there == (_kept(memory, goal, facts) if goal else frozenset())
    )


def _fetches(memory: Memory, goal: Goal, facts: Facts) -> Iterator[Action]:
    for tree in goal.fetch:
        source = facts.sources.get(tree)
        if source is None or (source.state is SourceState.FAILED and not source.lasting):
            due = True
        else:
            due = source.state is SourceState.VERIFIED and source.at < _verify_since(memory, facts, tree)
        if due:
            yield Fetch(tree=tree)


def _verify_since(memory: Memory, facts: Facts, tree: Digest) -> float:
    """A release starts from bytes that were verified for it, unless all of green runs already."""
    release = memory.release
    if release is None or release.phase is not Phase.PREPARING:
        return 0.0
    stands = facts.ready(release.green) >= release.settings.replicas.wanted
    return 0.0 if stands or tree not in memory.revisions[release.green].trees else release.began_at


def _starts(service: ServiceKey, memory: Memory, goal: Goal, facts: Facts) -> Iterator[Action]:
    for one in goal.replicas:
        trees = memory.revisions[one.revision].trees
        if not all(_verified(memory, facts, tree) for tree in trees):
            continue
        there = {replica.id.index: replica for replica in facts.of(one.revision, one.arm)}
        for index in one.indices:
            if _may_start(there.get(index), facts.at):
                replica = ReplicaId(service=service, revision=one.revision, index=index)
                yield StartReplica(replica=replica)


def _verified(memory: Memory, facts: Facts, tree: Digest) -> bool:
    source = facts.sources.get(tree)
    if source is None or source.state is not SourceState.VERIFIED:
        return False
    return source.at >= _verify_since(memory, facts, tree)


def _may_start(replica: ReplicaFact | None, at: float) -> bool:
    """A replica that is not there, or that ended long enough ago: the wait doubles with every exit in a row."""
    if replica is None:
        return True
    if replica.state is not ReplicaState.EXITED:
        return False
    if replica.exits <= 1 or replica.last_exit is None:
        return True
    wait_s: float = min(BACKOFF_S * 2.0 ** min(replica.exits - 2, 10), BACKOFF_MAX_S)
    # An exit that lies in the future was seen before the clock was set back.
    return not replica.last_exit.at <= at < replica.last_exit.at + wait_s


def _routes(
    service: ServiceKey, memory: Memory, goal: Goal, facts: Facts, served: RouteFacts
) -> Iterator[Action]:
    if goal.route is None:
        if served.confirmed is not None or served.pending is not None:
            yield DropRoutes()
        return
    wanted = wish(service, memory, goal, facts)
    if wanted is None or wanted.same_traffic(served.pending):
        return
    if _refused_just_now(wanted, facts, served):
        yield from _where_it_listens(wanted, served)
        return
    if _where_it_listened(wanted, served.pending).same_traffic(served.pending):
        return
    # A refused wish that is not wanted any more: asking for what is in force makes the router let go of it.
    at_rest = served.pending is None and served.refused is None
    if not (at_rest and wanted.same_traffic(served.confirmed)):
        yield SetRoutes(wanted=wanted)


def _where_it_listens(wanted: Wanted, served: RouteFacts) -> Iterator[Action]:
    """The new place is refused: where the service listens its replicas and shares have to be right all the same."""
    there = _where_it_listened(wanted, served.confirmed)
    settled = served.pending is None and there.same_traffic(served.confirmed)
    if there.route != wanted.route and not settled and not there.same_traffic(served.pending):
        yield SetRoutes(wanted=there)


def _where_it_listened(wanted: Wanted, other: Wanted | None) -> Wanted:
    return wanted if other is None else replace(wanted, route=other.route)


def _refused_just_now(wanted: Wanted, facts: Facts, served: RouteFacts) -> bool:
    refused = served.refused
    if refused is None or not wanted.same_traffic(refused.wanted):
        return False
    return refused.at <= facts.at < refused.at + RETRY_REFUSED_S


def wish(service: ServiceKey, memory: Memory, goal: Goal, facts: Facts) -> Wanted | None:
    """The goal's routes with the replicas that are there; None while no replica has ever been ready.

    Replicas that the goal no longer wants stay as draining endpoints until they are stopped.
    """
    assert goal.route is not None
    assert isinstance(facts.replicas, Known)
    main, control = _endpoints(goal, facts.replicas.value, _stay(memory, goal, facts))
    if not any(main.values()) and not goal.routes:
        return None
    preview = goal.preview if goal.preview is not None and main.get(goal.preview) else None
    return Wanted(
        service=service,
        stamp=goal.stamp,
        route=goal.route,
        routes=goal.routes,
        endpoints=_ordered(main),
        preview=preview,
        ready=tuple(
            (key, memory.revisions[key].ready) for key in sorted({*main, *control}) if key in memory.revisions
        ),
        controls=_ordered(control),
        covers=tuple(sorted({**_covers_of_leaving(main, facts), **dict(_covers(goal))}.items())),
    )


def _covers_of_leaving(main: Container[RevisionId], facts: Facts) -> dict[RevisionId, Cover]:
    """What leaves keeps the settings it has: new ones would be nobody's gain."""
    confirmed = facts.routes.value.confirmed if isinstance(facts.routes, Known) else None
    return {key: cover for key, cover in (confirmed.covers if confirmed else ()) if key in main}


def _covers(goal: Goal) -> Iterator[tuple[RevisionId, Cover]]:
    """How each revision's main arm outlives losses, as the proxy has to know it."""
    behind = {one.revision: one.wanted for one in goal.replicas if one.arm is Arm.STANDBY}
    for one in goal.replicas:
        if one.arm is Arm.MAIN:
            yield (
                one.revision,
                Cover(
                    replicas=one.wanted,
                    spare=one.redundancy.spare(one.wanted),
                    standby=behind.get(one.revision, 0),
                    hang_s=one.redundancy.hang_s,
                ),
            )


_Endpoints = dict[RevisionId, list[Endpoint]]


def _endpoints(
    goal: Goal, replicas: Iterable[ReplicaFact], stay: frozenset[Named]
) -> tuple[_Endpoints, _Endpoints]:
    """Of main arms with the standbys behind them, and of control arms, by revision."""
    main: _Endpoints = {one.revision: [] for one in goal.replicas if one.arm is Arm.MAIN}
    control: _Endpoints = {one.revision: [] for one in goal.replicas if one.arm is Arm.CONTROL}
    for replica in replicas:
        ending = replica.state is ReplicaState.STOPPING
        if replica.address is None or not (ending or replica.state in SERVING):
            continue
        draining = ending or (replica.id.revision, replica.id.index) not in stay
        arm = arm_of(replica.id.index)
        endpoint = Endpoint(
            address=replica.address, draining=draining, standby=arm is Arm.STANDBY, zone=replica.zone
        )
        points = control if arm is Arm.CONTROL else main
        points.setdefault(replica.id.revision, []).append(endpoint)
    return main, control


def _ordered(endpoints: _Endpoints) -> tuple[tuple[RevisionId, tuple[Endpoint, ...]], ...]:
    return tuple((key, tuple(sorted(endpoints[key]))) for key in sorted(endpoints))


def _stops(memory: Memory, goal: Goal, facts: Facts, served: RouteFacts) -> Iterator[Action]:
    """What is not wanted any more, as soon as those that stay can do without it. Old news take nothing away."""
    assert isinstance(facts.replicas, Known)
    if not (fresh(facts.replicas, facts.at) and fresh(facts.routes, facts.at)):
        return
    stay = _stay(memory, goal, facts)
    for replica in facts.replicas.value:
        if (replica.id.revision, replica.id.index) in stay or replica.state is ReplicaState.STOPPING:
            continue
        if _unreached(replica, memory, goal, facts, served):
            yield StopReplica(replica=replica.id, grace_s=goal.drain_s)


def _unreached(replica: ReplicaFact, memory: Memory, goal: Goal, facts: Facts, served: RouteFacts) -> bool:
    """Whether stopping costs no request: never routed to, drained, ended, or past the drain deadline."""
    address = replica.address
    if address is None or replica.state in {ReplicaState.EXITED, ReplicaState.STARTING}:
        return True
    assert isinstance(facts.routes, Known)
    if not not_before(memory.goal_at, facts.routes.taken_at, facts.at):
        return False
    if address in served.drained:
        return True
    since = served.unrouted.get(address)
    if since is not None and facts.at >= since + goal.drain_s:
        return True
    known = [w for w in (served.confirmed, served.pending, served.unseen) if w is not None]
    named = (e.address for w in known for _, points in (*w.endpoints, *w.controls) for e in points)
    # While the last route goes, an earlier wish with an address that nothing names here may be what is in force.
    leaves = goal.route is None and served.confirmed is not None
    return since is None and not leaves and address not in named


def _proof(goal: Goal, facts: Facts, served: RouteFacts) -> Iterator[Action]:
    if goal.prove is None and facts.proof is not None:
        yield ForgetProof()
    if goal.prove is None or served.confirmed is None or served.confirmed.preview != goal.prove:
        return
    if not dict(served.confirmed.endpoints).get(goal.prove):
        return
    proof = facts.proof
    if proof is None or (proof.revision, proof.golden) != (goal.prove, goal.golden):
        yield Prove(revision=goal.prove, golden=goal.golden)


def _drill(memory: Memory, goal: Goal, facts: Facts) -> Iterator[Action]:
    """A failure is made under a lease that is recorded, and taken back once there is none or its time is over."""
    drill, probe, fault = memory.drill, facts.drill.probe, facts.drill.fault
    leased = {lease.drill for lease in goal.leases if facts.at < lease.until}
    if fault is not None and fault.undone_at is None and fault.drill not in leased:
        yield Undo(drill=fault.drill)
    elif drill is None and (probe is not None or fault is not None):
        yield ForgetDrill()
    if drill is not None and (probe is None or probe.drill != drill.number):
        yield Probe(drill=drill)
    for lease in goal.leases:
        if lease.drill in leased and (fault is None or fault.drill != lease.drill):
            yield Strike(lease=lease)


def _stay(memory: Memory, goal: Goal, facts: Facts) -> frozenset[Named]:
    """Replicas that get requests and are not stopped: those that the goal wants, and who can not be spared yet.

    By old news whoever gets requests goes on getting them. Who drains already may have been stopped since.
    """
    kept = _kept(memory, goal, facts)
    stay = kept | not_spared(memory, facts, kept)
    if fresh(facts.replicas, facts.at) or not isinstance(facts.replicas, Known):
        return stay
    drains = _draining(facts)
    ready = (one for one in facts.replicas.value if one.state is ReplicaState.READY)
    return stay | {(one.id.revision, one.id.index) for one in ready if one.address not in drains}


def _draining(facts: Facts) -> frozenset[Address]:
    """Where the router was told to let requests end, by the last that is known of it."""
    served = facts.routes.value if isinstance(facts.routes, Known) else RouteFacts()
    told = (wanted for wanted in (served.confirmed, served.pending) if wanted is not None)
    points = (
        point for wanted in told for _, those in (*wanted.endpoints, *wanted.controls) for point in those
    )
    return frozenset(point.address for point in points if point.draining)


def _kept(memory: Memory, goal: Goal, facts: Facts) -> frozenset[Named]:
    """The replicas that are to go on where they are."""
    wanted = frozenset((one.revision, index) for one in goal.replicas for index in one.indices)
    return wanted - {(replica.revision, replica.index) for replica in _moved(memory, goal, facts)}


def _moved(memory: Memory, goal: Goal, facts: Facts) -> Iterator[ReplicaId]:
    """Replicas that leave a zone in which they do not belong any more, to be started again in theirs.

    One of a revision at a time, and only while all are known to be ready and one may be missing. Nothing moves during a
    release: what is compared should not change, and green is in its own zones from the start.
    """
    if memory.release is not None or not fresh(facts.replicas, facts.at):
        return
    for revision in dict.fromkeys(one.revision for one in goal.replicas):
        sets = [one for one in goal.replicas if one.revision == revision]
        if all(_all_ready(one, facts) for one in sets):
            yield from list(_astray(sets, goal, facts))[:1]


def _all_ready(one: ReplicaSet, facts: Facts) -> bool:
    """Whether each replica that the goal wants is ready: one that is not wanted any more stands in for none."""
    ready = {it.id.index for it in facts.of(one.revision, one.arm) if it.state is ReplicaState.READY}
    return ready.issuperset(one.indices)


def _astray(sets: Iterable[ReplicaSet], goal: Goal, facts: Facts) -> Iterator[ReplicaId]:
    """Replicas in another zone than theirs that the others can do without. A standby carries nothing."""
    for one in sets:
        if one.arm is Arm.STANDBY or one.redundancy.spare(one.wanted):
            for replica in facts.of(one.revision, one.arm):
                if replica.id.index in one.indices and replica.zone != goal.zone_of(replica.id):
                    yield replica.id
