"""Laws about what the loop does to the world, seen from the world's side."""

from dataclasses import dataclass, field

from celadon.domain.action import Action, DropRoutes, Fetch, Prove, SetRoutes, StartReplica, StopReplica
from celadon.domain.facts import ReplicaState
from celadon.domain.goal import FIRST_INDEX, Arm, Goal, Stamp, Wanted, arm_of
from celadon.domain.launch import Launch
from celadon.domain.names import ReplicaId
from celadon.sim.laws.book import Book
from celadon.sim.laws.names import Law
from celadon.sim.proxies import reached
from celadon.sim.replicas import Replica


@dataclass(slots=True)
class Effects:
    """Checks every effect as it is begun, and what comes of it. moved: who was stopped to be started in another zone."""

    book: Book
    newest: Stamp | None = None
    moved: set[ReplicaId] = field(default_factory=set)

    def began(self, action: Action) -> None:
        """The loop is about to begin this. What a recorded goal asks for is what the disk says."""
        goal = self.book.durable.goal if self.book.durable is not None else None
        asked = goal is not None and (_asked_for(action, goal) or self._elsewhere(action, goal))
        self.book.holds(Law.RECORDED_FIRST, asked, f"{type(action).__name__} that no recorded goal asks for")

    def _elsewhere(self, action: Action, goal: Goal) -> bool:
        """Whether a replica is stopped since it belongs to another zone by now, or was, and by old news is there still."""
        if not isinstance(action, StopReplica):
            return False
        one = self.book.site.machine.there.get(action.replica)
        if one is None:
            return action.replica in self.moved
        if one.zone == goal.zone_of(one.id):
            return False
        self.moved.add(one.id)
        return True

    def took(self, wanted: Wanted) -> None:
        """The proxies took a wish."""
        if self.newest is not None:
            newer = wanted.stamp >= self.newest
            self.book.holds(Law.OLDER_REFUSED, newer, f"{wanted.stamp} was taken after {self.newest}")
        self.newest = wanted.stamp

    def starting(self, launch: Launch, old: Replica | None) -> None:
        """A machine is told to start a replica."""
        idle = old is None or old.state is ReplicaState.EXITED
        self.book.holds(
            Law.STARTED_ONCE, idle, f"{launch.replica} was started and is {old.state if old else ''}"
        )

    def stopping(self, one: Replica) -> None:
        """A machine is told to stop a replica."""
        if not one.serves:
            return
        durable, site = self.book.durable, self.book.site
        living = site.proxies.living()
        if any(one.address in reached(proxy.in_force) for proxy in living):
            others = any(
                other is not one and other.serves and other.address in reached(proxy.in_force)
                for other in site.machine.there.values()
                for proxy in living
            )
            self.book.holds(
                Law.SOMEBODY_SERVES, others, f"{one.id} is the last one that serves, and is stopped"
            )
            self.book.breach(Law.NO_REQUEST_LOST, f"{one.id} is stopped and gets requests")
        if durable is not None and durable.goal is not None and one.id.revision in durable.goal.routed:
            self._spared(one, durable.goal)
        if durable is not None and durable.goal is not None and one.id.revision == durable.live:
            kept = _kept(durable.goal, one.id) and one.zone == durable.goal.zone_of(one.id)
            self.book.holds(
                Law.PROMOTION_CHANGES_ROLES, not kept, f"{one.id} is live and wanted, and is stopped"
            )

    def _spared(self, one: Replica, goal: Goal) -> None:
        """What is left of a revision that serves is enough by its own redundancy.

        Where a replica only moves, the first set has to be enough by itself. Where one is not wanted any more, a ready
        standby may make up for another that is away.
        """
        if arm_of(one.id.index) is Arm.CONTROL:
            return
        moves, there = _kept(goal, one.id), self.book.site.machine.there.values()
        for group in goal.replicas:
            if group.revision != one.id.revision or group.arm is not Arm.MAIN:
                continue
            arms = {Arm.MAIN} if moves else {Arm.MAIN, Arm.STANDBY}
            ready = sum(
                other is not one
                and other.state is ReplicaState.READY
                and other.id.revision == group.revision
                and arm_of(other.id.index) in arms
                for other in there
            )
            least = group.wanted - group.redundancy.spare(group.wanted)
            self.book.holds(
                Law.SPARE_ALONE,
                ready >= least,
                f"{one.id} is stopped, and {ready} of {least} others are ready",
            )

    def dying(self, one: Replica) -> None:
        """A replica that we stopped ends now."""
        at, durable = self.book.site.kernel.at, self.book.durable
        if one.hung or one.busy_until <= at or durable is None or durable.goal is None:
            return
        waited_s = at - one.unreached_since
        self.book.holds(
            Law.NO_REQUEST_LOST,
            waited_s >= durable.goal.drain_s - 0.1,
            f"{one.id} was ended with a request in flight {waited_s:.1f} s after its last one came",
        )


def _asked_for(action: Action, goal: Goal) -> bool:
    match action:
        case Fetch(tree=tree):
            return tree in goal.fetch
        case StartReplica(replica=replica):
            return _kept(goal, replica)
        case StopReplica(replica=replica):
            return not _kept(goal, replica)
        case SetRoutes(wanted=wanted):
            return (wanted.stamp, wanted.routes) == (goal.stamp, goal.routes)
        case DropRoutes():
            return goal.route is None
        case Prove(revision=revision):
            return goal.prove == revision
        case _:
            return goal.prove is None


def _kept(goal: Goal, replica: ReplicaId) -> bool:
    return any(
        one.revision == replica.revision and 0 <= replica.index - FIRST_INDEX[one.arm] < one.wanted
        for one in goal.replicas
    )
