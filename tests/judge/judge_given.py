"""Streams of answers for tests of the judge behind the watch: a release, its stages, and what the router logged."""

from dataclasses import dataclass, field, replace

from celadon.domain.compare import Compare
from celadon.domain.durations import bucket
from celadon.domain.facts import NO_LABELS, Known, Unknown
from celadon.domain.goal import Arm
from celadon.domain.names import RevisionId
from celadon.domain.plan import FULL, Guard, Plan, Stage
from celadon.domain.reason import Code, because
from celadon.domain.release import Phase, Release
from celadon.domain.samples import Answers, Counts, Cursor, Evidence, Label, Pairs, Samples
from celadon.domain.spec import Exactly, OnDeadline, ReleasePolicy, Retry, RetryWhen, RouteSpec, Settings
from celadon.domain.verdict import Judged
from celadon.judge.tallies import Sides
from celadon.judge.watch import judge

BLUE, GREEN, OTHER = RevisionId("b" * 12), RevisionId("a" * 12), RevisionId("c" * 12)
GUARD = Guard(requests_min=20, error_share_max=0.05, latency_ms_p95_max=1000.0)
BEGAN_S = 1000


def stage(share: int, proof: float = 0.0, mirror: int = 0) -> Stage:
    return Stage(share=share, dwell_s=10, guard=GUARD, proof=proof, mirror=mirror)


def release(
    compare: Compare | None,
    *stages: Stage,
    phase: Phase = Phase.WATCHING,
    control: bool = False,
    blue: RevisionId | None = BLUE,
) -> Release:
    plan = Plan(
        stages=stages or (stage(500), stage(FULL)),
        prepare_s=10,
        prove_s=10,
        watch_deadline_s=100,
        on_deadline=OnDeadline.HOLD,
        hold_s=10,
        compare=compare,
        control=control,
    )
    settings = Settings(
        replicas=Exactly(replicas=2),
        route=RouteSpec(port=1, preview_port=2, retry=Retry(when=RetryWhen.NEVER)),
        drain_s=5,
        release=ReleasePolicy(),
        golden=None,
    )
    why = because(Code.STEADY)
    return Release(
        id="fraud-1",
        number=1,
        blue=blue,
        green=GREEN,
        plan=plan,
        settings=settings,
        phase=phase,
        began_at=0,
        entered_at=0,
        because=why,
    )


def sides(blue: int = 2, green: int = 2, control: int = 0) -> Sides:
    return Sides(blue=BLUE, green=GREEN, blue_ready=blue, green_ready=green, control_ready=control)


def answers(
    at_s: int, share: int, green: tuple[int, int], blue: tuple[int, int], **more: object
) -> list[Answers]:
    """One second of both sides, each as (requests, errors)."""
    found = []
    for revision, (requests, errors) in ((GREEN, green), (BLUE, blue)):
        found.append(
            Answers(
                at_s=at_s,
                revision=revision,
                share=share,
                requests=requests,
                errors=errors,
                failed=errors,
                durations=((bucket(5000), requests - errors),) if requests > errors else (),
                **more,
            )
        )
    return [one for one in found if one.requests]


def control(at_s: int, share: int, requests: int, errors: int = 0, us: float = 5000) -> Answers:
    return Answers(
        at_s=at_s,
        revision=BLUE,
        arm=Arm.CONTROL,
        share=share,
        requests=requests,
        errors=errors,
        failed=errors,
        durations=((bucket(us), requests - errors),),
    )


@dataclass
class Watched:
    """A judge that is fed as the loop feeds it, tick by tick."""

    release: Release
    at: int = 0
    sides: Sides | None = field(default_factory=sides)
    evidence: Evidence | None = None
    judged: Judged | None = None
    read: int = 0
    labelled: int = 0
    seconds: int = BEGAN_S

    def __post_init__(self) -> None:
        self.hear([])

    def hear(
        self, came: list[Answers], labels: Samples | None = None, *, complete: bool = True
    ) -> Judged | None:
        """One tick with these answers."""
        counts = [
            Counts(
                revision=revision,
                requests=sum(a.requests for a in came if a.revision == revision and not a.mirrored),
                errors=sum(a.errors for a in came if a.revision == revision and not a.mirrored),
            )
            for revision in (BLUE, GREEN)
        ]
        start, self.read = self.read, self.read + len(came)
        self.seconds = max([self.seconds, *(a.at_s for a in came)])
        samples = Samples(
            cursor_from=cursor("router", start),
            cursor_to=cursor("router", self.read),
            counts=tuple(counts),
            complete=complete,
            answers=tuple(came),
        )
        known = Known(value=samples, taken_at=float(self.seconds))
        told = Known(value=labels, taken_at=0.0) if labels else NO_LABELS
        return self.tick(known, told)

    def tick(self, samples: Known[Samples] | Unknown, labels: Known[Samples] | Unknown) -> Judged | None:
        there = self.release.plan.stages[self.at]
        self.evidence, self.judged = judge(
            self.release, there, self.sides, self.evidence, samples=samples, labels=labels
        )
        return self.judged

    def label(self, *labels: Label, pairs: tuple[Pairs, ...] = (), **more: object) -> Judged | None:
        """One tick without answers and with these labels."""
        start, self.labelled = self.labelled, self.labelled + len(labels) + len(pairs) + len(more)
        first = self.evidence is not None and self.evidence.label_cursor == ()
        samples = Samples(
            cursor_from=() if first else cursor("labels", start),
            cursor_to=cursor("labels", self.labelled),
            counts=(),
            labels=labels,
            pairs=pairs,
            **more,
        )
        return self.hear([], samples)

    def stands(self, phase: Phase, at: int = 0) -> None:
        self.release, self.at = replace(self.release, phase=phase, stage=at), at

    def finding(self, metric: str):
        assert self.judged is not None
        return next(one for one in self.judged.findings if one.metric == metric)

    @property
    def verdict(self):
        assert self.judged is not None
        return self.judged.verdict


def cursor(source: str, at: int) -> Cursor:
    return ((source, str(at)),)
