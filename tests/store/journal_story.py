"""A rich story for the journal: every command, kind and phase. Also writes the fixture, once per format."""

from dataclasses import replace

from celadon.domain.command import Abort, Deploy, Pause, Promote, Remove, Resume, Rollback
from celadon.domain.draw import Match
from celadon.domain.goal import Arm, Goal, Mirror, Part, ReplicaSet, Route, Stamp
from celadon.domain.names import Digest, RevisionId, ServiceKey
from celadon.domain.plan import FULL, Guard, Plan, Stage
from celadon.domain.reason import Code, because
from celadon.domain.release import Cause, Outcome, Phase, Predecessor, Release, Taken
from celadon.domain.revision import CommandRuntime, ModelRuntime, Revision, Secret
from celadon.domain.samples import Counts, Evidence
from celadon.domain.spec import (
    Between,
    Exactly,
    OnDeadline,
    ReleasePolicy,
    Resources,
    Retry,
    RetryWhen,
    RouteSpec,
    SecretEnv,
    SecretFile,
    Serving,
    Settings,
    Watch,
)

FRAUD = ServiceKey(name="fraud")
RANKER = ServiceKey(namespace="shop", name="ranker")
NOW = 1_700_000_000.25


def digest(letter):
    return Digest("sha256:" + letter * 64)


def revision(letter, runtime=None):
    return Revision(
        id=RevisionId(letter * 12),
        digest=letter * 64,
        runtime=runtime or ModelRuntime(model=digest(letter), serving=Serving(threads=2)),
        env=(("LEVEL", "info"),),
        secrets=(
            Secret(name="DB_URL", source=SecretFile(file="/etc/ranker/db"), keyed_digest="ab" * 32),
            Secret(name="TOKEN", source=SecretEnv(env="RANKER_TOKEN"), keyed_digest="cd" * 32),
        ),
        ready="/healthz/ready",
        resources=Resources(cpus=0.5, memory_bytes=2**30),
    )


BLUE = revision("a")
GREEN = revision("b")
OWN = revision("c", CommandRuntime(command=("python3", "serve.py", "{port}"), files=digest("e")))


def settings(replicas=None):
    return Settings(
        replicas=replicas or Exactly(replicas=2),
        route=RouteSpec(
            port=8080,
            preview_port=18080,
            hostnames=("fraud.example",),
            timeout_s=20.5,
            retry=Retry(when=RetryWhen.BEFORE_SENT),
        ),
        drain_s=30.0,
        release=ReleasePolicy(gate=True, watch=Watch(watch_s=1.0, on_deadline=OnDeadline.ROLLBACK)),
        golden=digest("d"),
    )


def goal(revision_, share=FULL):
    parts = (
        Part(revision=revision_.id, share=share),
        Part(revision=BLUE.id, arm=Arm.CONTROL, share=FULL - share),
    )
    return Goal(
        stamp=Stamp(epoch=0, seq=0),
        route=settings().route,
        routes=(
            Route(
                match=Match(headers=(("x-tenant", "a"),)),
                split=parts,
                mirrors=(Mirror(revision=GREEN.id, share=100),),
            ),
        ),
        replicas=(
            ReplicaSet(revision=revision_.id, count=Exactly(replicas=2)),
            ReplicaSet(revision=BLUE.id, arm=Arm.CONTROL, count=Between(replicas_min=1, replicas_max=3)),
        ),
        preview=revision_.id,
        prove=revision_.id,
        golden=digest("d"),
        fetch=(digest("a"), digest("b")),
    )


def release(number, phase, **changes):
    first = Release(
        id=f"fraud-{number}",
        number=number,
        blue=BLUE.id,
        green=GREEN.id,
        plan=Plan(
            stages=(
                Stage(
                    share=FULL,
                    dwell_s=1.0,
                    gate=True,
                    guard=Guard(requests_min=50, error_share_max=0.02, latency_ms_p95_max=250.5),
                ),
            ),
            prepare_s=120.0,
            prove_s=60.0,
            watch_deadline_s=900.0,
            on_deadline=OnDeadline.HOLD,
            hold_s=3600.0,
            parent="fraud-1",
        ),
        settings=settings(),
        labels=(("version", "1.2"), ("commit", "unknown — ü")),
        phase=phase,
        began_at=NOW,
        entered_at=NOW + 1.5,
        because=because(Code.GATE_WAITS),
        passed_gates=frozenset({0, 2}),
        dwelt_s=0.75,
    )
    return replace(first, **changes)


def evidence():
    return Evidence(
        judge="guard 1",
        cursor=(("envoy", "41:7"),),
        counts=(Counts(revision=GREEN.id, requests=9, errors=1, latency=((5.0, 3), (10.5, 8))),),
    )


COMMANDS = (
    Deploy(release="fraud-1", revision=GREEN, settings=settings(), labels=(("version", "1.2"),)),
    Deploy(release="fraud-2", revision=OWN, settings=settings(Between(replicas_min=1, replicas_max=4))),
    Rollback(release="fraud-3", revision=BLUE.id),
    Promote(release="fraud-1"),
    Abort(release="fraud-1"),
    Pause(release="fraud-1"),
    Resume(release="fraud-1"),
    Remove(),
)


STEPS = (
    Taken(phase=Phase.PREPARING, because=because(Code.GREEN_READY, wanted=2)),
    Taken(phase=None, because=because(Code.STEADY)),
)


def changes(memory):
    """What ticks decide, one after another: every phase once, and every field of memory."""
    yield {
        "settings": settings(),
        "revisions": {GREEN.id: GREEN, BLUE.id: BLUE, OWN.id: OWN},
        "live": BLUE.id,
    }
    for phase in Phase:
        yield {"release": release(1, phase), "goal": goal(GREEN, share=FULL - len(phase.value))}
    ended = release(
        1,
        Phase.ENDED,
        ended_at=NOW + 9.0,
        outcome=Outcome.ROLLED_BACK,
        cause=Cause.VERDICT,
        moved=True,
        paused=True,
    )
    yield {
        "release": None,
        "last": ended,
        "evidence": evidence(),
        "proved": {GREEN.id: digest("d"), BLUE.id: ""},
        "goldens": {GREEN.id: digest("d"), BLUE.id: ""},
    }
    yield {
        "predecessor": Predecessor(revision=BLUE.id, since=NOW, hold_s=60.0),
        "live": GREEN.id,
        "commands": (),
    }
    yield {"removing": True, "goal": None}
    yield {"removed": True, "evidence": None}


def tell(journal):
    """Write the story of `fraud`, and a short one of `ranker`."""
    at = NOW
    journal.lead(FRAUD, 1_700_000_000_000, at)
    for command in COMMANDS:
        at += 0.25
        journal.ask(FRAUD, command, at)
    for change in changes(journal.read(FRAUD)):
        at += 0.25
        before = journal.read(FRAUD)
        steps = STEPS if change.get("predecessor") else ()
        journal.record(
            before, replace(before, **change), because(Code.SOURCE_BROKEN, why="a story"), at, steps
        )
        if change.get("last"):
            journal.lead(FRAUD, 1_700_000_000_001, at)
            journal.checkpoint(FRAUD, at)
    journal.ask(RANKER, COMMANDS[0], at)


def steady(memory, **change):
    return replace(memory, **change), because(Code.STEADY)
