"""What the loop needs from the effect rooms. Adapters fit these shapes; only `wire` knows which adapter it is.

`observe` and `samples` return at once what the adapter saw last, with the instant it was taken: adapters look
at the world on their own schedule and call the `wake` they were built with when something changed. Everything
else begins an effect and waits for nothing; what came of it is seen later as a fact. Beginning an effect that
is under way or done changes nothing.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from celadon.domain.command import Asked, Command
from celadon.domain.drill import Drill, DrillFacts, Lease
from celadon.domain.facts import Known, ProofFact, ReplicaFact, RouteFacts, SourceFact, Unknown
from celadon.domain.feedback import Feedback, Heard, Interest, Received
from celadon.domain.goal import Wanted
from celadon.domain.launch import Asks, Launch
from celadon.domain.memory import Memory
from celadon.domain.names import Address, Digest, ReplicaId, RevisionId, ServiceKey
from celadon.domain.reason import Reason
from celadon.domain.record import Record
from celadon.domain.release import Taken
from celadon.domain.samples import Cursor, Samples
from celadon.domain.spec import SecretEnv, SecretFile


class Platform(Protocol):
    """Runs replicas and reports them."""

    def observe(self, service: ServiceKey) -> Known[tuple[ReplicaFact, ...]] | Unknown: ...
    def start(self, launch: Launch) -> None: ...
    def stop(self, replica: ReplicaId, grace_s: float) -> None: ...
    def remove(self, service: ServiceKey) -> None: ...
    def secret_digest(self, source: SecretFile | SecretEnv) -> str: ...


class Router(Protocol):
    """Routes requests; reports what the data plane itself shows, and its counters."""

    def observe(self, service: ServiceKey) -> Known[RouteFacts] | Unknown: ...
    def samples(self, service: ServiceKey, since: Cursor) -> Known[Samples] | Unknown: ...
    def set(self, wanted: Wanted) -> None: ...
    def drop(self, service: ServiceKey) -> None: ...


class Sources(Protocol):
    """The model store: brings trees to working copies and verifies them."""

    def observe(self, trees: Sequence[Digest]) -> Mapping[Digest, SourceFact]: ...
    def fetch(self, tree: Digest) -> None: ...
    def blob(self, digest: Digest) -> Path: ...


class Prober(Protocol):
    """Sends golden requests to a revision. within_s: how soon an answer has to begin, as for callers; None for any time."""

    def observe(self, service: ServiceKey) -> ProofFact | None: ...
    def prove(
        self,
        service: ServiceKey,
        revision: RevisionId,
        golden: Digest | None,
        path: Path | None,
        preview: Address,
        *,
        within_s: float | None,
    ) -> None: ...
    def forget(self, service: ServiceKey) -> None: ...


class Labels(Protocol):
    """What comes to be known of answers later: labels and scores that the owner posts, predictions that were logged.

    What is of no interest to any release is not kept. `post` alone waits for the disk, so call it in a thread.
    """

    def samples(self, service: ServiceKey, since: Cursor, interest: Interest) -> Known[Samples] | Unknown: ...
    def heard(self, service: ServiceKey) -> Heard | None: ...
    def follow(self, service: ServiceKey, interests: tuple[Interest, ...]) -> None: ...
    def post(self, service: ServiceKey, feedback: Sequence[Feedback]) -> Received: ...


class Drills(Protocol):
    """Makes the failures of drills, each under its lease, takes them back, and measures what callers notice.

    A lease is undone at its end whatever becomes of the daemon, and what undoes it is recorded before it is made.
    observe: `drill` is the one that is remembered to be under way.
    """

    def observe(self, service: ServiceKey, drill: Drill | None) -> DrillFacts: ...
    def probe(self, service: ServiceKey, drill: Drill, asks: Asks) -> None: ...
    def strike(self, service: ServiceKey, lease: Lease) -> None: ...
    def undo(self, service: ServiceKey, drill: int) -> None: ...
    def forget(self, service: ServiceKey) -> None: ...


class Journal(Protocol):
    """Remembers. Appending is create-only on (service, seq) and durable when it returns.

    Inside `together` it is durable when that ends, all of it or, with a Fault, none; what is read sees it at once.
    """

    def together(self) -> AbstractContextManager[None]: ...
    def services(self) -> tuple[ServiceKey, ...]: ...
    def read(self, service: ServiceKey) -> Memory: ...
    def ask(self, service: ServiceKey, command: Command, at: float) -> Asked: ...
    def record(
        self, before: Memory, after: Memory, reason: Reason, at: float, steps: Sequence[Taken] = ()
    ) -> Memory: ...
    def lead(self, service: ServiceKey, epoch: int, at: float) -> Memory: ...
    def tidy(self, service: ServiceKey, at: float) -> None: ...
    def records(self, service: ServiceKey) -> Sequence[Record]: ...
