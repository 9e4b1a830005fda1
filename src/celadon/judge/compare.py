"""Green beside blue over several metrics: what each says, and what they say together."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from celadon.domain.compare import Units
from celadon.domain.durations import Buckets
from celadon.domain.evidence import Coin, Ledger, Second, Tally
from celadon.domain.reason import Code, Reason, because
from celadon.domain.verdict import (
    Finding,
    Fine,
    Harm,
    Invalid,
    Judged,
    Suspected,
    Unsure,
    Verdict,
    Worth,
)
from celadon.judge.coin import EventCoin, summed, totals
from celadon.judge.interval import interval
from celadon.judge.latency import LatencyCoins, LatencyRules
from celadon.judge.odds import Rules

NAME = "coin/1"
LATENCY = "latency"
USUAL = Rules()
SPLIT_RULES = Rules(
    ratios=(0.5, 0.8, 0.9, 1.1, 1.25, 2.0),
    cap=math.inf,
    fine_cap=math.inf,
    first=1.0,
    fine_extra=0.0,
    whole_from=1.0,
)
"""The split is judged with every request as an event: two-sided, and uncapped since a router has no bad day."""

NO_WORD = Worth(harm=1.0, suspected=1.0, fine=0.0)
"""Of a metric whose evidence can not be trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One kind of event and how it counts.

    part: of the money of the bet on harm, all parts together at most 1. required: must be proved fine before green
    is promoted. late: its answers are known only once a label comes, and labels must come alike for both sides.
    """

    name: str
    rules: Rules = USUAL
    part: float = 1.0
    required: bool = True
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """How much money is proof. Each is one over the chance of being wrong, at whatever time one looks."""

    harm: float = 100.0
    suspected: float = 20.0
    fine: float = 20.0
    split: float = 1000.0


class Comparison:
    """Judges a release by metrics and levels that are fixed before it begins. It holds no evidence."""

    __slots__ = ("_coins", "_latency", "_levels", "_metrics", "_parts", "_required", "_split", "_units")

    def __init__(
        self,
        metrics: tuple[Metric, ...],
        latency: LatencyRules | None = None,
        levels: Levels | None = None,
        units: Units = Units.REQUESTS,
    ) -> None:
        self._parts = {metric.name: metric.part for metric in metrics}
        self._required = {metric.name for metric in metrics if metric.required}
        self._latency = LatencyCoins(latency) if latency else None
        if latency:
            self._parts[LATENCY] = latency.part
            self._required |= {LATENCY} if latency.required else set()
        assert sum(self._parts.values()) <= 1 + 1e-9, "the parts are more than the whole"
        self._metrics = metrics
        self._levels = levels or Levels()
        self._units = units
        self._coins = {metric.name: EventCoin(metric.rules) for metric in metrics}
        self._split = EventCoin(SPLIT_RULES)

    def begin(
        self,
        at_s: int,
        blue_before: Mapping[str, tuple[int, int]] | None = None,
        durations_before: Buckets = (),
    ) -> Ledger:
        """A ledger that has seen nothing.

        blue_before: by metric, blue's (answers, events) before the comparison, for a first guess; durations_before:
        how long its answers took.
        """
        before = blue_before or {}
        return Ledger(
            judge=NAME,
            coins={name: coin.begin(at_s, before.get(name, (0, 0))) for name, coin in self._coins.items()},
            split=self._split.begin(at_s),
            placebo=self._coins[self._metrics[0].name].begin(at_s),
            arrivals={metric.name: self._split.begin(at_s) for metric in self._metrics if metric.late},
            slowness=self._latency.begin(at_s, durations_before) if self._latency else None,
        )

    def add(self, ledger: Ledger, second: Second) -> Ledger:
        """The ledger after one more second. The first metric's answers are those that the split is judged by."""
        coins = dict(ledger.coins)
        for name, tallies in second.tallies.items():
            for tally in tallies:
                coins[name] = self._coins[name].add(coins[name], second.at_s, tally)
        split = self._drawn(ledger.split, second, self._metrics[0].name)
        arrivals = {name: self._drawn(coin, second, name) for name, coin in ledger.arrivals.items()}
        placebo, slowness = ledger.placebo, ledger.slowness
        for tally in second.placebo:
            placebo = self._coins[self._metrics[0].name].add(placebo, second.at_s, tally)
        if self._latency and slowness:
            for durations in second.durations:
                slowness = self._latency.add(slowness, second.at_s, durations)
        return Ledger(
            judge=ledger.judge,
            coins=coins,
            split=split,
            placebo=placebo,
            arrivals=arrivals,
            slowness=slowness,
        )

    def _drawn(self, coin: Coin, second: Second, name: str) -> Coin:
        """The coin on which side answers came from: there, every one is an event."""
        for share, green, _, blue, _ in second.tallies.get(name, ()):
            coin = self._split.add(coin, second.at_s, Tally(share, green, green, blue, blue))
        return coin

    def judge(self, ledger: Ledger) -> Judged:
        """What the ledger says now, with everything that people are shown of it."""
        uneven = {
            name
            for name, coin in ledger.arrivals.items()
            if self._split.worth(coin).suspected >= self._levels.split
        }
        findings = tuple(
            self._finding(metric, ledger.coins[metric.name], uneven=metric.name in uneven)
            for metric in self._metrics
        )
        findings += self._slow(ledger)
        split = self._split.worth(ledger.split).suspected
        return Judged(
            verdict=self._verdict(ledger, findings, split, uneven),
            findings=findings,
            suspicion=self._together(findings, suspected=True),
        )

    def _finding(self, metric: Metric, coin: Coin, *, uneven: bool) -> Finding:
        worth, seen = self._coins[metric.name].worth(coin), totals(coin)
        worth = NO_WORD if uneven else worth
        return Finding(
            metric=metric.name,
            counts=summed(seen),
            worth=worth,
            interval=interval(metric.rules, seen),
            needed=needed(self._coins[metric.name], coin, worth.fine, self._levels.fine),
            required=metric.required,
            part=metric.part,
        )

    def _slow(self, ledger: Ledger) -> tuple[Finding, ...]:
        if self._latency is None or ledger.slowness is None:
            return ()
        worth, seen = self._latency.worth(ledger.slowness), totals(self._latency.worst(ledger.slowness))
        counts = summed(seen)
        return (
            Finding(
                metric=LATENCY,
                counts=counts,
                worth=worth,
                interval=interval(self._latency.rules.slower, seen),
                needed=_as_it_went(counts.green, worth.fine, self._levels.fine),
                required=LATENCY in self._required,
                part=self._parts[LATENCY],
            ),
        )

    def _verdict(
        self, ledger: Ledger, findings: tuple[Finding, ...], split: float, uneven: set[str]
    ) -> Verdict:
        levels = self._levels
        if ledger.judge != NAME:
            why = f"it was built by {ledger.judge} and not by {NAME}"
            return Invalid(because=because(Code.SAMPLES_BROKEN, why=why))
        if split >= levels.split:
            return Invalid(because=_split_reason(ledger.split, split))
        placebo = self._coins[self._metrics[0].name].worth(ledger.placebo).harm
        if placebo >= levels.suspected:
            return Invalid(because=because(Code.PLACEBO_FIRED, **_counts(summed(totals(ledger.placebo)))))
        if self._units is Units.UNSEEN:
            return Unsure(because=because(Code.UNITS_UNSEEN))
        if self._together(findings, suspected=False) >= levels.harm:
            return Harm(because=self._blame(Code.HARM_PROVED, findings, suspected=False))
        if self._together(findings, suspected=True) >= levels.suspected:
            return Suspected(because=self._blame(Code.HARM_SUSPECTED, findings, suspected=True))
        if uneven:
            return Invalid(because=because(Code.LABELS_UNEVEN, metric=min(uneven)))
        required = [finding for finding in findings if finding.metric in self._required]
        waiting = [finding for finding in required if finding.worth.fine < levels.fine]
        if required and not waiting:
            least = min(required, key=lambda finding: finding.worth.fine)
            return Fine(because=because(Code.PROVED_FINE, **_fields(least)))
        return Unsure(because=_open_reason(waiting))

    def _together(self, findings: tuple[Finding, ...], *, suspected: bool) -> float:
        """One bet spread over the metrics; what is not staked stays as it is."""
        left = 1 - sum(self._parts.values())
        return left + sum(self._money(finding, suspected=suspected) for finding in findings)

    def _money(self, finding: Finding, *, suspected: bool) -> float:
        worth = finding.worth.suspected if suspected else finding.worth.harm
        return self._parts[finding.metric] * worth

    def _blame(self, code: Code, findings: tuple[Finding, ...], *, suspected: bool) -> Reason:
        worst = max(findings, key=lambda finding: self._money(finding, suspected=suspected))
        return because(code, money=self._money(worst, suspected=suspected), **_fields(worst))


def _fields(finding: Finding) -> dict[str, str | int | float | None]:
    counts, between = finding.counts, finding.interval
    return {
        "metric": finding.metric,
        **_counts(counts),
        "ratio": "unknown" if between.ratio is None else f"{between.ratio:.2g}",
        "low": f"{between.low:.2g}",
        "high": "unknown" if between.high is None else f"{between.high:.2g}",
    }


def _counts(counts: Tally) -> dict[str, int]:
    return {
        "green_events": counts.green_events,
        "green": counts.green,
        "blue_events": counts.blue_events,
        "blue": counts.blue,
    }


def _open_reason(findings: list[Finding]) -> Reason:
    if not findings:
        return because(Code.NO_SAMPLES, why="no metric is required")
    slowest = max(findings, key=lambda finding: math.inf if finding.needed is None else finding.needed)
    if slowest.needed is None:
        return because(Code.NOT_PROVED, **_fields(slowest))
    return because(Code.NEEDS_MORE, needed=slowest.needed, **_fields(slowest))


def _split_reason(coin: Coin, money: float) -> Reason:
    seen = [tally for tally in totals(coin) if 0 < tally.share < 10_000]
    asked = sum((tally.green + tally.blue) * tally.share for tally in seen)
    answers = summed(seen)
    both = max(answers.green + answers.blue, 1)
    return because(
        Code.SPLIT_BROKEN, percent=100 * answers.green / both, asked_percent=asked / 100 / both, money=money
    )


def _as_it_went(answers: int, money: float, level: float) -> int | None:
    """About how many more answers are needed if the money goes on growing as it did."""
    if money >= level:
        return 0
    return math.ceil(answers * (math.log(level) / math.log(money) - 1)) if money > 1 and answers else None


def needed(judge: EventCoin, coin: Coin, money: float, level: float) -> int | None:
    """About how many more answers of green prove it fine if it is like blue; None when they never would.

    What the bet gains from an answer on average, at the share in force and at the events seen on both sides.
    """
    if money >= level:
        return 0
    seen = summed(totals(coin))
    answers = seen.green + seen.blue
    share = coin.heard[-1].share if coin.heard else coin.closed.past[-1].share if coin.closed.past else 0
    if answers == 0 or money <= 0:
        return None
    ((green, blue, calm_green, calm_blue),) = judge.odds(share, coin.closed.base, harm=False)
    pi, event = share / 10_000, (seen.green_events + seen.blue_events) / answers
    gain = pi * (event * green + (1 - event) * calm_green)
    gain += (1 - pi) * (event * blue + (1 - event) * calm_blue)
    return math.ceil(math.log(level / money) * pi / gain) if gain > 0 else None
