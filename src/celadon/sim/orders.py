"""What people ask of a simulated service: revisions, policies of every strategy, and commands at good and bad moments."""

from celadon.domain.compare import Compare, LabelMargin, Margin, PairMargin
from celadon.domain.draw import Condition, Match, StickyCookie, StickyHeader, Where
from celadon.domain.names import Digest, RevisionId, ServiceKey
from celadon.domain.revision import ModelRuntime, Revision
from celadon.domain.spec import (
    AbTest,
    Advance,
    Ends,
    Exactly,
    Exposure,
    OnDeadline,
    Ramp,
    Redundancy,
    ReleasePolicy,
    Resources,
    Retry,
    RetryWhen,
    RouteSpec,
    Serves,
    Serving,
    Settings,
    Shadow,
    Step,
    Strategy,
    Survives,
    Watch,
)

SERVICE = ServiceKey(name="fraud")
ROUTE = RouteSpec(port=8080, preview_port=18080, retry=Retry(when=RetryWhen.RESET))
COMPARE = Compare(rest_s=12.0)
MIRRORED = Compare(rest_s=12.0, freeze_mirror=3000, pairs=PairMargin())
LABELLED = Compare(rest_s=12.0, labels=LabelMargin(wrong=Margin(required=False)))
STEPS = (Step(share=1000, dwell_s=6), Step(share=5000, dwell_s=6))
MATCH = Match(conditions=(Condition(where=Where.HEADER, name="x-group", values=("a",)),))
GATED = (Step(share=0, mirror=2000, dwell_s=4), Step(share=2500, dwell_s=4, gate=True))


def policy(
    strategy: Strategy | None = None,
    *,
    compare: Compare | None = None,
    on_deadline: OnDeadline = OnDeadline.HOLD,
    hold_serves: Serves = Serves.GREEN,
    sticky: StickyHeader | StickyCookie | None = None,
    exposure: Exposure | None = None,
    probation_s: float = 0.0,
    gate: bool = False,
) -> ReleasePolicy:
    """A policy with times of a few ticks."""
    watch = Watch(
        watch_s=8,
        requests_min=30,
        error_share_max=0.05,
        deadline_s=30,
        on_deadline=on_deadline,
        hold_serves=hold_serves,
    )
    plain = ReleasePolicy(gate=gate, start_s=40, prove_s=20, watch=watch, hold_s=40, probation_s=probation_s)
    return ReleasePolicy(
        gate=plain.gate,
        start_s=plain.start_s,
        prove_s=plain.prove_s,
        watch=watch,
        hold_s=plain.hold_s,
        strategy=strategy or plain.strategy,
        sticky=sticky,
        compare=compare,
        exposure=exposure,
        probation_s=probation_s,
    )


POLICIES: dict[str, ReleasePolicy] = {
    "all at once": policy(),
    "all at once, gated": policy(gate=True),
    "all at once, back on deadline": policy(on_deadline=OnDeadline.ROLLBACK),
    "all at once, compared, blue serves a hold": policy(compare=COMPARE, hold_serves=Serves.BLUE),
    "ramp without comparison": policy(Ramp(steps=STEPS)),
    "ramp by time": policy(Ramp(steps=STEPS, control=True), compare=COMPARE, sticky=StickyCookie()),
    "ramp by evidence": policy(
        Ramp(steps=STEPS, advance=Advance.EVIDENCE), compare=MIRRORED, sticky=StickyHeader(header="x-user")
    ),
    "shadow, ramp, gate": policy(
        Ramp(steps=GATED), compare=LABELLED, probation_s=40.0, on_deadline=OnDeadline.ROLLBACK
    ),
    "test": policy(AbTest(match=MATCH, test_s=10), compare=COMPARE),
    "test, then all": policy(AbTest(test_s=10, then=Ends.PROMOTED), compare=COMPARE),
    "shadow": policy(Shadow(mirror=1000, test_s=10, requests_max=400), compare=MIRRORED),
    "exposure": policy(
        exposure=Exposure(bad_answers_max=500, confidence=0.95, rate_per_s=50), compare=COMPARE
    ),
}
"""One policy of every kind, by name."""


def revision(number: int) -> Revision:
    """The revision that is released as the number-th; revisions begin with a, b, c and so on."""
    letter = "abcdefghijklmnopqrstuvwxyz"[number % 26]
    name = f"{letter}{number:011x}"
    return Revision(
        id=RevisionId(name),
        digest=name.ljust(64, "0"),
        runtime=ModelRuntime(model=Digest(f"sha256:{number:064x}"), serving=Serving()),
        env=(),
        secrets=(),
        ready="/healthz/ready",
        resources=Resources(),
    )


PLAIN = Redundancy()
GOLDEN = Digest(f"sha256:{0:064x}")
"""Golden requests; what they ask is not looked at."""


def settings(
    release: ReleasePolicy,
    replicas: int = 2,
    redundancy: Redundancy = PLAIN,
    golden: Digest | None = GOLDEN,
) -> Settings:
    """Settings of a service under this policy."""
    return Settings(
        replicas=Exactly(replicas=replicas),
        route=ROUTE,
        drain_s=5.0,
        release=release,
        golden=golden,
        redundancy=redundancy,
    )


ZONES = ("east", "west")
REDUNDANCIES = (
    PLAIN,
    Redundancy(survives=Survives.REPLICA),
    Redundancy(zones=ZONES, survives=Survives.ZONE),
    Redundancy(zones=ZONES, survives=Survives.ZONE, standby=1),
    Redundancy(standby=2),
)
"""How a service may be meant to outlive losses."""
