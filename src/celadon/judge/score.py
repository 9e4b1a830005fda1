"""Scores between 0 and 1, higher is better: bets on the mean of every answer, however it is spread.

Source: betting for bounded means (Waudby-Smith and Ramdas, 2024), centred, with the chance of the draw as stake.
Every answer multiplies the money by a factor whose mean is at most 1 while green's mean is no further from blue's
than the margin says.
"""

import math
from dataclasses import dataclass

from celadon.domain.evidence import Scores, Stakes
from celadon.domain.verdict import Worth

PARTS = (0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreCoin:
    """Judges the mean score of green beside that of blue.

    harm: lower by more than `harm_margin`. fine: lower by less than `fine_margin`.
    """

    harm_margin: float = 0.0
    fine_margin: float = 0.02
    window_s: int = 10
    cap: float = 3.0

    def begin(self, at_s: int) -> Scores:
        """Nothing scored."""
        even = (1 / len(PARTS),) * len(PARTS)
        stakes = Stakes(capped=even, free=even)
        return Scores(window=at_s // self.window_s, harm=stakes, fine=stakes, gains=(0.0,) * (2 * len(PARTS)))

    def add(self, scores: Scores, at_s: int, share: int, value: float, *, green: bool) -> Scores:
        """The scores after one more, routed while green had `share`. Inside a window the order means nothing."""
        assert 0 <= value <= 1, value
        if at_s // self.window_s > scores.window:
            scores = self._close(scores, at_s // self.window_s)
        pi = share / 10_000
        if not 0 < pi < 1:
            return scores
        answers, total, squares = scores.open_sums
        nats = (*self._nats(scores, pi, value, green, -1.0), *self._nats(scores, pi, value, green, 1.0))
        return Scores(
            window=scores.window,
            harm=scores.harm,
            fine=scores.fine,
            gains=tuple(a + b for a, b in zip(scores.gains, nats, strict=True)),
            open_sums=(answers + 1, total + value, squares + value * value),
            past_sums=scores.past_sums,
            sides=_side_sums(scores.sides, value, green=green),
        )

    def worth(self, scores: Scores) -> Worth:
        """What the bets are worth now."""
        harm, suspected = self._side(scores.harm, scores.gains[: len(PARTS)])
        fine, _ = self._side(scores.fine, scores.gains[len(PARTS) :])
        return Worth(harm, suspected, fine)

    def _nats(self, scores: Scores, pi: float, value: float, green: bool, sign: float) -> list[float]:
        margin = self.harm_margin if sign < 0 else self.fine_margin
        centre, spread = _centre(scores)
        away = (1 - pi) * (value + margin - centre) if green else -pi * (value - centre)
        # The most that can be staked without ever losing more than there is.
        most = 0.9 / ((1 - pi) * (1 + margin))
        stakes = (min(part * max(margin, 0.02) / spread, most) for part in PARTS)
        return [math.log1p(sign * stake * away) for stake in stakes]

    def _side(self, stakes: Stakes, gains: tuple[float, ...]) -> tuple[float, float]:
        factors = [math.exp(min(gain, 600.0)) for gain in gains]
        capped = sum(s * min(f, self.cap) for s, f in zip(stakes.capped, factors, strict=True))
        return capped, sum(s * f for s, f in zip(stakes.free, factors, strict=True))

    def _close(self, scores: Scores, window: int) -> Scores:
        harm, fine = scores.gains[: len(PARTS)], scores.gains[len(PARTS) :]
        return Scores(
            window=window,
            harm=self._settled(scores.harm, harm),
            fine=self._settled(scores.fine, fine),
            gains=(0.0,) * (2 * len(PARTS)),
            past_sums=_plus(scores.past_sums, scores.open_sums),
            sides=scores.sides,
        )

    def _settled(self, stakes: Stakes, gains: tuple[float, ...]) -> Stakes:
        factors = [math.exp(min(gain, 600.0)) for gain in gains]
        return Stakes(
            capped=tuple(
                min(s * min(f, self.cap), 1e290) for s, f in zip(stakes.capped, factors, strict=True)
            ),
            free=tuple(min(s * f, 1e290) for s, f in zip(stakes.free, factors, strict=True)),
        )


def _centre(scores: Scores) -> tuple[float, float]:
    """Mean and variance of closed windows; a flat guess before the first."""
    answers, total, squares = scores.past_sums
    if answers < 2:
        return 0.5, 0.08
    mean = total / answers
    return mean, max(squares / answers - mean * mean, 1e-3)


def _plus(a: tuple[float, float, float], b: tuple[float, float, float]) -> tuple[float, float, float]:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def _side_sums(
    sides: tuple[float, float, float, float], value: float, *, green: bool
) -> tuple[float, float, float, float]:
    greens, green_sum, blues, blue_sum = sides
    if green:
        return greens + 1, green_sum + value, blues, blue_sum
    return greens, green_sum, blues + 1, blue_sum + value
