"""Green beside blue over several metrics: what each says, and what they say together."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from celadon.domain.compare import Units
from celadon.domain.durations import Buckets
from celadon.domain.evidence import Bet, Coin, Ledger, Second, Tally
from celadon.domain.reason import Code, Reason, because
from celadon.domain.values import replace
from celadon.domain.verdict import (
    Finding,
    Fine,
    Harm,
    Interval,
    Invalid,
    Judged,
    Suspected,
    Unsure,
    Verdict,
    Worth,
)
from celadon.judge.bet import Bets, Swap
from celadon.judge.coin import LARGEST, EventCoin, summed, totals
from celadon.judge.interval import interval
from celadon.judge.latency import LatencyCoins, LatencyRules
from celadon.judge.odds import Rules
from celadon.judge.score import ScoreCoin
from celadon.judge.told import as_it_went, broken_split, counts, fields, needed, still_open

NAME = "coin/1"
LATENCY = "latency"
SCORE = "score"
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

UNKNOWN = Interval(ratio=None, low=0.0, high=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One kind of event and how it counts.

    part: of the money of the bet on harm, all parts together at most 1. required: must be proved fine before green
    is promoted. late: its answers are known only once a label comes, and labels must come alike for both sides; of: the
    late metric whose labels these are. swapped: judged by windows that could be exchanged, and never proved fine.
    copied: of copies that no caller saw; while nothing else is drawn, these are what must be proved fine.
    """

    name: str
    rules: Rules = USUAL
    part: float = 1.0
    required: bool = True
    late: bool = False
    of: str = ""
    swapped: bool = False
    copied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wager:
    """A metric that is judged by bets on counts. harm, fine: the bets, by the kinds of counts that `judge.bet` names.

    events: which places of harm's counts are (green's events, green's others, blue's events, blue's others).
    """

    name: str
    harm: Bets
    fine: Bets
    part: float
    required: bool
    events: tuple[int | None, int | None, int | None, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRules:
    """How scores are judged: by which coin, with which part of the money, and whether it must be proved."""

    coin: ScoreCoin
    part: float = 0.3
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """How much money is proof. Each is one over the chance of being wrong, at whatever time one looks."""

    harm: float = 100.0
    suspected: float = 20.0
    fine: float = 20.0
    split: float = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a stage asks of the comparison.

    proof: money that every required metric must have for fine, None for that of the levels. copies: green gets copies
    alone. forgiven: money on harm that was there when the last freeze ended. notes: by metric, what people should
    know of it now, such as why it is not compared.
    """

    proof: float | None = None
    copies: bool = False
    forgiven: float = 0.0
    notes: tuple[tuple[str, str], ...] = ()


USUALLY = Asked()


class Comparison:
    """Judges a release by metrics and levels that are fixed before it begins. It holds no evidence."""

    __slots__ = (
        "_coins",
        "_last",
        "_latency",
        "_levels",
        "_metrics",
        "_score",
        "_split",
        "_swap",
        "_units",
        "_wagers",
    )

    def __init__(
        self,
        metrics: tuple[Metric, ...],
        latency: LatencyRules | None = None,
        levels: Levels | None = None,
        units: Units = Units.REQUESTS,
        *,
        score: ScoreRules | None = None,
        wagers: tuple[Wager, ...] = (),
    ) -> None:
        parts = sum(metric.part for metric in metrics) + sum(wager.part for wager in wagers)
        parts += (latency.part if latency else 0) + (score.part if score else 0)
        assert parts <= 1 + 1e-9, "the parts are more than the whole"
        self._latency = LatencyCoins(latency) if latency else None
        self._metrics, self._wagers, self._score = metrics, wagers, score
        self._levels = levels or Levels()
        self._units = units
        self._coins = {metric.name: EventCoin(metric.rules) for metric in metrics}
        self._split = EventCoin(SPLIT_RULES)
        self._swap = Swap(window_s=60, ratios=(1.05, 1.2, 1.5, 2.0))
        self._last: tuple[Ledger, Asked, Judged] | None = None

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
        late = [metric.name for metric in self._metrics if metric.late] + ([SCORE] if self._score else [])
        bets = {wager.name: wager.harm.begin(at_s) for wager in self._wagers}
        bets |= {fine_of(wager.name): wager.fine.begin(at_s) for wager in self._wagers}
        bets |= {metric.name: self._swap.begin(at_s) for metric in self._metrics if metric.swapped}
        return Ledger(
            judge=NAME,
            coins={name: coin.begin(at_s, before.get(name, (0, 0))) for name, coin in self._coins.items()},
            split=self._split.begin(at_s),
            placebo=self._coins[self._metrics[0].name].begin(at_s),
            arrivals={name: self._split.begin(at_s) for name in late},
            slowness=self._latency.begin(at_s, durations_before) if self._latency else None,
            scores=self._score.coin.begin(at_s) if self._score else None,
            bets=bets,
        )

    def add(self, ledger: Ledger, second: Second) -> Ledger:
        """The ledger after one more second. The first metric's answers are those that the split is judged by."""
        at_s, coins = second.at_s, dict(ledger.coins)
        for name, tallies in second.tallies.items():
            for tally in tallies:
                coins[name] = self._coins[name].add(coins[name], at_s, tally)
        first = self._metrics[0].name
        drawn = second.tallies.get(first, ()) if second.drawn is None else second.drawn
        placebo, slowness, scores = ledger.placebo, ledger.slowness, ledger.scores
        for tally in second.placebo:
            placebo = self._coins[first].add(placebo, at_s, tally)
        if self._latency and slowness:
            for durations in second.durations:
                slowness = self._latency.add(slowness, at_s, durations)
        if self._score and scores:
            for share, value, green in second.scores:
                scores = self._score.coin.add(scores, at_s, share, value, green=green)
        return replace(
            ledger,
            coins=coins,
            split=self._sided(ledger.split, at_s, drawn),
            placebo=placebo,
            arrivals=self._arrived(ledger.arrivals, second),
            slowness=slowness,
            scores=scores,
            bets=self._wagered(ledger.bets, second) if second.counts else ledger.bets,
        )

    def _sided(self, coin: Coin, at_s: int, answers: tuple[Tally, ...]) -> Coin:
        """The coin on which side answers came from: there, every one is an event."""
        for share, green, _, blue, _ in answers:
            coin = self._split.add(coin, at_s, Tally(share, green, green, blue, blue))
        return coin

    def _arrived(self, arrivals: Mapping[str, Coin], second: Second) -> Mapping[str, Coin]:
        came = {name: second.tallies[name] for name in arrivals if name in second.tallies}
        if second.scores:
            came[SCORE] = tuple(
                Tally(share, int(green), 0, int(not green), 0) for share, _, green in second.scores
            )
        after = {name: self._sided(arrivals[name], second.at_s, answers) for name, answers in came.items()}
        return {**arrivals, **after} if after else arrivals

    def _wagered(self, bets: Mapping[str, Bet], second: Second) -> Mapping[str, Bet]:
        after, at_s = dict(bets), second.at_s
        for wager in self._wagers:
            if wager.name in second.counts:
                after[wager.name] = wager.harm.add(after[wager.name], at_s, second.counts[wager.name])
            fine = fine_of(wager.name)
            if fine in second.counts:
                after[fine] = wager.fine.add(after[fine], at_s, second.counts[fine])
        for metric in self._metrics:
            if metric.swapped and metric.name in second.counts:
                green, control = second.counts[metric.name]
                after[metric.name] = self._swap.add(after[metric.name], at_s, green, control)
        return after

    def judge(self, ledger: Ledger, asked: Asked = USUALLY) -> Judged:
        """What the ledger says now, with everything that people are shown of it. The same ledger is judged once."""
        last = self._last
        if last is not None and last[0] is ledger and last[1] == asked:
            return last[2]
        found = self._judge(ledger, asked)
        self._last = (ledger, asked, found)
        return found

    def _judge(self, ledger: Ledger, asked: Asked) -> Judged:
        level = self._levels.fine if asked.proof is None else asked.proof
        uneven = frozenset(
            name
            for name, coin in ledger.arrivals.items()
            if self._split.worth(coin).suspected >= self._levels.split
        )
        findings = (
            *(self._finding(metric, ledger, level, uneven) for metric in self._metrics),
            *self._slow(ledger, level),
            *self._scored(ledger, level, uneven),
            *(self._wager(wager, ledger, level) for wager in self._wagers),
        )
        notes = dict(asked.notes)
        if notes:
            findings = tuple(
                replace(one, note=notes[one.metric]) if one.metric in notes else one for one in findings
            )
        suspicion = self._together(findings, suspected=True) / self._outweighed(ledger)
        return Judged(
            verdict=self._verdict(ledger, findings, suspicion, asked, uneven),
            findings=findings,
            suspicion=suspicion,
        )

    def copies_fine(self, ledger: Ledger) -> float:
        """Money on fine copies, at least 1; a freeze that is fed by them may end on it."""
        worths = [self._coins[m.name].worth(ledger.coins[m.name]) for m in self._metrics if m.copied]
        return max([1.0, *(worth.fine for worth in worths)])

    def _outweighed(self, ledger: Ledger) -> float:
        if not ledger.frozen_fine:
            return ledger.outweighed
        return ledger.outweighed * max(1.0, self.copies_fine(ledger) / ledger.frozen_fine)

    def frozen(self, ledger: Ledger, *, now: bool) -> Ledger:
        """The ledger when a freeze begins or ends; the same one while nothing changes."""
        if now == bool(ledger.frozen_fine):
            return ledger
        if now:
            return replace(ledger, frozen_fine=self.copies_fine(ledger))
        return replace(ledger, frozen_fine=0.0, outweighed=self._outweighed(ledger))

    def _finding(self, metric: Metric, ledger: Ledger, level: float, uneven: frozenset[str]) -> Finding:
        coin, judge = ledger.coins[metric.name], self._coins[metric.name]
        worth, seen = bounded(judge.worth(coin)), totals(coin)
        if metric.swapped:
            money = self._swap.worth(ledger.bets[metric.name])
            worth = Worth(money, money, 0.0)
        elif self._units is Units.UNSEEN or (metric.of or metric.name) in uneven:
            worth = NO_WORD
        provable = worth is not NO_WORD and not metric.swapped
        return Finding(
            metric=metric.name,
            counts=summed(seen),
            worth=worth,
            interval=interval(metric.rules, seen),
            needed=needed(judge, coin, worth.fine, level or self._levels.fine) if provable else None,
            required=metric.required,
            part=metric.part,
        )

    def _slow(self, ledger: Ledger, level: float) -> tuple[Finding, ...]:
        if self._latency is None or ledger.slowness is None:
            return ()
        rules = self._latency.rules
        worth, seen = self._latency.worth(ledger.slowness), totals(self._latency.worst(ledger.slowness))
        tally = summed(seen)
        return (
            Finding(
                metric=LATENCY,
                counts=tally,
                worth=NO_WORD if self._units is Units.UNSEEN else bounded(worth),
                interval=interval(rules.slower, seen),
                needed=as_it_went(tally.green, worth.fine, level or self._levels.fine),
                required=rules.required,
                part=rules.part,
            ),
        )

    def _scored(self, ledger: Ledger, level: float, uneven: frozenset[str]) -> tuple[Finding, ...]:
        if self._score is None or ledger.scores is None:
            return ()
        untrusted = SCORE in uneven or self._units is Units.UNSEEN
        worth = NO_WORD if untrusted else bounded(self._score.coin.worth(ledger.scores))
        greens, green_sum, blues, blue_sum = ledger.scores.sides
        note = f"mean {green_sum / greens:.3g} against {blue_sum / blues:.3g}" if greens and blues else ""
        return (
            Finding(
                metric=SCORE,
                counts=Tally(0, round(greens), 0, round(blues), 0),
                worth=worth,
                interval=UNKNOWN,
                needed=as_it_went(round(greens), worth.fine, level or self._levels.fine),
                required=self._score.required,
                note=note,
                part=self._score.part,
            ),
        )

    def _wager(self, wager: Wager, ledger: Ledger, level: float) -> Finding:
        harm, fine = ledger.bets[wager.name], ledger.bets[fine_of(wager.name)]
        seen = [a + b for a, b in zip(harm.past, harm.counts, strict=True)]
        green, other, blue, other_blue = (0 if at is None else seen[at] for at in wager.events)
        money = wager.harm.worth(harm)
        proved, _ = wager.fine.worth(fine)
        return Finding(
            metric=wager.name,
            counts=Tally(0, green + other, green, blue + other_blue, blue),
            worth=bounded(Worth(*money, proved)),
            interval=UNKNOWN,
            needed=as_it_went(green + other, proved, level or self._levels.fine),
            required=wager.required,
            part=wager.part,
        )

    def _verdict(
        self,
        ledger: Ledger,
        findings: tuple[Finding, ...],
        suspicion: float,
        asked: Asked,
        uneven: frozenset[str],
    ) -> Verdict:
        levels = self._levels
        broken = self._broken(ledger)
        if broken is not None:
            return broken
        if self._together(findings, suspected=False) >= levels.harm:
            return Harm(because=self._blame(Code.HARM_PROVED, findings, ledger, suspected=False))
        if suspicion >= levels.suspected * max(1.0, asked.forgiven):
            return Suspected(because=self._blame(Code.HARM_SUSPECTED, findings, ledger, suspected=True))
        if self._units is Units.UNSEEN and not any(metric.swapped for metric in self._metrics):
            return Unsure(because=because(Code.UNITS_UNSEEN))
        if uneven:
            return Invalid(because=because(Code.LABELS_UNEVEN, metric=min(uneven)))
        return self._fine(findings, asked)

    def _broken(self, ledger: Ledger) -> Verdict | None:
        """Evidence that can not be trusted."""
        levels = self._levels
        if ledger.judge != NAME:
            why = f"it was built by {ledger.judge} and not by {NAME}"
            return Invalid(because=because(Code.SAMPLES_BROKEN, why=why))
        split = self._split.worth(ledger.split).suspected
        if split >= levels.split:
            return Invalid(because=broken_split(totals(ledger.split), split))
        placebo = self._coins[self._metrics[0].name].worth(ledger.placebo).harm
        if placebo >= levels.suspected:
            return Invalid(because=because(Code.PLACEBO_FIRED, **counts(summed(totals(ledger.placebo)))))
        return None

    def _fine(self, findings: tuple[Finding, ...], asked: Asked) -> Verdict:
        level = self._levels.fine if asked.proof is None else asked.proof
        copied = frozenset(metric.name for metric in self._metrics if metric.copied)
        drawn = frozenset(metric.name for metric in self._metrics) - copied | {LATENCY, SCORE}
        left_out = drawn if asked.copies else copied
        required = [one for one in findings if one.required and one.metric not in left_out]
        if level <= 0:
            return Fine(because=because(Code.PROVED_FINE, **fields(findings[0])))
        waiting = [finding for finding in required if finding.worth.fine < level]
        if waiting and any(m.swapped and m.name == f.metric for m in self._metrics for f in waiting):
            return Unsure(because=because(Code.UNITS_UNSEEN))
        if required and not waiting:
            least = min(required, key=lambda finding: finding.worth.fine)
            return Fine(because=because(Code.PROVED_FINE, **fields(least)))
        late = frozenset(metric.name for metric in self._metrics if metric.late) | {SCORE}
        return Unsure(because=still_open(waiting, late))

    def _together(self, findings: tuple[Finding, ...], *, suspected: bool) -> float:
        """One bet spread over the metrics; what is not staked stays as it is."""
        left = 1 - sum(finding.part for finding in findings)
        return left + sum(_money(finding, suspected=suspected) for finding in findings)

    def _blame(self, code: Code, findings: tuple[Finding, ...], ledger: Ledger, *, suspected: bool) -> Reason:
        worst = max(findings, key=lambda finding: _money(finding, suspected=suspected))
        money = _money(worst, suspected=suspected)
        if worst.metric == SCORE and ledger.scores is not None and code is Code.HARM_PROVED:
            greens, green_sum, blues, blue_sum = ledger.scores.sides
            means = {
                "green_mean": f"{green_sum / max(greens, 1):.3g}",
                "blue_mean": f"{blue_sum / max(blues, 1):.3g}",
            }
            return because(Code.SCORE_WORSE, money=money, **{**fields(worst), **means})
        if any(worst.metric == wager.name for wager in self._wagers):
            code = Code.PAIRS_SUSPECT if suspected else Code.PAIRS_WORSE
        return because(code, money=money, **fields(worst))


def fine_of(name: str) -> str:
    """Under which name the bet on fine of a wager is kept."""
    return f"{name}: fine"


def bounded(worth: Worth) -> Worth:
    """The same, where more money than can be counted is as much as can be."""
    return Worth(*(min(money, LARGEST) for money in worth))


def _money(finding: Finding, *, suspected: bool) -> float:
    return finding.part * (finding.worth.suspected if suspected else finding.worth.harm)
