"""From a budget of bad answers to shares and times: what a faulty green costs callers before it is frozen.

A fault is an error share that green has from its first request on. Its cost is counted with the very odds that the
judge bets with: errors of green until harm is suspected, and those that still come while the freeze takes effect. A
larger share is only given once a green that would cost more than the budget there would have been frozen before.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

from celadon.domain.compare import Compare
from celadon.domain.plan import FULL
from celadon.domain.problem import Problem
from celadon.domain.spec import Exposure, ReleasePolicy, Step, Watch
from celadon.judge.chances import binomial, first, negative_binomial, poisson_quantile
from celadon.judge.compare import Levels
from celadon.judge.metrics import ERRORS, parts
from celadon.judge.odds import Rules, harm_odds

REACTION_S = 2.0
"""From the answer that makes harm suspected to the last request that green gets: up to a second until it is counted,
half a second until the next tick, and the time until every listener has the new route."""

SUPPOSED = 0.01
"""Blue's share of errors, which nobody states. Below 2 % the odds do not depend on it, and blue's own errors only make
a fault a little harder to see."""

SHARES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2500, 5000)
"""Shares that a ladder may have, out of 10,000."""

FAULTS = tuple(10 ** (-exponent / 12) for exponent in range(24))
"""Error shares that are looked at, from 1 down to just above what is supposed of blue."""

LEAST_S = 10.0
"""No stage is shorter: one window of the judge."""

RULES = Rules()

ERRORS_MAX = 4000
ANSWERS_MAX = 10_000_000
"""What takes more than these is taken for never."""


COVERED = 0.05
"""A ladder does not climb where faults of this error share would cost more than the budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One stage of the ladder.

    dwell_s: how long it takes at the stated rate; answers: how many green gives in it. fault: a green with a larger
    error share than this was frozen before this stage, with the confidence that was asked for; 1 where nothing is
    known yet. costs: bad answers of that fault here; None where the margin alone says what is allowed. sudden: those of a green that only here begins to fail every
    request, which no budget can promise.
    """

    share: int
    dwell_s: float
    answers: int
    fault: float
    costs: int | None
    sudden: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Everything that follows from a budget. covers_from: it is kept for faults of at least this error share.

    Smaller ones beyond the margin are found as in every release, and may cost more until then.
    """

    rungs: tuple[Rung, ...]
    covers_from: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """How the judge sees errors. level: money on errors at which harm is suspected. miss: how often a bound may fail."""

    level: float
    miss: float


def steps(policy: ReleasePolicy) -> tuple[Step, ...]:
    """The stages of a policy with a budget, in the place of those of a ramp; none where it can not be kept."""
    found = _derived(policy)
    return tuple(Step(share=rung.share, dwell_s=rung.dwell_s) for rung in found.rungs) if found else ()


def impossible(policy: ReleasePolicy) -> Problem | None:
    """What is wrong with a budget that no share can keep."""
    exposure = policy.exposure
    if exposure is None or _derived(policy) is not None:
        return None
    least = _cost(_sight(exposure, policy.compare or Compare()), SHARES[0], 1.0, exposure.rate_per_s)
    found = (
        f"{exposure.bad_answers_max} can not be kept at {exposure.rate_per_s:g} requests/s: even at a share of "
        f"{SHARES[0] / 100:g} % a green that fails every request gives {least} bad answers before it is frozen"
    )
    hint = f"allow {least} or more, ask for less confidence, or let a shadow find it first: `strategy: {{shadow: ...}}`"
    return Problem(path="spec/release/exposure/badAnswers", found=found, hint=hint)


def _derived(policy: ReleasePolicy) -> Ladder | None:
    assert policy.exposure is not None, "a ladder follows from a budget"
    return ladder(policy.exposure, policy.compare or Compare(), policy.watch)


@lru_cache(maxsize=64)
def ladder(exposure: Exposure, compare: Compare, watch: Watch) -> Ladder | None:
    """The ladder of a budget; None where even the smallest share would cost more.

    Its last stage before every request moves ends by proof, as in every ramp; that a green beyond its margin is
    promoted is the other half of what the confidence leaves.
    """
    sight, rate, budget = _sight(exposure, compare), exposure.rate_per_s, exposure.bad_answers_max
    share = next((share for share in reversed(SHARES) if _cost(sight, share, 1.0, rate) <= budget), None)
    if share is None:
        return None
    rungs, fault, covers = [], 1.0, min(_kept(sight, share, exposure))
    for larger in (each for each in SHARES if each > share):
        kept = _kept(sight, larger, exposure)
        if not kept or min(kept) > max(COVERED, covers) * 1.001:
            break
        if max(kept) < fault:
            rungs.append(_rung(sight, share, _dwell_s(sight, share, max(kept), rate), fault, rate))
            share, fault = larger, max(kept)
    covers = min(_kept(sight, share, exposure))
    rungs.append(_rung(sight, share, LEAST_S, fault, rate))
    return Ladder(rungs=(*rungs, _full(sight, compare, watch, rate)), covers_from=covers)


def _sight(exposure: Exposure, compare: Compare) -> Sight:
    """Four bounds have to hold: errors and answers until a fault is excluded, errors and lag where it is met."""
    part = parts(compare, copies=compare.freeze_mirror > 0)[ERRORS]
    return Sight(level=Levels().suspected / part, miss=(1 - exposure.confidence) / 8)


def _rung(sight: Sight, share: int, dwell_s: float, fault: float, rate: float) -> Rung:
    return Rung(
        share=share,
        dwell_s=dwell_s,
        answers=math.floor(dwell_s * rate * share / FULL),
        fault=fault,
        costs=_cost(sight, share, fault, rate),
        sudden=_cost(sight, share, 1.0, rate),
    )


def _full(sight: Sight, compare: Compare, watch: Watch, rate: float) -> Rung:
    """Every request: nothing is left to compare, and the guard alone sees a fault that begins here."""
    margin = compare.errors.ratio_max * SUPPOSED + compare.errors.extra_max
    return Rung(
        share=FULL,
        dwell_s=watch.watch_s,
        answers=math.ceil(watch.watch_s * rate),
        fault=margin,
        costs=None,
        sudden=at_full(watch, rate, sight.miss),
    )


def at_full(watch: Watch, rate_per_s: float, miss: float) -> int:
    """Bad answers of a green that fails every request while it has all of them, until the guard has taken it back."""
    seen = math.floor(watch.error_share_max * watch.requests_min) + 1
    return seen + poisson_quantile(1 - miss, rate_per_s * REACTION_S)


def _dwell_s(sight: Sight, share: int, fault: float, rate: float) -> float:
    """Whole seconds until a green with this fault was frozen."""
    errors = _errors(sight, share, fault)
    answers = first(lambda n: binomial(n, fault, errors - 1) <= sight.miss, ANSWERS_MAX)
    return max(float(math.ceil(answers * FULL / (share * rate) + REACTION_S)), LEAST_S)


def _kept(sight: Sight, share: int, exposure: Exposure) -> list[float]:
    """The faults that cost no more than the budget at this share, from the largest such down without a gap."""
    kept: list[float] = []
    for fault in FAULTS:
        if _cost(sight, share, fault, exposure.rate_per_s) <= exposure.bad_answers_max:
            kept.append(fault)
        elif kept:
            break
    return kept


def _cost(sight: Sight, share: int, fault: float, rate: float) -> int:
    """Bad answers at this share until nobody gets any more."""
    lag = poisson_quantile(1 - sight.miss, fault * rate * share / FULL * REACTION_S)
    return _errors(sight, share, fault) + lag


@lru_cache(maxsize=4096)
def _errors(sight: Sight, share: int, fault: float) -> int:
    """Green's errors until harm is suspected, in all but `miss` of the releases.

    Before the n-th of them so many errors of blue come as a negative binomial says. Only that the money was not enough
    at the n-th is used, and not what it was before, so the number is rather too large than too small.
    """
    pi = share / FULL
    ours = pi * fault / (pi * fault + (1 - pi) * SUPPOSED)

    def surely(errors: int) -> bool:
        return negative_binomial(errors, ours, _blue_most(sight, share, errors)) >= 1 - sight.miss

    return first(surely, ERRORS_MAX)


def _blue_most(sight: Sight, share: int, errors: int) -> int:
    """With at most so many errors of blue, so many of green make harm suspected; -1 where they never do."""
    odds = harm_odds(RULES, share, SUPPOSED)
    stake = RULES.first / len(odds)

    def money(blue: int) -> float:
        nats = (errors * green + blue * other for green, other, _, _ in odds)
        return stake * sum(math.exp(min(nat, 600.0)) for nat in nats)

    return first(lambda n: money(n - 1) < sight.level, 10 * ERRORS_MAX) - 2
