"""Latency by event coins: an answer is slow when it took longer than a quantile of blue's earlier answers.

The threshold is fixed before the window that it judges, so that the answers of a window never choose it. Durations
are counted in buckets, and margins are whole buckets: what is compared is exact.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate

from celadon.domain.durations import Buckets
from celadon.domain.evidence import Coin, Durations, Slowness, Tally
from celadon.domain.values import replace
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
            green, blue = _Slower(more.green, more.green_failed), _Slower(more.blue, more.blue_failed)
            for_harm, for_fine = self.rules.harm_buckets, self.rules.fine_buckets
            slow = [(limit, limit + for_harm) for limit in slowness.thresholds]
            harm = _each(self._harm, harm, at_s, [_tally(more.share, green, blue, *at) for at in slow])
            # One bucket lower some of blue's answers are slow even where all of them take equally long.
            slow = [(limit - 1, limit - 1 + for_fine) for limit in slowness.thresholds]
            fine = _each(self._fine, fine, at_s, [_tally(more.share, green, blue, *at) for at in slow])
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
        return quantiles(past, self.rules.quantiles) if past else ()


def _each(judge: EventCoin, coins: tuple[Coin, ...], at_s: int, tallies: list[Tally]) -> tuple[Coin, ...]:
    return tuple(judge.add(coin, at_s, tally) for coin, tally in zip(coins, tallies, strict=True))


def quantile(buckets: Buckets, q: float) -> int:
    """The bucket that holds the q-quantile of answers that are not empty."""
    return quantiles(buckets, (q,))[0]


def quantiles(buckets: Buckets, wanted: tuple[float, ...]) -> tuple[int, ...]:
    """The same for several of them."""
    numbers, at_most = [number for number, _ in buckets], list(accumulate([count for _, count in buckets]))
    ranks = [bisect_left(at_most, q * at_most[-1]) for q in wanted]
    return tuple([numbers[min(rank, len(numbers) - 1)] for rank in ranks])


class _Slower:
    """How many answers took longer than a bucket, failures among them."""

    __slots__ = ("_at_most", "_numbers", "answers")

    def __init__(self, buckets: Buckets, failed: int) -> None:
        self._numbers = [number for number, _ in buckets]
        self._at_most = [0, *accumulate([count for _, count in buckets])]
        self.answers = self._at_most[-1] + failed

    def than(self, limit: int) -> int:
        return self.answers - self._at_most[bisect_right(self._numbers, limit)]


def _tally(share: int, green: _Slower, blue: _Slower, blue_limit: int, green_limit: int) -> Tally:
    return Tally(share, green.answers, green.than(green_limit), blue.answers, blue.than(blue_limit))


def _count(buckets: Buckets) -> int:
    return sum([count for _, count in buckets])


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
