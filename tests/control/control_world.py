"""A small world in memory behind the ports of the loop: no clock but its own, and it obeys only what was begun.

It checks the laws that need both sides: what was routed when a replica was stopped, and what was journalled when
an effect began. The journal is the real one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from celadon.control.apply import Effects
from celadon.control.tick import Draft, tick
from celadon.control.view import View
from celadon.domain.draw import EVERY
from celadon.domain.durations import bucket
from celadon.domain.facts import (
    Exit,
    Known,
    Now,
    ProofFact,
    ProofState,
    Refused,
    ReplicaFact,
    ReplicaState,
    RouteFacts,
    SourceFact,
    SourceState,
    Unknown,
)
from celadon.domain.feedback import Feedback, Heard, Interest, Received
from celadon.domain.goal import Arm, Route, Wanted
from celadon.domain.golden import Mismatch
from celadon.domain.launch import Launch
from celadon.domain.memory import Memory
from celadon.domain.names import CONTROL_FROM, Address, Digest, ReplicaId, RevisionId, ServiceKey
from celadon.domain.plan import FULL
from celadon.domain.reason import text
from celadon.domain.samples import Answers, Counts, Cursor, Label, Pairs, Samples
from celadon.domain.spec import SecretEnv, SecretFile
from celadon.resilience.headroom import settings_of
from celadon.store.journal import SqliteJournal


@dataclass
class Character:
    """How replicas of a revision behave. wrong_share: of its answers that are labelled, as far as labels come."""

    error_share: float = 0.0
    latency_ms: float = 5.0
    golden: bool = True
    starts: bool = True
    wrong_share: float = 0.0


@dataclass
class World:
    """Platform, router, sources and prober of one service, and its clock."""

    folder: Path
    service: ServiceKey
    characters: dict[RevisionId, Character] = field(default_factory=dict)
    at: float = 1_000.0
    rate: float = 100.0
    there: dict[ReplicaId, ReplicaFact] = field(default_factory=dict)
    confirmed: Wanted | None = None
    pending: Wanted | None = None
    unseen: Wanted | None = None
    answered: dict[RevisionId, list[int]] = field(default_factory=dict)
    fetched: dict[Digest, float] = field(default_factory=dict)
    proof: ProofFact | None = None
    samples_known: bool = True
    router_stuck: bool = False
    hidden: bool = False
    routes_age_s: float = 0.0
    replicas_unknown: bool = False
    taken_ports: set[int] = field(default_factory=set)
    refused: Refused | None = None
    busy: set[RevisionId] = field(default_factory=set)
    unrouted: dict[Address, float] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    lost: int = 0
    ports: int = 20_000
    followed: tuple[Interest, ...] = ()
    arrived: list[Label | Pairs] = field(default_factory=list)
    matching: float = 0.5
    labelled: float = 0.0
    late: list[Label] | None = None
    log: list[Answers] = field(default_factory=list)
    owed: dict[tuple[object, ...], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.journal = SqliteJournal(self.folder / "journal.db")
        self.effects = Effects(
            platform=Replicas(self),
            router=Routes(self),
            sources=Trees(self),
            prober=Proofs(self),
            labels=Labels(self),
        )
        self.draft: Draft | None = None
        self.view: View | None = None

    @property
    def memory(self) -> Memory:
        return self.journal.read(self.service)

    def crash(self) -> None:
        """The daemon dies: everything that was not journalled is gone, replicas and routes stay."""
        self.journal.close()
        self.journal = SqliteJournal(self.folder / "journal.db")
        self.journal.lead(self.service, 0, self.at)
        self.draft, self.proof = None, None

    def step(self, seconds: float = 0.5, *, jumped_s: float = 0.0) -> View:
        """Time passes, the world answers, the loop ticks."""
        self.at += seconds + jumped_s
        self._serve(seconds)
        self.draft, self.view = tick(
            self.service,
            self.journal,
            self.effects,
            self.draft,
            Now(wall=self.at, elapsed_s=seconds, jumped_s=jumped_s),
        )
        self._follow()
        return self.view

    def until_ended(self, *, limit: int = 400) -> list[str]:
        """Tick until no release moves; the reasons on the way, each once."""
        told: list[str] = []
        for _ in range(limit):
            view = self.step()
            line = f"{view.memory.release.phase if view.memory.release else 'rest'}: {text(view.because)}"
            if line not in told:
                told.append(line)
            if view.memory.release is None and not view.memory.commands:
                return told
        raise AssertionError(f"the release did not end: {told[-3:]}")

    def split(self) -> dict[RevisionId, int]:
        """Who gets which share of the requests, as the router serves it."""
        if self.confirmed is None:
            return {}
        shares: dict[RevisionId, int] = {}
        for part in self.confirmed.routes[0].split if self.confirmed.routes else ():
            shares[part.revision] = shares.get(part.revision, 0) + part.share
        return {revision: share for revision, share in shares.items() if share}

    def arms(self) -> set[tuple[RevisionId, Arm]]:
        """Every arm that the router gives requests to."""
        routes = self.confirmed.routes if self.confirmed else ()
        return {(p.revision, p.arm) for route in routes for p in route.split if p.share}

    def _serve(self, seconds: float) -> None:
        """Requests of the first route that matches them; `matching` is the part of them that another one is before."""
        left = self.rate * seconds
        for route in self.confirmed.routes if self.confirmed else ():
            here = left if route.match == EVERY else left * self.matching
            left -= here
            for part in route.split:
                self._answer(route, part.revision, part.arm, here * part.share / FULL)
            for mirror in route.mirrors if route.draw is not None else ():
                found = self._counted(mirror.revision, "copies", here * mirror.share / FULL)
                self._log(route, mirror.revision, Arm.MAIN, found, mirrored=True)

    def _answer(self, route: Route, revision: RevisionId, arm: Arm, requests: float) -> None:
        count, errors = found = self._counted(revision, arm, requests)
        self.lost += 0 if self._can_answer(revision, arm) else count
        total = self.answered.setdefault(revision, [0, 0])
        total[0] += count
        total[1] += errors
        self._label(revision, _green(route), count)
        if route.draw is not None:
            self._log(route, revision, arm, found, mirrored=False)

    def _counted(self, revision: RevisionId, what: str, requests: float) -> tuple[int, int]:
        """Whole answers, and errors among them."""
        count = self._whole((revision, what), requests)
        errors = self._whole((revision, what, "errors"), count * self.characters[revision].error_share)
        return count, min(count, errors)

    def _log(
        self, route: Route, revision: RevisionId, arm: Arm, found: tuple[int, int], *, mirrored: bool
    ) -> None:
        assert route.draw is not None
        count, errors = found
        took = bucket(1000 * self.characters[revision].latency_ms)
        if count:
            self.log.append(
                Answers(
                    at_s=int(self.at),
                    revision=revision,
                    arm=arm,
                    share=_green(route),
                    mirrored=mirrored,
                    requests=count,
                    errors=errors,
                    failed=errors,
                    durations=((took, count - errors),) if count > errors else (),
                    mirror=sum(one.share for one in route.mirrors if one.revision == route.draw.green),
                )
            )

    def _label(self, revision: RevisionId, share: int, count: int) -> None:
        labelled = self._whole(("labels", revision), count * self.labelled)
        wrong = self._whole(("wrong", revision), labelled * self.characters[revision].wrong_share)
        found = [
            Label(at_s=int(self.at), revision=revision, share=share, wrong=place < wrong)
            for place in range(labelled)
        ]
        if self.late is None:
            self.arrived += found
        else:
            self.late += found

    def label_what_was_answered(self) -> None:
        """Labels that were kept back come now."""
        assert self.late is not None
        self.arrived += [replace(label, at_s=int(self.at)) for label in self.late]
        self.late = None

    def _whole(self, what: tuple[object, ...], number: float) -> int:
        """A whole number now; what is left of it comes later, so that nothing is ever lost to rounding."""
        owed = self.owed.get(what, 0.0) + number
        self.owed[what] = owed - int(owed + 1e-9)
        return int(owed + 1e-9)

    def _can_answer(self, revision: RevisionId, arm: Arm) -> bool:
        return any(
            one.state is ReplicaState.READY
            and one.id.revision == revision
            and (one.id.index >= CONTROL_FROM) == (arm is Arm.CONTROL)
            for one in self.there.values()
        )

    def _follow(self) -> None:
        """What was begun comes to pass before the next tick."""
        if self.pending is not None and self.pending.route.port in self.taken_ports:
            self.refused = Refused(wanted=self.pending, why="another process listens there", at=self.at)
            self.pending = None
        elif self.pending is not None and not self.router_stuck:
            self.confirmed, self.pending = self.pending, None
        for key, one in list(self.there.items()):
            if one.state is ReplicaState.STOPPING:
                del self.there[key]
            elif one.state is ReplicaState.STARTING:
                self.there[key] = self._started(one)

    def _started(self, one: ReplicaFact) -> ReplicaFact:
        if self.characters[one.id.revision].starts:
            return replace(one, state=ReplicaState.READY, since=self.at)
        ended = Exit(code=1, at=self.at, stderr=("no such model",))
        return replace(one, state=ReplicaState.EXITED, exits=one.exits + 1, last_exit=ended, address=None)


def _green(route: Route) -> int:
    """Green's share in force, out of 10,000."""
    green = route.draw.green if route.draw is not None else None
    return sum(part.share for part in route.split if part.revision == green)


class Replicas:
    def __init__(self, world: World) -> None:
        self.world = world

    def observe(self, service: ServiceKey) -> Known[tuple[ReplicaFact, ...]] | Unknown:
        if self.world.replicas_unknown:
            return Unknown(why="the launchers can not be asked")
        return Known(value=tuple(self.world.there.values()), taken_at=self.world.at)

    def start(self, launch: Launch) -> None:
        world = self.world
        goal = world.memory.goal
        assert goal is not None
        assert any(one.revision == launch.revision.id for one in goal.replicas), (
            "an effect without a recorded goal"
        )
        world.begun.append(f"start {launch.replica.revision[:1]}/{launch.replica.index}")
        old = world.there.get(launch.replica)
        assert old is None or old.state is ReplicaState.EXITED, "a replica was started twice"
        world.ports += 1
        world.there[launch.replica] = ReplicaFact(
            id=launch.replica,
            state=ReplicaState.STARTING,
            since=world.at,
            address=Address(host="127.0.0.1", port=world.ports),
            exits=old.exits if old else 0,
            last_exit=old.last_exit if old else None,
        )

    def stop(self, replica: ReplicaId, grace_s: float) -> None:
        world = self.world
        one = world.there[replica]
        routed = world.split()
        asked = (
            {p.revision for route in world.pending.routes for p in route.split if p.share}
            if world.pending
            else set()
        )
        control = replica.index >= CONTROL_FROM
        if one.state is ReplicaState.READY and replica.revision in set(routed) | asked and not control:
            others = [
                r
                for r in world.there.values()
                if r.id.revision == replica.revision and r.id != replica and r.state is ReplicaState.READY
            ]
            settings = settings_of(world.memory, replica.revision)
            assert settings is not None
            assert len(others) >= settings.needed, "those that stay can not carry everything"
        world.begun.append(f"stop {replica.revision[:1]}/{replica.index}")
        world.there[replica] = replace(one, state=ReplicaState.STOPPING)

    def remove(self, service: ServiceKey) -> None:
        raise AssertionError("the engine does this, and no engine runs in this world")

    def secret_digest(self, source: SecretFile | SecretEnv) -> str:
        raise AssertionError("no secrets in this world")


class Routes:
    def __init__(self, world: World) -> None:
        self.world = world

    def observe(self, service: ServiceKey) -> Known[RouteFacts] | Unknown:
        world = self.world
        routed = set(world.split())
        idle = {one.address: one for one in world.there.values() if one.address}
        arms = world.arms()
        points = world.confirmed.endpoints if world.confirmed else ()
        draining = {point.address for _, of in points for point in of if point.draining}
        idle = {
            address: one
            for address, one in idle.items()
            if one.id.revision not in routed
            or address in draining
            or (one.id.index >= CONTROL_FROM and (one.id.revision, Arm.CONTROL) not in arms)
        }
        world.unrouted = {address: world.unrouted.get(address, world.at) for address in idle}
        facts = RouteFacts(
            confirmed=None if world.hidden else world.confirmed,
            pending=world.pending,
            unseen=world.unseen,
            refused=world.refused,
            drained=frozenset(a for a, one in idle.items() if one.id.revision not in world.busy),
            unrouted=world.unrouted,
        )
        return Known(value=facts, taken_at=world.at - world.routes_age_s)

    def samples(self, service: ServiceKey, since: Cursor) -> Known[Samples] | Unknown:
        world = self.world
        if not world.samples_known:
            return Unknown(why="the proxy's counters can not be read")
        before = dict(since)
        counts = []
        for revision, (requests, errors) in world.answered.items():
            was = [int(n) for n in before.get(revision, "0,0").split(",")]
            done, failed = requests - was[0], errors - was[1]
            slow = world.characters[revision].latency_ms
            latency = tuple((bound, done - failed if slow <= bound else 0) for bound in (10.0, 100.0, 1e4))
            counts.append(Counts(revision=revision, requests=done, errors=failed, latency=latency))
        to = tuple((revision, f"{n[0]},{n[1]}") for revision, n in sorted(world.answered.items()))
        samples = Samples(
            cursor_from=since,
            cursor_to=(*to, ("log", str(len(world.log)))),
            counts=tuple(counts),
            answers=tuple(world.log[int(before.get("log", len(world.log))) :]),
        )
        return Known(value=samples, taken_at=world.at)

    def set(self, wanted: Wanted) -> None:
        world = self.world
        live = {key for key, there in wanted.endpoints if there}
        for route in wanted.routes:
            for part in route.split:
                goal = world.memory.goal
                assert goal is not None
                assert part.revision in goal.routed or not part.share, (
                    "a route that no recorded goal asks for"
                )
                assert part.revision in live or part.revision == world.memory.live, (
                    "traffic to what is not there"
                )
        world.begun.append("routes " + ",".join(f"{k[:1]}={v}" for k, v in sorted(_shares(wanted).items())))
        world.pending, world.refused = wanted, None

    def drop(self, service: ServiceKey) -> None:
        self.world.begun.append("drop")
        self.world.confirmed = self.world.pending = None


def _shares(wanted: Wanted) -> dict[RevisionId, int]:
    return {part.revision: part.share for route in wanted.routes for part in route.split}


class Trees:
    def __init__(self, world: World) -> None:
        self.world = world

    def observe(self, trees: Sequence[Digest]) -> Mapping[Digest, SourceFact]:
        done = {tree: self.world.fetched[tree] for tree in trees if tree in self.world.fetched}
        return {k: SourceFact(state=SourceState.VERIFIED, path="/tree", at=at) for k, at in done.items()}

    def fetch(self, tree: Digest) -> None:
        self.world.fetched[tree] = self.world.at
        self.world.begun.append(f"fetch {tree[7]}")

    def blob(self, digest: Digest) -> Path:
        return Path("/blobs") / digest


class Proofs:
    def __init__(self, world: World) -> None:
        self.world = world

    def observe(self, service: ServiceKey) -> ProofFact | None:
        return self.world.proof

    def prove(
        self,
        service: ServiceKey,
        revision: RevisionId,
        golden: Digest | None,
        path: Path | None,
        preview: Address,
        *,
        within_s: float | None,
    ) -> None:
        right = self.world.characters[revision].golden
        wrong = () if right else (Mismatch(name="first", found="status 500, expected 200"),)
        state = ProofState.PASSED if right else ProofState.FAILED
        self.world.proof = ProofFact(revision=revision, golden=golden, state=state, asked=3, mismatches=wrong)

    def forget(self, service: ServiceKey) -> None:
        self.world.proof = None


class Labels:
    """`arrived` is what came to be known, in its order; a position is a number of these."""

    def __init__(self, world: World) -> None:
        self.world = world

    def samples(self, service: ServiceKey, since: Cursor, interest: Interest) -> Known[Samples] | Unknown:
        arrived = self.world.arrived
        assert interest in self.world.followed, "labels for a release that nobody said is of interest"
        fresh = arrived[int(dict(since).get("labels", "0")) :]
        told = Samples(
            cursor_from=since,
            cursor_to=(("labels", str(len(arrived))),),
            counts=(),
            labels=tuple(one for one in fresh if isinstance(one, Label)),
            pairs=tuple(one for one in fresh if isinstance(one, Pairs)),
        )
        return Known(value=told, taken_at=self.world.at)

    def heard(self, service: ServiceKey) -> Heard | None:
        return Heard(accepted=len(self.world.arrived)) if self.world.arrived else None

    def follow(self, service: ServiceKey, interests: tuple[Interest, ...]) -> None:
        self.world.followed = interests

    def post(self, service: ServiceKey, feedback: Sequence[Feedback]) -> Received:
        raise AssertionError("doors do this, and there are none in this world")
