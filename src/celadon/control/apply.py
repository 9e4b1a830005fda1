"""Begins effects and waits for none; what comes of them is seen later, as facts."""

from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from celadon.control.needs import EVERYTHING, Need
from celadon.control.ports import Drills, Labels, Platform, Prober, Router, Sources
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
from celadon.domain.drill import NO_DRILL, Drill, DrillFacts, Lease
from celadon.domain.facts import Facts
from celadon.domain.launch import Asks, Launch
from celadon.domain.memory import Memory
from celadon.domain.names import Address, Digest, ServiceKey
from celadon.domain.revision import ModelRuntime


class NoDrills:
    """Where nothing can be rehearsed."""

    def observe(self, service: ServiceKey, drill: Drill | None) -> DrillFacts:  # noqa: ARG002 -- the port asks with it
        """Nothing is seen."""
        return NO_DRILL

    def probe(self, service: ServiceKey, drill: Drill, asks: Asks) -> None:
        """Nobody measures, so the drill ends inconclusive."""

    def strike(self, service: ServiceKey, lease: Lease) -> None:
        """Nothing is done."""

    def undo(self, service: ServiceKey, drill: int) -> None:
        """Nothing was done."""

    def forget(self, service: ServiceKey) -> None:
        """Nothing was kept."""


NO_DRILLS = NoDrills()


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """The rooms that change the world. can: what the router in use is able to do."""

    platform: Platform
    router: Router
    sources: Sources
    prober: Prober
    labels: Labels
    drills: Drills = NO_DRILLS
    can: frozenset[Need] = EVERYTHING

    def begin(self, service: ServiceKey, action: Action, memory: Memory, facts: Facts) -> None:
        """Begin one action. Everything it needs is in the recorded memory and the facts it was derived from."""
        match action:
            case Fetch(tree=tree):
                self.sources.fetch(tree)
            case StartReplica():
                self.platform.start(self._launch(action, memory, facts))
            case StopReplica(replica=replica, grace_s=grace_s):
                self.platform.stop(replica, grace_s)
            case SetRoutes(wanted=wanted):
                self.router.set(wanted)
            case DropRoutes():
                self.router.drop(service)
            case Prove(revision=revision, golden=golden):
                assert memory.goal is not None
                assert memory.goal.route is not None
                route = memory.goal.route
                preview = Address(host="127.0.0.1", port=route.preview_port)
                path = self.sources.blob(golden) if golden else None
                self.prober.prove(service, revision, golden, path, preview, within_s=route.patience_s)
            case ForgetProof():
                self.prober.forget(service)
            case Probe() | Strike() | Undo() | ForgetDrill():
                self._rehearse(service, action, memory)
            case _ as unreachable:
                assert_never(unreachable)

    def _rehearse(
        self, service: ServiceKey, action: Probe | Strike | Undo | ForgetDrill, memory: Memory
    ) -> None:
        match action:
            case Probe(drill=drill):
                self.drills.probe(service, drill, self._asks(memory))
            case Strike(lease=lease):
                self.drills.strike(service, lease)
            case Undo(drill=number):
                self.drills.undo(service, number)
            case ForgetDrill():
                self.drills.forget(service)
            case _ as unreachable:
                assert_never(unreachable)

    def _asks(self, memory: Memory) -> Asks:
        """What a drill's probe asks for: the golden requests, else whether the service is ready."""
        goal = memory.goal
        assert goal is not None
        assert goal.route is not None
        assert memory.live is not None
        golden = memory.goldens.get(memory.live)
        path = self.sources.blob(Digest(golden)) if golden else None
        return Asks(route=goal.route, golden=path, ready=memory.revisions[memory.live].ready)

    def _launch(self, action: StartReplica, memory: Memory, facts: Facts) -> Launch:
        revision = memory.revisions[action.replica.revision]
        assert memory.goal is not None
        golden = memory.goal.golden
        warms_up = golden is not None and isinstance(revision.runtime, ModelRuntime)
        paths = [facts.sources[tree].path for tree in revision.trees]
        return Launch(
            replica=action.replica,
            revision=revision,
            tree=Path(paths[0]) if paths and paths[0] else None,
            warmup=self.sources.blob(golden) if warms_up and golden else None,
            drain_s=memory.goal.drain_s,
            zone=memory.goal.zone_of(action.replica),
        )
