"""Rich stories for the journal: every command, kind and phase. They also write the fixtures, each of them once.

The first story is that of the first fixture; the others tell what came later, each in files of its own.
"""

from dataclasses import replace

from celadon.domain.command import (
    Abort,
    Deploy,
    EndDrill,
    MarkDrill,
    Pause,
    Promote,
    Remove,
    Resume,
    Rollback,
    RunDrill,
)
from celadon.domain.compare import (
    Compare,
    Groups,
    LabelMargin,
    LatencyMargin,
    Margin,
    PairMargin,
    ScoreMargin,
    Units,
)
from celadon.domain.draw import Condition, Draw, Match, StickyCookie, StickyHeader, Where
from celadon.domain.drill import (
    Drill,
    DrillKind,
    DrillOrder,
    DrillPhase,
    DrillReport,
    DrillVerdict,
    Lease,
    Measured,
    Victim,
)
from celadon.domain.evidence import Bet, Clock, Closed, Coin, Ledger, Scores, Slowness, Stakes, Tally
from celadon.domain.goal import Arm, Goal, Mirror, Part, ReplicaSet, Route, Stamp
from celadon.domain.memory import Probation
from celadon.domain.names import Digest, ReplicaId, RevisionId, ServiceKey
from celadon.domain.plan import FULL, Guard, Plan, Stage
from celadon.domain.reason import Code, because
from celadon.domain.release import Cause, Outcome, Phase, Predecessor, Release, Taken
from celadon.domain.revision import CommandRuntime, ModelRuntime, Revision, Secret
from celadon.domain.samples import Counts, Evidence
from celadon.domain.spec import (
    AbTest,
    Advance,
    Between,
    Ends,
    Exactly,
    Exposure,
    OnDeadline,
    Ramp,
    ReleasePolicy,
    Resources,
    Retry,
    RetryWhen,
    RouteSpec,
    SecretEnv,
    SecretFile,
    Serves,
    Serving,
    Settings,
    Shadow,
    Step,
    Watch,
)
from celadon.domain.verdict import Finding, Interval, Worth

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


def compare():
    """Every margin, each away from its default."""
    return Compare(
        errors=Margin(ratio_max=1.25, extra_max=0.0005),
        latency=LatencyMargin(slower_max=0.1, required=True),
        labels=LabelMargin(wrong=Margin(required=False), positive="fraud", mature_s=60.5),
        score=ScoreMargin(lower_max=0.01),
        pairs=PairMargin(differ_max=0.1),
        groups=Groups(header="x-tier", values=("gold", "free")),
        units=Units.KEYED,
        rest_s=120.5,
        freeze_mirror=3000,
    )


MATCH = Match(
    headers=(("x-tenant", "a"),),
    conditions=(
        Condition(where=Where.COOKIE, name="group", values=("a", "b")),
        Condition(where=Where.QUERY, name="beta"),
    ),
)
STRATEGIES = (
    Ramp(
        steps=(Step(share=0, mirror=500, dwell_s=1.5), Step(share=2500, dwell_s=2.0, gate=True)),
        advance=Advance.EVIDENCE,
        control=True,
    ),
    AbTest(match=MATCH, share=2500, test_s=60.5, then=Ends.PROMOTED),
    Shadow(mirror=1000, test_s=30.5, requests_max=500),
)


def coin(money=1.5):
    stakes = Stakes(capped=(money, 0.5), free=(money * 10, 0.25))
    closed = Closed(
        since=170, window=171, harm=stakes, fine=stakes, past=(Tally(500, 9, 1, 90, 2),), base=0.015, copies=2
    )
    return Coin(closed, (Tally(2500, 3, 1, 9, 0),))


def ledger():
    """A comparison with something of every kind in it."""
    stakes = Stakes(capped=(1.25,), free=(2.5,))
    return Ledger(
        judge="coin/1",
        coins={"errors": coin(), "wrong labels": coin(3.0)},
        split=coin(),
        placebo=coin(),
        arrivals={"wrong labels": coin()},
        slowness=Slowness(
            window=171, harm=(coin(),), fine=(coin(),), thresholds=(40, 60), past=((40, 7),), heard=((41, 1),)
        ),
        scores=Scores(window=171, harm=stakes, fine=stakes, gains=(1.5, 0.5), open_sums=(1.0, 0.5, 0.25)),
        bets={"pairs": Bet(window=171, stakes=stakes, counts=(1, 2), past=(3, 4))},
        classes={"fraud": (3, 30)},
        clock=Clock(begun_s=1_700_000_000, last_s=1_700_000_009, second=1_700_000_009, low=500, high=2500),
        strangers=1,
        reshaped=2,
        example="request 7: 0.5, and the copy 0.75",
        frozen_fine=1.5,
        outweighed=1.25,
    )


FINDING = Finding(
    metric="errors",
    counts=Tally(0, 12, 2, 99, 2),
    worth=Worth(harm=1.5, suspected=25.5, fine=0.25),
    interval=Interval(ratio=2.0, low=0.5, high=None),
    needed=None,
    note="every request is on blue",
)


def compared(number, phase, **changes):
    """A release with a plan of several stages, of which one is in force."""
    first = release(number, phase)
    guard = first.plan.stages[0].guard
    stages = (
        Stage(share=0, dwell_s=1.5, guard=guard, mirror=500, mirrored_max=100, deadline_s=901.5),
        Stage(share=2500, dwell_s=2.0, guard=guard, proof=20.0, gate=True),
        Stage(share=FULL, dwell_s=1.0, guard=guard),
    )
    plan = replace(
        first.plan,
        stages=stages,
        compare=compare(),
        match=MATCH,
        sticky=StickyHeader(header="x-user"),
        control=True,
        ends=Ends.REPORTED,
        hold_serves=Serves.BLUE,
        probation_s=60.5,
        bad_answers_max=50,
    )
    policy = replace(
        first.settings.release,
        strategy=STRATEGIES[number % 3],
        sticky=StickyCookie(cookie="side", lasts_s=60.5),
        compare=compare(),
        exposure=Exposure(bad_answers_max=50, confidence=0.99, rate_per_s=100.5),
        probation_s=60.5,
        watch=Watch(hold_serves=Serves.BLUE),
    )
    told = replace(first, plan=plan, settings=replace(first.settings, release=policy), stage=1)
    return replace(told, **changes)


def drawn(*, frozen):
    """A goal whose route draws, mirrors and has a control."""
    draw = Draw(
        green=GREEN.id,
        salt="fraud-4",
        sticky=StickyHeader(header="x-user"),
        stage=1,
        shares=(0, 2500),
        frozen=frozen,
        group="x-tier",
        groups=("gold", "free"),
    )
    main = Route(
        match=MATCH,
        split=(Part(revision=BLUE.id, share=FULL),)
        if frozen
        else (
            Part(revision=GREEN.id, share=2500),
            Part(revision=BLUE.id, share=5000),
            Part(revision=BLUE.id, arm=Arm.CONTROL, share=2500),
        ),
        mirrors=(Mirror(revision=GREEN.id, share=3000), Mirror(revision=BLUE.id, share=300)),
        draw=draw,
    )
    return replace(goal(GREEN), routes=(main, Route(split=(Part(revision=BLUE.id, share=FULL),))))


def later_changes():
    """What ticks decide of a release that compares: it is frozen, goes on, ends reported; another is on probation."""
    evidences = replace(evidence(), label_cursor=(("labels", "7"),), ledger=ledger(), copies=42)
    yield {"settings": settings(), "revisions": {GREEN.id: GREEN, BLUE.id: BLUE}, "live": BLUE.id}
    yield {
        "release": compared(3, Phase.WATCHING, moved=True),
        "goal": drawn(frozen=False),
        "evidence": evidences,
    }
    frozen = compared(4, Phase.FROZEN, moved=True, freezes=1, rested_s=4.5, suspected=25.5, bad_answers=7)
    yield {"release": frozen, "goal": drawn(frozen=True), "evidence": replace(evidences, counts=(), copies=0)}
    yield {"release": replace(frozen, phase=Phase.MOVING, forgiven=25.5, waved=True)}
    yield {"release": replace(frozen, freezes=3, stays_frozen=True)}
    yield {
        "release": replace(frozen, phase=Phase.ROLLING_BACK, outcome=Outcome.REPORTED, findings=(FINDING,))
    }
    ended = compared(
        5, Phase.ENDED, moved=True, outcome=Outcome.PROMOTED, ended_at=NOW + 20.0, findings=(FINDING, FINDING)
    )
    yield {
        "release": None,
        "evidence": None,
        "last": ended,
        "live": GREEN.id,
        "probation": Probation(release=ended, evidence=evidences, until=NOW + 80.5),
        "releases_asked": 6,
    }
    yield {"probation": None}


def tell_later(journal):
    """Write the story of what came after the first fixture was written."""
    at = NOW
    journal.lead(FRAUD, 1_700_000_000_000, at)
    for change in later_changes():
        at += 0.25
        before = journal.read(FRAUD)
        journal.record(before, replace(before, **change), because(Code.FROZEN, why="a story"), at)
        if change.get("probation"):
            journal.checkpoint(FRAUD, at)


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


def drill_changes():
    """What ticks decide of a drill: every phase with all that it knows, and how it ended."""
    order = DrillOrder(
        kind=DrillKind.HANG_REPLICA, before_s=5.0, lasts_s=10.0, rto_s=4.5, rate=25.0, insists=True
    )
    victim = Victim(replica=ReplicaId(service=FRAUD, revision=BLUE.id, index=1), pid=4711)
    lease = Lease(drill=1, kind=order.kind, victims=(victim,), until=NOW + 30.5, lasts_s=10.0)
    began = because(Code.DRILL_BEGAN, drill=1, kind=order.kind.value, seconds=5.0, rate=25.0)
    drill = Drill(
        number=1, order=order, phase=DrillPhase.MEASURING, began_at=NOW, entered_at=NOW, because=began
    )
    struck = replace(
        drill,
        phase=DrillPhase.STRIKING,
        lease=lease,
        victims=(victim, Victim(pid=4712)),
        struck_at=NOW + 5.5,
        moved=("fraud-3", "watching", 1),
    )
    over = because(Code.DRILL_GAVE_WAY, asked="deploy")
    yield {"drill": drill}
    yield {"drill": struck}
    yield {"drill": replace(struck, phase=DrillPhase.STRUCK, hit=1)}
    yield {"drill": replace(struck, phase=DrillPhase.UNDOING, hit=1, lease=None, ends=over)}
    measured = Measured(
        requests=250,
        failed=3,
        gap_ms=1250.5,
        slowest_ms=900.25,
        rto_s=1.5,
        back_s=0.5,
        refused=4,
        acknowledged=20,
        lost=1,
        lost_age_s=2.5,
    )
    report = DrillReport(
        number=1,
        order=order,
        verdict=DrillVerdict.INCONCLUSIVE,
        because=over,
        measured=measured,
        victims=(victim,),
        began_at=NOW,
        struck_at=NOW + 5.5,
        ended_at=NOW + 20.0,
    )
    yield {"drill": None, "drills": (report, replace(report, number=2, measured=Measured(rto_s=None)))}


def tell_drills(journal):
    """Write the story of what came with drills."""
    at = NOW
    journal.lead(FRAUD, 1_700_000_000_000, at)
    order = DrillOrder(kind=DrillKind.KILL_DAEMON, before_s=1.0, lasts_s=30.0, rto_s=1.0, rate=5.0)
    for command in (RunDrill(drill=1, order=order), MarkDrill(drill=1), EndDrill(drill=1)):
        at += 0.25
        journal.ask(FRAUD, command, at)
    for change in drill_changes():
        at += 0.25
        before = journal.read(FRAUD)
        journal.record(before, replace(before, **change), because(Code.DRILL_MARKED, drill=1), at)
        if change["drill"] and change["drill"].hit:
            journal.checkpoint(FRAUD, at)


def steady(memory, **change):
    return replace(memory, **change), because(Code.STEADY)
