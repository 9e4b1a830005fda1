"""What one plan has judged: its metrics, their margins, and which part of the bet on harm each of them has.

All of it follows from the plan, so that it is fixed before the first answer is seen.
"""

import math
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from celadon.domain.compare import Compare, LatencyMargin, Margin, Units
from celadon.domain.durations import GROWTH
from celadon.domain.plan import Plan
from celadon.domain.values import replace
from celadon.judge.bet import alike, differing, not_worse, wrong_more_often
from celadon.judge.compare import LATENCY, SCORE, Comparison, Levels, Metric, ScoreRules, Wager
from celadon.judge.latency import LatencyRules
from celadon.judge.limits import Limits, limits
from celadon.judge.odds import Rules
from celadon.judge.score import ScoreCoin

ERRORS = "errors"
COPIES = "errors of copies"
WRONG = "wrong answers"
MISSED = "missed"
FALSE_ALARMS = "false alarms"
DIFFER = "differing answers"
WRONG_COPIES = "wrong copies"

FAMILIES = {ERRORS: 0.4, LATENCY: 0.2, WRONG: 0.3}
"""Parts of the money: errors of all kinds, latency, and what answers are worth. What is not judged leaves its part to the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Everything by which the release of one plan is judged. groups: callers who are judged for themselves too."""

    compare: Compare
    comparison: Comparison
    limits: Limits | None
    control: bool
    copies: bool
    groups: tuple[str, ...]
    late: frozenset[str]
    """Metrics that go by labels."""


_KEPT: WeakKeyDictionary[Plan, Setup] = WeakKeyDictionary()
"""A setup is made once, and lasts for as long as the plan that it was made for."""


def setup(plan: Plan) -> Setup | None:
    """How a plan's release is judged; None where nothing is compared."""
    if plan.compare is None:
        return None
    found = _KEPT.get(plan)
    if found is None:
        found = _KEPT[plan] = _setup(plan, plan.compare)
    return found


def _setup(plan: Plan, compare: Compare) -> Setup:
    copies = compare.freeze_mirror > 0 or any(stage.mirror > 0 for stage in plan.stages)
    guards = [stage.guard for stage in plan.stages if stage.guard is not None]
    metrics = _metrics(compare, copies=copies, control=plan.control)
    return Setup(
        compare=compare,
        comparison=_comparison(compare, metrics, copies=copies),
        limits=limits(guards[0]) if guards else None,
        control=plan.control,
        copies=copies,
        groups=compare.groups.values if compare.groups else (),
        late=frozenset(metric.name for metric in metrics if metric.late or metric.of),
    )


def parts(compare: Compare, *, copies: bool) -> dict[str, float]:
    """By metric, its part of the bet on harm; together 1. copies: whether green may get copies in this plan."""
    families = {family: shares for family, shares in _shares(compare, copies=copies).items() if shares}
    whole = sum(FAMILIES[family] for family in families)
    return {
        name: FAMILIES[family] / whole * share / sum(shares.values())
        for family, shares in families.items()
        for name, share in shares.items()
    }


def _shares(compare: Compare, *, copies: bool) -> dict[str, dict[str, float]]:
    """Within each family, how its part is shared out."""
    groups = compare.groups.values if compare.groups else ()
    errors = {ERRORS: 2.0, **({COPIES: 2.0} if copies else {})}
    errors |= {of_group(ERRORS, group): 2.0 / len(groups) for group in groups}
    quality: dict[str, float] = {}
    if compare.labels:
        quality[WRONG] = 2.0
        quality |= {of_group(WRONG, group): 2.0 / len(groups) for group in groups}
        quality |= dict.fromkeys((MISSED, FALSE_ALARMS), 1.0) if compare.labels.positive else {}
    if compare.score:
        quality[SCORE] = 2.0
    if compare.pairs:
        quality |= {DIFFER: 1.0, WRONG_COPIES: 1.0}
    return {ERRORS: errors, LATENCY: {LATENCY: 1.0} if compare.latency else {}, WRONG: quality}


def of_group(metric: str, group: str) -> str:
    """The name of a metric among the callers of one group."""
    return f"{metric} in {group}"


def _metrics(compare: Compare, *, copies: bool, control: bool) -> tuple[Metric, ...]:
    groups = compare.groups.values if compare.groups else ()
    of, errors = parts(compare, copies=copies), compare.errors
    swapped = compare.units is Units.UNSEEN and control
    found = [
        Metric(
            name=ERRORS,
            rules=_rules(errors, compare.units),
            part=of[ERRORS],
            required=errors.required,
            swapped=swapped,
        )
    ]
    named = [of_group(ERRORS, group) for group in groups]
    found += [
        Metric(name=name, rules=_rules(errors, compare.units), part=of[name], required=False, swapped=swapped)
        for name in named
    ]
    if copies:
        found.append(
            Metric(
                name=COPIES,
                rules=_rules(errors, compare.units),
                part=of[COPIES],
                required=errors.required,
                copied=True,
            )
        )
    return (*found, *_labelled(compare, of, groups))


def _labelled(compare: Compare, of: dict[str, float], groups: tuple[str, ...]) -> list[Metric]:
    if compare.labels is None:
        return []
    margin = compare.labels.wrong
    rules = _rules(margin, compare.units)
    first = Metric(name=WRONG, rules=rules, part=of[WRONG], required=margin.required, late=True)
    more = [
        Metric(name=name, rules=rules, part=of[name], required=False, late=True)
        for name in (MISSED, FALSE_ALARMS)
        if compare.labels.positive
    ]
    named = [of_group(WRONG, group) for group in groups]
    return [
        first,
        *more,
        *(Metric(name=name, rules=rules, part=of[name], required=False, of=WRONG) for name in named),
    ]


def _rules(margin: Margin, units: Units) -> Rules:
    """Of callers with keys only the events bet on harm: one who failed today counted as calm yesterday."""
    rules = Rules(fine_ratio=margin.ratio_max, fine_extra=margin.extra_max)
    return replace(rules, whole_from=1.0) if units is Units.KEYED else rules


def _comparison(compare: Compare, metrics: tuple[Metric, ...], *, copies: bool) -> Comparison:
    of = parts(compare, copies=copies)
    score = None
    if compare.score:
        coin = ScoreCoin(fine_margin=compare.score.lower_max)
        score = ScoreRules(coin=coin, part=of[SCORE], required=compare.score.required)
    return Comparison(
        metrics,
        latency=_slower(compare.latency, of[LATENCY]) if compare.latency else None,
        levels=Levels(harm=1 / compare.alpha_harm, fine=1 / compare.alpha_fine),
        units=compare.units,
        score=score,
        wagers=_pairs(compare, of),
    )


def _slower(margin: LatencyMargin, part: float) -> LatencyRules:
    """The margin in whole buckets, the nearest number of them."""
    steps = round(math.log1p(margin.slower_max) / math.log(GROWTH))
    return LatencyRules(fine_buckets=max(steps, 2), part=part, required=margin.required)


def _pairs(compare: Compare, of: dict[str, float]) -> tuple[Wager, ...]:
    if compare.pairs is None:
        return ()
    most = compare.pairs.differ_max
    worse = compare.labels.wrong.extra_max if compare.labels else 0.0
    return (
        Wager(
            name=DIFFER,
            harm=differing(most),
            fine=alike(most),
            part=of[DIFFER],
            required=compare.pairs.required,
            events=(0, 1, 2, 3),
        ),
        Wager(
            name=WRONG_COPIES,
            harm=wrong_more_often(),
            fine=not_worse(max(worse, 0.01)),
            part=of[WRONG_COPIES],
            required=False,
            events=(0, None, 1, None),
        ),
    )
