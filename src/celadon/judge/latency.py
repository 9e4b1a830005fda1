"""Latency by event coins: an answer is slow when it took longer than a quantile of blue's earlier answers.

The threshold is fixed before the window that it judges, so that the answers of a window never choose it. Durations
are counted in buckets, and margins are whole buckets: what is compared is exact.
"""

from dataclasses import dataclass, replace

from celadon.domain.durations import Buckets
from celadon.domain.evidence import Coin, Durations, Slowness, Tally
from celadon.domain.verdict import Worth
from celadon.judge.coin import EventCoin
from celadon.judge.odds import Rules

KEPT = 20_000
"""Answers of blue that thresholds are taken from, about."""

SLOWER = Rules(ratios=(1.2, 1.5, 2.5, 6.0))
FASTER = Rules(ratios=(0.85, 0.7, 0.5, 0.25), first=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyRules:
    """How latency is judged. Margins are in buckets of 5 %; part and required are those of `compare.Metric`.

    harm means slower than blue by more than `harm_buckets`, at any of the quantiles; fine means slower by less than
    `fine_buckets` at each of them. slower, faster: the alternatives, as ratios of slow answers.
    """

    quantiles: tuple[float, ...] = (0.5, 0.95, 0.99)
    harm_buckets: int = 1
    fine_buckets: int = 4
    slower: Rules = SLOWER
    faster: Rules = FASTER
    part: float = 0.2
    required: bool = False


class LatencyCoins:
    """Judges latency by fixed rules: for each quantile a bet on harm, and one against the margin."""

    __slots__ = ("_fine", "_harm", "rules")

    def __init__(self, rules: LatencyRules) -> None:
        assert rules.slower.window_s == rules.faster.window_s
        self.rules = rules
        self._harm, self._fine = EventCoin(rules.slower), EventCoin(rules.faster)

    def begin(self, at_s: int, blue_before: Buckets = ()) -> Slowness:
        """Nothing seen. blue_before: how long blue's answers took before, so that the first window can be judged."""
        supposed = [(1000, round(1000 * (1 - q))) for q in self.rules.quantiles]
        return Slowness(
            window=at_s // self.rules.slower.window_s,
            harm=tuple(self._harm.begin(at_s, guess) for guess in supposed),
            fine=tuple(self._fine.begin(at_s, guess) for guess in supposed),
            thresholds=self._thresholds(blue_before),
            past=blue_before,
        )

    def add(self, slowness: Slowness, at_s: int, more: Durations) -> Slowness:
        """The slowness after more answers; inside a window only their sums count."""
        window = at_s // self.rules.slower.window_s
        if window > slowness.window:
            past = _faded(_merged(slowness.past, slowness.heard))
            slowness = replace(
                slowness, window=window, thresholds=self._thresholds(past), past=past, heard=()
            )
        harm, fine = slowness.harm, slowness.fine
        if slowness.thresholds:
            harm_tallies = [_tally(more, limit, self.rules.harm_buckets) for limit in slowness.thresholds]
            # One bucket lower some of blue's answers are slow even where all of them take equally long.
            fine_tallies = [_tally(more, limit - 1, self.rules.fine_buckets) for limit in slowness.thresholds]
            harm = _each(self._harm, harm, at_s, harm_tallies)
            fine = _each(self._fine, fine, at_s, fine_tallies)
        return Slowness(
            window=slowness.window,
            harm=harm,
            fine=fine,
            thresholds=slowness.thresholds,
            past=slowness.past,
            heard=_merged(slowness.heard, more.blue),
        )

    def worth(self, slowness: Slowness) -> Worth:
        """One bet on harm spread over the quantiles; fine is only what every quantile proves."""
        harms = [self._harm.worth(coin) for coin in slowness.harm]
        return Worth(
            harm=sum(worth.harm for worth in harms) / len(harms),
            suspected=sum(worth.suspected for worth in harms) / len(harms),
            fine=min(self._fine.worth(coin).harm for coin in slowness.fine),
        )

    def worst(self, slowness: Slowness) -> Coin:
        """The quantile at which most speaks for harm."""
        return max(slowness.harm, key=lambda coin: self._harm.worth(coin).suspected)

    def _thresholds(self, past: Buckets) -> tuple[int, ...]:
        return tuple(quantile(past, q) for q in self.rules.quantiles) if past else ()


def _each(judge: EventCoin, coins: tuple[Coin, ...], at_s: int, tallies: list[Tally]) -> tuple[Coin, ...]:
    return tuple(judge.add(coin, at_s, tally) for coin, tally in zip(coins, tallies, strict=True))


def quantile(buckets: Buckets, q: float) -> int:
    """The bucket that holds the q-quantile of answers that are not empty."""
    rank, below = q * sum(count for _, count in buckets), 0
    for number, count in buckets:
        below += count
        if below >= rank:
            return number
    return buckets[-1][0]


def _tally(more: Durations, limit: int, margin: int) -> Tally:
    green, blue = _count(more.green), _count(more.blue)
    return Tally(
        more.share,
        green + more.green_failed,
        _beyond(more.green, limit + margin) + more.green_failed,
        blue + more.blue_failed,
        _beyond(more.blue, limit) + more.blue_failed,
    )


def _count(buckets: Buckets) -> int:
    return sum(count for _, count in buckets)


def _beyond(buckets: Buckets, limit: int) -> int:
    return sum(count for number, count in buckets if number > limit)


def _merged(left: Buckets, right: Buckets) -> Buckets:
    if not left or not right:
        return left or right
    total = dict(left)
    for number, count in right:
        total[number] = total.get(number, 0) + count
    return tuple(sorted(total.items()))


def _faded(buckets: Buckets) -> Buckets:
    """Half of every count, once there are many, so that what is old weighs less and less."""
    if _count(buckets) <= KEPT:
        return buckets
    return tuple((number, (count + 1) // 2) for number, count in buckets)
