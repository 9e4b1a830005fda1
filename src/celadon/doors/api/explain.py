"""What the judge says, metric by metric, and the draw it rests on, as JSON with stable names."""

from typing import Any

from celadon.domain.draw import Match, StickyCookie, StickyHeader
from celadon.domain.evidence import Tally
from celadon.domain.goal import Route
from celadon.domain.plan import FULL, Plan, Stage
from celadon.domain.reason import Reason, text
from celadon.domain.verdict import Finding, Judged, Verdict
from celadon.judge.compare import Levels

Json = dict[str, Any]

SURE = 1e300
"""Evidence beyond this is said as this much: JSON knows no infinity."""


def percent(share: int) -> float:
    """A share as people say it: this is the door at which parts of 10,000 end."""
    return share * 100 / FULL


def reason(why: Reason) -> Json:
    """A reason: its code is for programs, its text for people."""
    return {"code": why.code.value, "fields": dict(why.fields), "text": text(why)}


def verdict(said: Verdict) -> Json:
    """What the judge says: harm, suspected, fine, unsure or invalid."""
    return {"says": type(said).__name__.lower(), "reason": reason(said.because)}


def judged(of: Judged, plan: Plan, stage: int) -> Json:
    """The word on a stage with what every metric brought to it."""
    return {
        "findings": findings(of.findings),
        "suspicion": min(of.suspicion, SURE),
        "levels": levels(plan, plan.stages[stage].proof),
    }


def levels(plan: Plan, stage_proof: float = 0.0) -> Json | None:
    """How much evidence decides; null where nothing is compared. stage: what lets the stage end, 0 for its time alone."""
    if plan.compare is None:
        return None
    return {
        "harm": round(1 / plan.compare.alpha_harm, 6),
        "suspected": Levels().suspected,
        "fine": round(1 / plan.compare.alpha_fine, 6),
        "stage": stage_proof,
    }


def findings(of: tuple[Finding, ...]) -> list[Json]:
    """What each metric says."""
    return [finding(one) for one in of]


def finding(of: Finding) -> Json:
    """One metric. evidence: how many times a bet on each outcome has multiplied since the comparison began.

    part: of the bet on harm; so much of the metric's evidence counts beside that of the others.
    """
    return {
        "metric": of.metric,
        "green": _side(of.counts, green=True),
        "blue": _side(of.counts, green=False),
        "evidence": {name: min(money, SURE) for name, money in of.worth._asdict().items()},
        "ratio": {"value": of.interval.ratio, "low": of.interval.low, "high": of.interval.high},
        "needed": of.needed,
        "required": of.required,
        "note": of.note,
        "part": of.part,
    }


def _side(counts: Tally, *, green: bool) -> Json:
    if green:
        return {"answers": counts.green, "events": counts.green_events}
    return {"answers": counts.blue, "events": counts.blue_events}


def stages(plan: Plan) -> list[Json]:
    """The steps of a release as they were fixed when it began."""
    return [_stage(stage) for stage in plan.stages]


def _stage(stage: Stage) -> Json:
    return {
        "share_percent": percent(stage.share),
        "mirror_percent": percent(stage.mirror),
        "mirrored_max": stage.mirrored_max,
        "dwell_s": stage.dwell_s,
        "gate": stage.gate,
        "proof": stage.proof,
        "deadline_s": stage.deadline_s,
    }


def shares(route: Route) -> list[Json]:
    """Who gets which part of a route's requests."""
    return [
        {"revision": part.revision, "arm": part.arm.value, "share_percent": percent(part.share)}
        for part in route.split
    ]


def routes(of: tuple[Route, ...]) -> list[Json]:
    """Every route in the order in which requests are matched: a matched group first, the rest last."""
    return [
        {
            "match": match(route.match),
            "shares": shares(route),
            "mirrors": [
                {"revision": mirror.revision, "share_percent": percent(mirror.share)}
                for mirror in route.mirrors
            ],
            "sticky": _sticky(route),
            "frozen": route.draw is not None and route.draw.frozen,
        }
        for route in of
    ]


def _sticky(route: Route) -> Json | None:
    match route.draw.sticky if route.draw else None:
        case None:
            return None
        case StickyHeader(header=header):
            return {"header": header}
        case StickyCookie(cookie=cookie, lasts_s=lasts_s):
            return {"cookie": cookie, "lasts_s": lasts_s}


def match(of: Match) -> list[Json]:
    """Which requests a route is for: all of these must hold; none means every request. values empty: it is there at all."""
    headers = [{"where": "header", "name": name, "values": [value]} for name, value in of.headers]
    return headers + [
        {"where": one.where.value, "name": one.name, "values": list(one.values)} for one in of.conditions
    ]
