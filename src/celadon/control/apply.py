"""Begins effects and waits for none; what comes of them is seen later, as facts."""

from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from celadon.control.needs import EVERYTHING, Need
from celadon.control.ports import Labels, Platform, Prober, Router, Sources
from celadon.domain.action import (
    Action,
    DropRoutes,
    Fetch,
    ForgetProof,
    Prove,
    SetRoutes,
    StartReplica,
    StopReplica,
)
from celadon.domain.facts import Facts
from celadon.domain.launch import Launch
from celadon.domain.memory import Memory
from celadon.domain.names import Address, ServiceKey
from celadon.domain.revision import ModelRuntime


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """The rooms that change the world. can: what the router in use is able to do."""

    platform: Platform
    router: Router
    sources: Sources
    prober: Prober
    labels: Labels
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
                preview = Address(host="127.0.0.1", port=memory.goal.route.preview_port)
                path = self.sources.blob(golden) if golden else None
                self.prober.prove(service, revision, golden, path, preview)
            case ForgetProof():
                self.prober.forget(service)
            case _ as unreachable:
                assert_never(unreachable)

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
