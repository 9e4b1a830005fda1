"""What would help a plan whose proof can not be counted on before its deadline."""

import math
from dataclasses import dataclass
from enum import StrEnum

from celadon.domain.compare import Compare, Margin
from celadon.domain.plan import FULL, Plan, Stage
from celadon.domain.values import replace
from celadon.judge.ahead import Load, ahead, in_time
from celadon.judge.chances import first

WIDEST = 100
"""A margin that would have to be widened by more steps than this is no margin any more."""


class Means(StrEnum):
    """What would help a release that can not be counted on to end before its deadline."""

    SHARE = "share"
    RATIO = "ratio"
    EXTRA = "extra"
    DEADLINE = "deadline"
    SHADOW = "shadow"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way out. amount: of a share, out of 10,000; of a margin, its ratio or its extra part of one; of a deadline,
    seconds; of a shadow, seconds until twice blue's errors are seen in 95 of 100; of a replay, recorded requests.
    """

    means: Means
    amount: float


def ways(plan: Plan, load: Load) -> tuple[Way, ...]:
    """What would make this plan end before its deadline, at this load. Each stands for itself."""
    compare = plan.compare
    if compare is None:
        return ()
    found = [_wider_share(plan, load), *_wider_margin(plan, compare, load), _later(plan, load)]
    copies = replace(plan, stages=(Stage(share=0, dwell_s=0.0, mirror=FULL),))
    shadow = ahead(copies, load)
    if shadow is not None:
        twice = next((look.frozen_s for look in shadow.way if look.ratio == 2.0), None)
        found += [Way(means=Means.SHADOW, amount=twice.p95)] if twice else []
    limit = compare.errors.ratio_max * load.base + compare.errors.extra_max
    found.append(Way(means=Means.REPLAY, amount=math.ceil(math.log(1 / compare.alpha_fine) / limit)))
    return tuple(way for way in found if way is not None)


def _wider_share(plan: Plan, load: Load) -> Way | None:
    """A larger share in the last stage that splits requests; half of them is where most is learned."""
    split = [number for number, stage in enumerate(plan.stages) if 0 < stage.share < FULL]
    for share in (1000, 2500, FULL // 2):
        if split and plan.stages[split[-1]].share < share:
            stages = tuple(
                replace(stage, share=share) if number == split[-1] else stage
                for number, stage in enumerate(plan.stages)
            )
            if in_time(replace(plan, stages=stages), load):
                return Way(means=Means.SHARE, amount=share)
    return None


def _wider_margin(plan: Plan, compare: Compare, load: Load) -> list[Way]:
    """The narrowest wider ratio, in tenths, and the narrowest wider extra, in tenths of a percent, that would do."""

    def ratio(steps: int) -> Margin:
        return replace(compare.errors, ratio_max=(math.floor(compare.errors.ratio_max * 10) + steps) / 10)

    def extra(steps: int) -> Margin:
        return replace(compare.errors, extra_max=(math.floor(compare.errors.extra_max * 1000) + steps) / 1000)

    def enough(margin: Margin) -> bool:
        return in_time(replace(plan, compare=replace(compare, errors=margin)), load)

    found = []
    steps = first(lambda steps: enough(ratio(steps)), WIDEST)
    found += [Way(means=Means.RATIO, amount=ratio(steps).ratio_max)] if steps < WIDEST else []
    steps = first(lambda steps: enough(extra(steps)), WIDEST)
    found += [Way(means=Means.EXTRA, amount=extra(steps).extra_max)] if steps < WIDEST else []
    return found


def _later(plan: Plan, load: Load) -> Way | None:
    found = ahead(plan, load)
    if found is None or found.fine_s is None:
        return None
    # Two digits say what can be known.
    scale = 10 ** max(math.floor(math.log10(found.fine_s.p95)) - 1, 0)
    return Way(means=Means.DEADLINE, amount=math.ceil(found.fine_s.p95 / scale) * scale)
