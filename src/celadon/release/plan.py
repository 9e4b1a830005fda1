"""From a release policy to the plan of one release: strategies are data, and this is where they are written."""

from celadon.domain.compare import Compare
from celadon.domain.plan import FULL, Guard, Plan, Stage
from celadon.domain.spec import (
    AbTest,
    Advance,
    BlueGreen,
    Ends,
    OnDeadline,
    Ramp,
    ReleasePolicy,
    Shadow,
    Step,
)
from celadon.domain.values import replace
from celadon.judge.exposure import steps

EVIDENCE_DWELL_S = 10.0
"""A stage that ends by evidence lasts one window of the judge at least, so that no single bad or good moment ends it."""


def plan_of(policy: ReleasePolicy, *, parent: str | None = None, first: bool = False) -> Plan:
    """The whole way of a release under this policy. first: nothing is live, so nothing is shared or compared."""
    if first:
        return _plan(policy, _gated(policy, (_full(policy),)), parent)
    compared = _compared(policy, _plan(policy, _gated(policy, _stages(policy)), parent))
    match policy.strategy:
        case AbTest() as test:
            return replace(compared, match=test.match, ends=test.then)
        case Shadow():
            return replace(compared, ends=Ends.REPORTED)
        case Ramp(control=control):
            return replace(compared, control=control)
        case BlueGreen():
            return compared


def way_back(policy: ReleasePolicy, *, parent: str | None) -> Plan:
    """Everything to the revision that was live just before, at once and unwatched: it was watched then."""
    stages = (Stage(share=FULL, dwell_s=0.0),)
    return replace(_plan(policy, stages, parent), on_deadline=OnDeadline.HOLD)


def renewed(old: Plan, new: Plan) -> Plan:
    """A plan for a release that has moved requests already, after its settings changed.

    What was fixed before the first answer stays: the comparison, who is drawn, and the way itself. Limits, times and
    what happens in the end are taken anew; where the way is the same, so are its times.
    """
    same = [_steps(stage) for stage in old.stages] == [_steps(stage) for stage in new.stages]
    guard = new.stages[-1].guard
    return replace(
        new,
        stages=new.stages if same else tuple(replace(stage, guard=guard) for stage in old.stages),
        compare=old.compare,
        match=old.match,
        sticky=old.sticky,
        control=old.control,
        ends=new.ends if same else old.ends,
        probation_s=new.probation_s if old.compare else 0.0,
    )


def _steps(stage: Stage) -> tuple[int, int, bool, float]:
    return stage.share, stage.mirror, stage.gate, stage.proof


def _plan(policy: ReleasePolicy, stages: tuple[Stage, ...], parent: str | None) -> Plan:
    return Plan(
        stages=stages,
        prepare_s=policy.start_s,
        prove_s=policy.prove_s,
        watch_deadline_s=policy.watch.deadline_s,
        on_deadline=policy.watch.on_deadline,
        hold_s=policy.hold_s,
        parent=parent,
    )


def _compared(policy: ReleasePolicy, plan: Plan) -> Plan:
    return replace(
        plan,
        compare=policy.compare,
        sticky=policy.sticky,
        hold_serves=policy.watch.hold_serves,
        probation_s=policy.probation_s,
        bad_answers_max=policy.exposure.bad_answers_max if policy.exposure else None,
    )


def _stages(policy: ReleasePolicy) -> tuple[Stage, ...]:
    if policy.exposure is not None:
        derived = steps(policy)
        assert derived, "a budget that no share can keep is refused when it is read"
        return _ramp(policy, derived, Advance.TIME)
    match policy.strategy:
        case BlueGreen():
            return (_full(policy),)
        case Ramp(steps=written, advance=advance):
            return _ramp(policy, written, advance)
        case AbTest(share=share, test_s=test_s, then=then):
            proof = _level(policy.compare) if then is Ends.PROMOTED else 0.0
            tested = _stage(policy, Step(share=share, dwell_s=test_s), proof)
            return (tested, _full(policy)) if then is Ends.PROMOTED else (tested,)
        case Shadow(mirror=mirror, test_s=test_s, requests_max=most):
            shadow = _stage(policy, Step(share=0, dwell_s=test_s, mirror=mirror), 0.0)
            return (replace(shadow, mirrored_max=most),)


def _ramp(policy: ReleasePolicy, written: tuple[Step, ...], advance: Advance) -> tuple[Stage, ...]:
    """What was proved before the last step is proved for good: afterwards nothing is left to compare green with.

    By evidence the money on a fine green has to grow alike, as a factor, from step to step up to that proof.
    """
    before = sum(step.share == 0 for step in written)
    compared = sum(0 < step.share < FULL for step in written)
    level, stages = _level(policy.compare), []
    for number, step in enumerate(written, 1 - before):
        if not 0 < step.share < FULL:
            stages.append(_stage(policy, step, 0.0))
        elif advance is Advance.EVIDENCE:
            slow = replace(step, dwell_s=max(step.dwell_s, EVIDENCE_DWELL_S))
            stages.append(_stage(policy, slow, _grown(level, number / compared)))
        else:
            stages.append(_stage(policy, step, level if number == compared else 0.0))
    return tuple(stages) if written[-1].share == FULL else (*stages, _full(policy))


def _level(compare: Compare | None) -> float:
    """As much money on a fine green as proves it; 0 where nothing is compared."""
    return 1 / compare.alpha_fine if compare else 0.0


def _grown(level: float, part: float) -> float:
    return level**part if level else 0.0


def _stage(policy: ReleasePolicy, step: Step, proof: float) -> Stage:
    return Stage(
        share=step.share,
        dwell_s=step.dwell_s,
        gate=step.gate,
        guard=_guard(policy),
        mirror=step.mirror,
        proof=proof,
        deadline_s=step.dwell_s + policy.watch.deadline_s,
    )


def _full(policy: ReleasePolicy) -> Stage:
    """Every request, watched for `watch_s`."""
    return Stage(share=FULL, dwell_s=policy.watch.watch_s, gate=False, guard=_guard(policy))


def _gated(policy: ReleasePolicy, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """A gate before the first stage, where the policy asks for one."""
    begin, *after = stages
    return (replace(begin, gate=begin.gate or policy.gate), *after)


def _guard(policy: ReleasePolicy) -> Guard:
    watch = policy.watch
    return Guard(
        requests_min=watch.requests_min,
        error_share_max=watch.error_share_max,
        latency_ms_p95_max=watch.latency_ms_p95_max,
    )
