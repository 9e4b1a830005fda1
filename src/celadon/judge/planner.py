"""How long the judge will take, before a release begins: arithmetic, no simulation.

Evidence is a random walk whose steps are answers. The time until it has gained a given amount is close to an
inverse Gaussian, whose mean and shape follow from the mean and variance of one step (Wald's identities).
"""

import math
from dataclasses import dataclass

from celadon.domain.values import replace
from celadon.judge.odds import Odds, Rules, fine_odds, harm_odds

NEIGHBOURS = 0.95
"""Nats that alternatives near the truth add to the one that is right; fitted to simulation, see bench.judge."""

LEAST = 1e-5
"""No service is supposed to have a smaller share of events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What is known before: requests per second of both sides together, green's share, blue's share of events."""

    rate_per_s: float
    share: int
    base: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Green's requests until a decision: on average, in half of all releases, in 95 of 100."""

    mean: float
    p50: float
    p95: float

    def seconds(self, traffic: Traffic) -> "Forecast":
        """The same in seconds."""
        each_s = 10_000 / (traffic.share * traffic.rate_per_s)
        return Forecast(mean=self.mean * each_s, p50=self.p50 * each_s, p95=self.p95 * each_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """One possible green: how much worse it is, how long until that is proved, how many more callers it hurts."""

    ratio: float
    seconds: Forecast
    hurt: Forecast


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What to expect of a release. harm: without the ratios that are never proved, as all are where nothing fails.

    fine_s None: green can never be proved fine at this margin.
    decides: within the deadline harm of the largest ratio and a fine green are both found in 95 of 100 releases.
    """

    harm: tuple[Outlook, ...]
    fine_s: Forecast | None
    decides: bool


def prospect(
    rules: Rules,
    traffic: Traffic,
    *,
    levels: tuple[float, float] = (100.0, 20.0),
    part: float = 1.0,
    deadline_s: float,
    ratios: tuple[float, ...] = (1.5, 2.0, 5.0),
) -> Prospect:
    """Times for each ratio and for a green that is like blue. levels: money that proves harm, and that proves fine."""
    looks = (_outlook(rules, traffic, ratio, levels[0] / part) for ratio in ratios)
    harm = tuple(look for look in looks if look is not None)
    fine = fine_forecast(rules, traffic, levels[1])
    fine_s = _at_least(fine.seconds(traffic), floor_s(rules, rules.fine_cap, levels[1])) if fine else None
    sees = len(harm) > 0 and harm[-1].seconds.p95 <= deadline_s
    return Prospect(
        harm=harm, fine_s=fine_s, decides=sees and fine_s is not None and fine_s.p95 <= deadline_s
    )


def harm_forecast(rules: Rules, traffic: Traffic, ratio: float, level: float) -> Forecast | None:
    """Green's requests until a green that is `ratio` times worse is proved so, windows not capped.

    None when the bet does not grow.
    """
    (odds,) = harm_odds(replace(rules, ratios=(ratio,)), traffic.share, traffic.base)
    return _forecast(traffic, odds, min(ratio * traffic.base, 1.0), harm_nats(rules, level))


def harm_nats(rules: Rules, level: float) -> float:
    """How far the walk of the right alternative has to go, as the money is spread over all of them."""
    return math.log(level) + math.log(len(rules.ratios) / rules.first) - NEIGHBOURS


def fine_forecast(rules: Rules, traffic: Traffic, level: float) -> Forecast | None:
    """Green's requests until a green like blue is proved fine, windows not capped; None when it never is."""
    # The judge never guesses a share of exactly nothing.
    (odds,) = fine_odds(rules, traffic.share, max(traffic.base, LEAST))
    return _forecast(traffic, odds, traffic.base, math.log(level))


def _outlook(rules: Rules, traffic: Traffic, ratio: float, level: float) -> Outlook | None:
    green = harm_forecast(rules, traffic, ratio, level)
    if green is None:
        return None
    seconds = _at_least(green.seconds(traffic), floor_s(rules, rules.cap, level))
    more = traffic.rate_per_s * traffic.share / 10_000 * (min(ratio * traffic.base, 1.0) - traffic.base)
    return Outlook(
        ratio=ratio,
        seconds=seconds,
        hurt=Forecast(mean=seconds.mean * more, p50=seconds.p50 * more, p95=seconds.p95 * more),
    )


def floor_s(rules: Rules, cap: float, level: float) -> float:
    """Seconds before which nothing is decided: so many windows must each have multiplied the money by the cap."""
    if math.isinf(cap):
        return 0.0
    return (math.ceil(math.log(level) / math.log(cap)) - 1) * rules.window_s


def _at_least(seconds: Forecast, floor_s: float) -> Forecast:
    return Forecast(
        mean=max(seconds.mean, floor_s), p50=max(seconds.p50, floor_s), p95=max(seconds.p95, floor_s)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What one answer of either side brings to the logarithm of a bet's money: its mean and its variance.

    jump: by how much the walk is above its threshold when it has crossed it, about half of an upward step.
    """

    drift: float
    spread: float
    jump: float


def walk(traffic: Traffic, odds: Odds, green: float) -> Walk:
    """The walk of a bet when green's share of events is `green`. rate_per_s is not asked."""
    pi = traffic.share / 10_000
    chances = (
        pi * green,
        (1 - pi) * traffic.base,
        pi * (1 - green),
        (1 - pi) * (1 - traffic.base),
    )
    both = list(zip(chances, odds, strict=True))
    drift = sum(chance * step for chance, step in both)
    gains = sum(max(chance * step, 0.0) for chance, step in both)
    squares = sum(chance * step * step for chance, step in both if step > 0)
    return Walk(
        drift=drift,
        spread=sum(chance * step * step for chance, step in both) - drift * drift,
        jump=squares / gains / 2 if gains > 0 else 0.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The same by the second. Where windows are capped, what is beyond the cap does not count."""

    drift: float
    spread: float
    jump: float


def pace(step: Walk, rate_per_s: float, window_s: int, cap: float) -> Pace:
    """How fast a bet grows, its windows being nearly normal. rate_per_s: answers of both sides."""
    drift, spread, top = step.drift * rate_per_s, step.spread * rate_per_s, math.log(cap)
    if math.isinf(cap) or spread == 0:
        return Pace(drift=drift, spread=spread, jump=step.jump)
    mean, sigma = drift * window_s, math.sqrt(spread * window_s)
    z = (top - mean) / sigma
    below, density = _normal(z), math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    first = mean * below - sigma * density + top * (1 - below)
    second = (mean**2 + sigma**2) * below - sigma * (top + mean) * density + top**2 * (1 - below)
    return Pace(
        drift=first / window_s, spread=max(second - first**2, 0.0) / window_s, jump=min(step.jump, top)
    )


def _forecast(traffic: Traffic, odds: Odds, green: float, nats: float) -> Forecast | None:
    step = walk(traffic, odds, green)
    if step.drift <= 0:
        return None
    reach, pi = nats + step.jump, traffic.share / 10_000
    mean, shape = reach / step.drift, reach * reach / step.spread
    return Forecast(
        mean=mean * pi,
        p50=_quantile(0.5, mean, shape) * pi,
        p95=_quantile(0.95, mean, shape) * pi,
    )


def passed(x: float, mean: float, shape: float) -> float:
    """The distribution function of the inverse Gaussian."""
    if x <= 0:
        return 0.0
    root = math.sqrt(shape / x)
    # The second term's factors are huge and tiny; together they are at most one.
    tail = _normal(-root * (x / mean + 1))
    second = math.exp(2 * shape / mean + math.log(tail)) if tail > 0 else 0.0
    return _normal(root * (x / mean - 1)) + second


def _quantile(q: float, mean: float, shape: float) -> float:
    """The q-quantile of the inverse Gaussian, by bisection."""
    low, high = mean * 1e-6, mean * 1e3
    for _ in range(80):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if passed(middle, mean, shape) > q else (middle, high)
    return high


def _normal(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2
