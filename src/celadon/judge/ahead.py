"""What a whole plan leads to, told before it begins: how soon harm would be seen, and how soon a fine green is through.

By the arithmetic of `planner`, stage by stage and along the way. Only errors are forecast: how many labels or scores
will come, and how latency will spread, nobody knows before.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from celadon.domain.compare import Compare
from celadon.domain.plan import FULL, Plan, Stage
from celadon.domain.values import replace
from celadon.judge.compare import Levels
from celadon.judge.exposure import REACTION_S
from celadon.judge.metrics import COPIES, ERRORS, parts
from celadon.judge.odds import Rules, fine_odds, harm_odds
from celadon.judge.planner import LEAST, Pace, Traffic, floor_s, harm_nats, pace, passed, walk

RATIOS = (1.5, 2.0, 5.0)
CERTAIN = 1e-6
"""A walk with less variance than this part of its drift just goes on."""

NEVER_S = 1e9
"""What takes longer is never seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is supposed: requests per second, of which the release draws; blue's share of errors."""

    rate_per_s: float
    base: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Likely:
    """Not more than p50 in half of all releases, and not more than p95 in 95 of 100."""

    p50: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A green with `ratio` times blue's errors.

    within: that is within its margin, so that it may well be promoted. frozen_s: until no caller meets it any more;
    proved_s: until harm is proved, if answers or copies go on. hurt: callers with an error that blue would not have
    given, until it is frozen. None: it is never seen.
    """

    ratio: float
    within: bool
    frozen_s: Likely | None
    proved_s: Likely | None
    hurt: Likely | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageAhead:
    """One stage, and what it would show if it lasted: none where both sides do not answer."""

    stage: Stage
    looks: tuple[Look, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """The whole plan. way: harm that is there from the first stage on. fine_s: until a green like blue has ended the
    last stage, None where that is never proved. proves: whether a proof is asked for. late: its proof can not be
    counted on before the deadline.
    """

    stages: tuple[StageAhead, ...]
    way: tuple[Look, ...]
    fine_s: Likely | None
    proves: bool
    late: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """A stage in which both sides answer. rate_per_s: of both together. live: callers get what green answers.

    lasts_s: at least so long, or until all copies that are allowed were made.
    """

    metric: str
    share: int
    rate_per_s: float
    live: bool
    stage: Stage
    lasts_s: float


def ahead(plan: Plan, load: Load) -> Ahead | None:
    """What is to be expected of a plan; None where nothing is compared."""
    compare = plan.compare
    if compare is None or not (legs := _legs(plan, load)):
        return None
    stages = tuple(
        StageAhead(stage=stage, looks=_looks(compare, [leg for leg in legs if leg.stage is stage], load))
        for stage in plan.stages
    )
    proves = any(stage.proof > 0 for stage in plan.stages)
    fine_s, late = _fine(plan, compare, legs, load)
    return Ahead(
        stages=stages, way=_looks(compare, legs, load), fine_s=fine_s, proves=proves, late=proves and late
    )


def in_time(plan: Plan, load: Load) -> bool:
    """Whether the proof that a plan asks for can be counted on before the deadline."""
    legs = _legs(plan, load)
    return plan.compare is not None and len(legs) > 0 and not _fine(plan, plan.compare, legs, load)[1]


def rules_of(compare: Compare) -> Rules:
    """How errors are judged."""
    return Rules(fine_ratio=compare.errors.ratio_max, fine_extra=compare.errors.extra_max)


def _legs(plan: Plan, load: Load) -> list[Leg]:
    """Stages that split requests, and shadows, whose copies and originals are the two sides."""
    legs, rate = [], load.rate_per_s
    for stage in plan.stages:
        if 0 < stage.share < FULL:
            leg = Leg(
                metric=ERRORS,
                share=stage.share,
                rate_per_s=rate,
                live=True,
                stage=stage,
                lasts_s=stage.dwell_s,
            )
            legs.append(leg)
        elif stage.share == 0 and stage.mirror:
            both, most = FULL + stage.mirror, stage.mirrored_max
            all_s = math.inf if most is None else most * FULL / (rate * stage.mirror)
            leg = Leg(
                metric=COPIES,
                share=round(FULL * stage.mirror / both),
                rate_per_s=rate * both / FULL,
                live=False,
                stage=stage,
                lasts_s=min(stage.dwell_s, all_s),
            )
            legs.append(leg)
    return legs


Course = list[tuple[float, float, Pace]]
"""From when to when a bet grows how."""


def _looks(compare: Compare, legs: list[Leg], load: Load) -> tuple[Look, ...]:
    return tuple(_look(compare, legs, load, ratio) for ratio in RATIOS) if legs and load.base else ()


def _look(compare: Compare, legs: list[Leg], load: Load, ratio: float) -> Look:
    """Copies and callers' answers are two bets, either of which may be the first to see harm."""
    rules, base = rules_of(compare), load.base
    green = min(ratio * base, 1.0)
    times = _times(compare, legs, load, green)
    of = parts(compare, copies=any(not leg.live for leg in legs) or compare.freeze_mirror > 0)
    timed = list(zip(legs, times, strict=True))

    def by(level: float, cap: float) -> Callable[[float], float]:
        courses = [
            (_course(rules, [one for one in timed if one[0].metric == metric], load, ratio, cap), part)
            for metric, part in of.items()
        ]

        def seen(at_s: float) -> float:
            missed = (1 - _crossed(course, harm_nats(rules, level / part), at_s) for course, part in courses)
            return 1 - math.prod(missed)

        return seen

    frozen_s = _likely(by(Levels().suspected, math.inf), 0.0, REACTION_S)
    harm = 1 / compare.alpha_harm
    proved_s = _likely(by(harm, rules.cap), floor_s(rules, rules.cap, harm), 0.0)
    return Look(
        ratio=ratio,
        within=green < rules.fine_ratio * base + rules.fine_extra,
        frozen_s=frozen_s,
        proved_s=proved_s,
        hurt=frozen_s
        and Likely(
            p50=_hurt(legs, times, frozen_s.p50) * (green - base),
            p95=_hurt(legs, times, frozen_s.p95) * (green - base),
        ),
    )


def _course(
    rules: Rules, legs: list[tuple[Leg, tuple[float, float]]], load: Load, ratio: float, cap: float
) -> Course:
    course = []
    for leg, (begin, end) in legs:
        if begin < NEVER_S:
            (odds,) = harm_odds(replace(rules, ratios=(ratio,)), leg.share, load.base)
            traffic = Traffic(rate_per_s=leg.rate_per_s, share=leg.share, base=load.base)
            step = walk(traffic, odds, min(ratio * load.base, 1.0))
            course.append((begin, end, pace(step, leg.rate_per_s, rules.window_s, cap)))
    return course


def _crossed(course: Course, nats: float, at_s: float) -> float:
    """The chance that a walk whose pace changes on the way has gained `nats` by then, on the clock of its drift."""
    gained = spread = jump = 0.0
    for begin, end, step in course:
        seconds = min(at_s, end) - begin
        if seconds > 0:
            gained += step.drift * seconds
            spread += step.spread * seconds
            jump = step.jump
    if gained <= 0:
        return 0.0
    reach = nats + jump
    if spread < CERTAIN * gained:
        return float(gained >= reach)
    return passed(gained, reach, reach * reach * gained / spread)


def _times(compare: Compare, legs: list[Leg], load: Load, green: float) -> list[tuple[float, float]]:
    """When each leg begins and ends on average: after its time, and once the proof that it asks for is there."""
    at_s, money, times = 0.0, 0.0, []
    for number, leg in enumerate(legs):
        drift = _fine_pace(compare, leg, load, green).drift if leg.live else 0.0
        wanted = math.log(leg.stage.proof) - money if leg.stage.proof else 0.0
        lasts = leg.lasts_s
        if wanted > 0:
            lasts = max(lasts, wanted / drift) if drift > 0 else NEVER_S
        end = NEVER_S if number + 1 == len(legs) else min(at_s + lasts, NEVER_S)
        times.append((at_s, end))
        money, at_s = money + drift * min(lasts, NEVER_S), end
    return times


def _fine_pace(compare: Compare, leg: Leg, load: Load, green: float) -> Pace:
    """How fast the bet on fine grows, its windows capped."""
    rules = rules_of(compare)
    (odds,) = fine_odds(rules, leg.share, max(load.base, LEAST))
    step = walk(Traffic(rate_per_s=leg.rate_per_s, share=leg.share, base=load.base), odds, green)
    return pace(step, leg.rate_per_s, rules.window_s, rules.fine_cap)


def _hurt(legs: list[Leg], times: list[tuple[float, float]], at_s: float) -> float:
    """Green's answers to callers by then."""
    answers = 0.0
    for leg, (begin, end) in zip(legs, times, strict=True):
        if leg.live:
            answers += leg.rate_per_s * leg.share / FULL * max(min(at_s, end) - begin, 0.0)
    return answers


def _likely(chance: Callable[[float], float], least_s: float, more_s: float) -> Likely | None:
    """When a chance that only grows is one half, and when it is 0.95."""
    if chance(NEVER_S) < 0.95:
        return None
    return Likely(
        p50=max(_when(chance, 0.5), least_s) + more_s, p95=max(_when(chance, 0.95), least_s) + more_s
    )


def _when(chance: Callable[[float], float], q: float) -> float:
    low, high = 1e-3, NEVER_S
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if chance(middle) > q else (middle, high)
    return high


def _fine(plan: Plan, compare: Compare, legs: list[Leg], load: Load) -> tuple[Likely | None, bool]:
    """Until a green that is like blue is through the whole plan, and whether that may be later than the deadline."""
    rest_s = sum(stage.dwell_s for stage in plan.stages if stage.share == FULL)
    asked = [leg for leg in legs if leg.stage.proof]
    whole_s = sum(leg.lasts_s for leg in legs)
    if not asked:
        return Likely(p50=whole_s + rest_s, p95=whole_s + rest_s), False
    proof_s, late = (_grown if len(asked) > 1 else _at_once)(plan, compare, legs, load)
    if proof_s is None:
        return None, True
    return Likely(p50=max(proof_s.p50, whole_s) + rest_s, p95=max(proof_s.p95, whole_s) + rest_s), late


def _at_once(plan: Plan, compare: Compare, legs: list[Leg], load: Load) -> tuple[Likely | None, bool]:
    """One proof at the end of stages that have their times."""
    begins = [0.0]
    for leg in legs[:-1]:
        begins.append(begins[-1] + leg.lasts_s)
    course = [
        (begin, end, _fine_pace(compare, leg, load, load.base))
        for leg, (begin, end) in zip(legs, pairwise((*begins, NEVER_S)), strict=True)
        if leg.live
    ]
    rules, last = rules_of(compare), legs[-1].stage
    level = last.proof
    proof_s = _likely(
        lambda at_s: _crossed(course, math.log(level), at_s), floor_s(rules, rules.fine_cap, level), 0.0
    )
    return proof_s, proof_s is None or proof_s.p95 > begins[-1] + _deadline_s(plan, last)


def _grown(plan: Plan, compare: Compare, legs: list[Leg], load: Load) -> tuple[Likely | None, bool]:
    """A part of the proof in every stage: times add up, and so do their variances."""
    rules, money, mean, spread, late = rules_of(compare), 0.0, 0.0, 0.0, False
    for leg in legs:
        if not leg.live:
            mean += leg.lasts_s
            continue
        step = _fine_pace(compare, leg, load, load.base)
        wanted = math.log(leg.stage.proof) - money
        if step.drift <= 0:
            return None, True
        each_s = (wanted + step.jump * wanted / math.log(legs[-1].stage.proof)) / step.drift
        own = each_s * step.spread / step.drift**2
        least_s = max(leg.lasts_s, floor_s(rules, rules.fine_cap, math.exp(wanted)))
        late = late or each_s + 2 * math.sqrt(own) > _deadline_s(plan, leg.stage)
        mean, spread, money = mean + max(each_s, least_s), spread + own, money + wanted
    shape = mean**3 / max(spread, CERTAIN * mean)
    found = _likely(lambda at_s: passed(at_s, mean, shape), 0.0, 0.0)
    return found, late or found is None


def _deadline_s(plan: Plan, stage: Stage) -> float:
    return plan.watch_deadline_s if stage.deadline_s is None else stage.deadline_s
