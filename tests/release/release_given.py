"""Values for tests of the release engine: settings, revisions, facts in every state."""

from dataclasses import replace

from celadon.domain.command import Asked, Deploy
from celadon.domain.facts import (
    Facts,
    Known,
    ProofFact,
    ProofState,
    ReplicaFact,
    ReplicaState,
    RouteFacts,
    SourceFact,
    SourceState,
    Unknown,
)
from celadon.domain.goal import Endpoint, Route, Stamp, Wanted
from celadon.domain.memory import Memory
from celadon.domain.names import Address, Digest, ReplicaId, RevisionId, ServiceKey
from celadon.domain.revision import ModelRuntime, Revision
from celadon.domain.samples import Samples
from celadon.domain.spec import (
    Exactly,
    OnDeadline,
    Redundancy,
    ReleasePolicy,
    Resources,
    Retry,
    RetryWhen,
    RouteSpec,
    Serves,
    Serving,
    Settings,
    Watch,
)

SERVICE = ServiceKey(name="fraud")
ROUTE = RouteSpec(port=8080, preview_port=18080, retry=Retry(when=RetryWhen.RESET))

ALONE = Redundancy()


def settings(
    *,
    gate: bool = False,
    replicas: int = 2,
    on_deadline: OnDeadline = OnDeadline.HOLD,
    golden: str | None = None,
    route: RouteSpec = ROUTE,
    hold_serves: Serves = Serves.GREEN,
    redundancy: Redundancy = ALONE,
    **policy_given: object,
) -> Settings:
    """policy_given: further fields of the release policy, such as its strategy."""
    watch = Watch(
        watch_s=10, requests_min=10, deadline_s=20, on_deadline=on_deadline, hold_serves=hold_serves
    )
    policy = ReleasePolicy(gate=gate, start_s=30, prove_s=20, watch=watch, hold_s=1000)
    policy = replace(policy, **policy_given)
    return Settings(
        replicas=Exactly(replicas=replicas),
        route=route,
        drain_s=5,
        release=policy,
        golden=golden,
        redundancy=redundancy,
    )


def revision(letter: str) -> Revision:
    return Revision(
        id=RevisionId(letter * 12),
        digest=letter * 64,
        runtime=ModelRuntime(model=tree(letter), serving=Serving()),
        env=(),
        secrets=(),
        ready="/healthz/ready",
        resources=Resources(),
    )


def tree(letter: str) -> Digest:
    return Digest("sha256:" + letter * 64)


BLUE, GREEN, THIRD = revision("b"), revision("a"), revision("c")


def live(on: Revision = BLUE, **given: object) -> Memory:
    """A service that is at rest with one live revision."""
    return Memory(
        service=SERVICE,
        seq=5,
        settings=settings(**given),
        revisions={on.id: on},
        live=on.id,
        proved={on.id: ""},
        releases_asked=1,
    )


def deploy(memory: Memory, what: Revision = GREEN, **given: object) -> Memory:
    """The memory with a deploy asked for and not answered yet."""
    number = memory.releases_asked + 1
    command = Deploy(release=f"fraud-{number}", revision=what, settings=settings(**given))
    asked = Asked(seq=memory.seq + 1, at=0.0, command=command)
    return replace(memory, seq=memory.seq + 1, releases_asked=number, commands=(*memory.commands, asked))


def replicas(of: Revision, states: tuple[ReplicaState, ...]) -> tuple[ReplicaFact, ...]:
    base = 20000 + 100 * (ord(of.id[0]) - ord("a"))
    return tuple(
        ReplicaFact(
            id=ReplicaId(service=SERVICE, revision=of.id, index=index),
            state=state,
            since=0.0,
            address=Address(host="127.0.0.1", port=base + index),
        )
        for index, state in enumerate(states)
    )


def wanted(routes: tuple[Route, ...], preview: RevisionId | None, there: tuple[ReplicaFact, ...]) -> Wanted:
    by: dict[RevisionId, list[Endpoint]] = {}
    for one in there:
        assert one.address is not None
        by.setdefault(one.id.revision, []).append(Endpoint(address=one.address))
    return Wanted(
        service=SERVICE,
        stamp=Stamp(epoch=1, seq=1),
        route=ROUTE,
        routes=routes,
        endpoints=tuple((key, tuple(by[key])) for key in sorted(by)),
        preview=preview,
        ready=tuple((key, "/healthz/ready") for key in sorted(by)),
    )


def facts(
    at: float,
    there: tuple[ReplicaFact, ...],
    *,
    confirmed: tuple[Route, ...] | None = None,
    preview: RevisionId | None = None,
    proof: ProofState | None = None,
    samples: bool = True,
    sources: SourceState = SourceState.VERIFIED,
) -> Facts:
    served = RouteFacts(confirmed=None if confirmed is None else wanted(confirmed, preview, there))
    seen = Samples(cursor_from=(), cursor_to=(), counts=())
    return Facts(
        at=at,
        replicas=Known(value=there, taken_at=at),
        routes=Known(value=served, taken_at=at),
        samples=Known(value=seen, taken_at=at) if samples else Unknown(why="not asked"),
        sources={
            tree(letter): SourceFact(state=sources, path="/x", why="a planted failure", at=at)
            for letter in "abc"
        },
        proof=None
        if proof is None
        else ProofFact(revision=GREEN.id, golden=None, state=proof, fault="planted"),
    )
