"""The way of a release as sentences, before it begins. Pure."""

from collections.abc import Iterator
from typing import Any

from celadon.domain.compare import Compare
from celadon.domain.draw import EVERY
from celadon.domain.plan import FULL, Plan, Stage
from celadon.domain.spec import Ends, OnDeadline, Serves, ServiceSpec
from celadon.doors.cli.human import several, share, span
from celadon.doors.cli.lines import TITLE, Line, entry
from celadon.release.plan import plan_of

Json = dict[str, Any]

PERSON = "wait for a person: `celadon promote` or `celadon abort`"


def steps(spec: ServiceSpec, *, first: bool = False) -> list[str]:
    """The way of a release under this spec. first: nothing is live, so nothing is shared, compared or watched."""
    policy, plan = spec.release, plan_of(spec.release, first=first)
    proof = "its golden requests" if spec.golden else "its readiness alone"
    standby = f" and {several(spec.redundancy.standby, 'standby')}" if spec.redundancy.standby else ""
    replicas = several(spec.replicas.wanted, "replica") + standby
    control = f", and as many of blue as its control, {replicas} more" if plan.control else ""
    beside = "" if first else f" beside blue{control}"
    said = [
        f"start {replicas} of green{beside}, within {span(policy.start_s)}",
        f"prove green by {proof}",
    ]
    if first:
        gates = [PERSON for stage in plan.stages if stage.gate]
        return [*said, *gates, "move every request to green; with nothing to go back to it is not watched"]
    for stage in plan.stages:
        said += [PERSON] if stage.gate else []
        said += (
            _full(spec, plan, stage) if stage.share == FULL and plan.match == EVERY else _stage(plan, stage)
        )
    return [*said, *_end(plan)]


def in_place(spec: ServiceSpec, difference: Json) -> list[str]:
    """What becomes of other settings for what is live already, which needs no release."""
    wanted = spec.replicas.wanted
    move = "start replicas that are in another zone again in theirs, one at a time while all others are ready"
    stay = (
        "start replicas in these zones from now on; those that run stay where they are, for none may be lost"
    )
    follows = {
        "spec/replicas": f"start or stop replicas of what is live, until there are {wanted}",
        "spec/redundancy/zones": move if spec.redundancy.spare(wanted) else stay,
        "spec/redundancy/standby": f"start or stop standbys, until there are {spec.redundancy.standby}",
        "spec/route": "change the route at once",
    }
    paths = [change["path"] for change in difference["changes"]]
    said = [what for of, what in follows.items() if any(path.startswith(of) for path in paths)]
    return said or ["take them up at once; nothing is started or stopped for it"]


def step_lines(said: list[str]) -> list[Line]:
    """The steps, numbered."""
    lines = []
    for number, step in enumerate(said, start=1):
        line = entry("steps" if number == 1 else "", (f"{number}. {step}", ""))
        lines.append(Line(depth=line.depth, spans=line.spans, hang=TITLE + 5))
    return lines


def required(compare: Compare) -> list[str]:
    """What must be proved fine before green is promoted."""
    named = (
        ("errors", compare.errors),
        ("latency", compare.latency),
        ("labels", compare.labels.wrong if compare.labels else None),
        ("scores", compare.score),
        ("answers to copies", compare.pairs),
    )
    return [name for name, margin in named if margin is not None and margin.required]


def _full(spec: ServiceSpec, plan: Plan, stage: Stage) -> list[str]:
    watch = spec.release.watch
    limits = (
        f"at most {watch.error_share_max * 100:g} % errors and {watch.latency_ms_p95_max:g} ms p95"
        f" over {several(watch.requests_min, 'answer')} or more"
    )
    late = "go back to blue"
    if watch.on_deadline is OnDeadline.HOLD:
        serves = "blue serves" if plan.hold_serves is Serves.BLUE else "green serves"
        late = f"{serves} and a person decides"
    return [
        "move every request to green",
        f"watch for {span(stage.dwell_s)}: {limits}; without a verdict in {span(_deadline_s(plan, stage))}, {late}",
    ]


def _stage(plan: Plan, stage: Stage) -> list[str]:
    whose = "the requests" if plan.match == EVERY else "the requests that match"
    if stage.share:
        what = f"give green {share(stage.share / 100)} of {whose}"
        what += f" and copies of {share(stage.mirror / 100)}" if stage.mirror else ""
    else:
        what = f"give green copies of {share(stage.mirror / 100)} of {whose}, whose answers nobody gets"
    until = f" for {span(stage.dwell_s)}"
    if stage.mirrored_max is not None:
        until += f" or {stage.mirrored_max} copies"
    if stage.proof and plan.compare is not None:
        metrics = " and ".join(required(plan.compare))
        whole = stage.proof >= 0.999 / plan.compare.alpha_fine
        until += f" or more, until {metrics} {'are proved' if whole else 'look'} fine"
        late = "go back to blue" if plan.on_deadline is OnDeadline.ROLLBACK else "a person decides"
        until += f"; without that in {span(_deadline_s(plan, stage))}, {late}"
    return [what + until]


def _deadline_s(plan: Plan, stage: Stage) -> float:
    return plan.watch_deadline_s if stage.deadline_s is None else stage.deadline_s


def _end(plan: Plan) -> Iterator[str]:
    if plan.compare is not None:
        rest_s = plan.compare.rest_s
        yield (
            f"all the while: every request to blue for up to {span(rest_s)} when harm is suspected, and for good"
            " when it is proved"
        )
    if plan.ends is Ends.REPORTED:
        yield "report what was found; blue stays live"
        return
    if plan.probation_s:
        yield f"go on judging late labels for {span(plan.probation_s)}: harm still takes green back"
    yield f"keep blue ready for {span(plan.hold_s)}"
