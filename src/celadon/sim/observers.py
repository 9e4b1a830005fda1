"""The model store, the prober and the labels of a simulated world."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from celadon.domain.facts import Known, ProofFact, ProofState, SourceFact, SourceState, Unknown
from celadon.domain.feedback import Feedback, Heard, Interest, Received
from celadon.domain.golden import Mismatch
from celadon.domain.names import Address, Digest, RevisionId, ServiceKey
from celadon.domain.samples import Cursor, Label, Pairs, Samples
from celadon.sim.kernel import Clock, Kernel
from celadon.sim.proxies import Proxies
from celadon.sim.replicas import Character, Machine


@dataclass(slots=True)
class Shelf:
    """Working copies on the disk of a machine; they outlive the daemon. broken: why trees can not be read now."""

    verified: dict[Digest, float] = field(default_factory=dict)
    broken: str = ""


class SimSources:
    """Fits the port of the model store."""

    def __init__(self, kernel: Kernel, clock: Clock, shelf: Shelf, point: Callable[[], None]) -> None:
        self._kernel, self._clock, self._shelf, self._point = kernel, clock, shelf, point
        self._fetching: dict[Digest, bool] = {}
        self._failed: dict[Digest, str] = {}

    def observe(self, trees: Sequence[Digest]) -> Mapping[Digest, SourceFact]:
        """What is known of these trees."""
        found: dict[Digest, SourceFact] = {}
        for tree in trees:
            if self._fetching.get(tree):
                found[tree] = SourceFact(state=SourceState.FETCHING)
            elif tree in self._failed:
                why = self._failed[tree]
                found[tree] = SourceFact(state=SourceState.FAILED, why=why, lasting=False)
            elif tree in self._shelf.verified:
                at = self._shelf.verified[tree]
                found[tree] = SourceFact(state=SourceState.VERIFIED, path="/tree", at=at)
        return found

    def fetch(self, tree: Digest) -> None:
        """Begin to bring and verify a tree."""
        self._point()
        if not self._fetching.get(tree):
            self._fetching[tree] = True
            self._kernel.after(self._kernel.random.uniform(0.1, 2.0), lambda: self._fetched(tree))
        self._point()

    def blob(self, digest: Digest) -> Path:
        """Where golden requests would be."""
        return Path("/blobs") / digest

    def _fetched(self, tree: Digest) -> None:
        self._fetching[tree] = False
        self._failed.pop(tree, None)
        if self._shelf.broken:
            self._failed[tree] = self._shelf.broken
        else:
            self._shelf.verified[tree] = self._clock.wall()


class SimProber:
    """Fits the port of the prober. What was proved is forgotten with the daemon."""

    def __init__(
        self,
        kernel: Kernel,
        machine: Machine,
        proxies: Proxies,
        characters: Mapping[RevisionId, Character],
        point: Callable[[], None],
    ) -> None:
        self._kernel, self._machine, self._proxies = kernel, machine, proxies
        self._characters, self._point = characters, point
        self._proof: ProofFact | None = None

    def observe(self, service: ServiceKey) -> ProofFact | None:  # noqa: ARG002 -- there is one service
        """How proving stands."""
        return self._proof

    def prove(
        self,
        service: ServiceKey,  # noqa: ARG002 -- there is one service
        revision: RevisionId,
        golden: Digest | None,
        path: Path | None,  # noqa: ARG002 -- what they ask is not looked at
        preview: Address,  # noqa: ARG002 -- the proxies are asked what they preview
        *,
        within_s: float | None,  # noqa: ARG002 -- answers come at once
    ) -> None:
        """Begin to send golden requests. A proof that is under way or has ended stays as it is."""
        self._point()
        there = self._proof
        if there is not None and (there.revision, there.golden) == (revision, golden):
            return
        running = ProofFact(revision=revision, golden=golden, state=ProofState.RUNNING)
        self._proof = running
        self._kernel.after(self._kernel.random.uniform(0.1, 2.0), lambda: self._proved(running))
        self._point()

    def forget(self, service: ServiceKey) -> None:  # noqa: ARG002 -- there is one service
        """What was answered before does not count."""
        self._point()
        self._proof = None
        self._point()

    def _proved(self, running: ProofFact) -> None:
        if self._proof is not running:
            return
        shown = [proxy.in_force for proxy in self._proxies.living()]
        there = any(one is not None and one.preview == running.revision for one in shown)
        character = self._characters[running.revision]
        state, fault, asked = ProofState.PASSED, "", character.asked
        wrong: tuple[Mismatch, ...] = ()
        if running.golden is None:
            asked = 0  # Readiness is all there is.
        elif not there or not self._machine.ready(running.revision):
            state, fault = ProofState.FAILED, "the preview address does not answer"
        elif not character.golden:
            state = ProofState.FAILED
            wrong = (Mismatch(name="first", found="status 500, expected 200"),)
        self._proof = ProofFact(
            revision=running.revision,
            golden=running.golden,
            state=state,
            asked=asked,
            mismatches=wrong,
            fault=fault,
        )


@dataclass(slots=True)
class Labels:
    """What came to be known of answers, in its order; it outlives the daemon. A position is a number of these."""

    arrived: list[Label | Pairs] = field(default_factory=list)


class SimLabels:
    """Fits the port of the labels."""

    def __init__(self, clock: Clock, labels: Labels) -> None:
        self._clock, self._labels = clock, labels
        self._followed: tuple[Interest, ...] = ()

    def samples(
        self,
        service: ServiceKey,  # noqa: ARG002 -- there is one service
        since: Cursor,
        interest: Interest,
    ) -> Known[Samples] | Unknown:
        """What came after a position."""
        assert interest in self._followed, "labels for a release that nobody said is of interest"
        fresh = self._labels.arrived[self._from(since, interest) :]
        told = Samples(
            cursor_from=since,
            cursor_to=(("labels", str(len(self._labels.arrived))),),
            counts=(),
            labels=tuple(one for one in fresh if isinstance(one, Label)),
            pairs=tuple(one for one in fresh if isinstance(one, Pairs)),
        )
        return Known(value=told, taken_at=self._clock.wall())

    def _from(self, since: Cursor, interest: Interest) -> int:
        """A position; the first one is where answers to the release of interest begin."""
        if since:
            return int(since[0][1])
        arrived = self._labels.arrived
        place = len(arrived)
        while place and arrived[place - 1].at_s >= int(interest.began_at):
            place -= 1
        return place

    def heard(self, service: ServiceKey) -> Heard | None:  # noqa: ARG002 -- there is one service
        """What became of feedback."""
        return None

    def follow(
        self,
        service: ServiceKey,  # noqa: ARG002 -- there is one service
        interests: tuple[Interest, ...],
    ) -> None:
        """For whom labels are kept."""
        self._followed = interests

    def post(self, service: ServiceKey, feedback: Sequence[Feedback]) -> Received:
        """Doors do this, and there are none in this world."""
        raise AssertionError(f"no door of {service} is open to {feedback}")
