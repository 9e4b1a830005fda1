"""From a release policy to the plan of one release: strategies are data, and this is where they are written."""

from celadon.domain.plan import FULL, Guard, Plan, Stage
from celadon.domain.spec import OnDeadline, ReleasePolicy


def blue_green(policy: ReleasePolicy, *, parent: str | None) -> Plan:
    """One stage that moves every request, watched for `watch_s`."""
    watch = policy.watch
    guard = Guard(
        requests_min=watch.requests_min,
        error_share_max=watch.error_share_max,
        latency_ms_p95_max=watch.latency_ms_p95_max,
    )
    return Plan(
        stages=(Stage(share=FULL, dwell_s=watch.watch_s, gate=policy.gate, guard=guard),),
        prepare_s=policy.start_s,
        prove_s=policy.prove_s,
        watch_deadline_s=watch.deadline_s,
        on_deadline=watch.on_deadline,
        hold_s=policy.hold_s,
        parent=parent,
    )


def way_back(policy: ReleasePolicy, *, parent: str | None) -> Plan:
    """Everything to the revision that was live just before, at once and unwatched: it was watched then."""
    return Plan(
        stages=(Stage(share=FULL, dwell_s=0.0),),
        prepare_s=policy.start_s,
        prove_s=policy.prove_s,
        watch_deadline_s=policy.watch.deadline_s,
        on_deadline=OnDeadline.HOLD,
        hold_s=policy.hold_s,
        parent=parent,
    )
