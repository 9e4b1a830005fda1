"""What an answer is worth to a bet: the logarithm by which each kind of answer multiplies the money.

Sources: Lindon and Malek (NeurIPS 2022) for the coin on events; Turner, Ly and Gruenwald (2024) for two samples;
Turner and Gruenwald (2022) for convex hypotheses, whose nearest point `boundary` finds.
"""

import math
from dataclasses import dataclass

Odds = tuple[float, float, float, float]
"""Logarithms for a green event, a blue event, a green answer without event, a blue one without."""

NOTHING: Odds = (0.0, 0.0, 0.0, 0.0)
MOST = 0.98
"""No alternative supposes a larger share of events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How one event is judged; fixed before the first answer is seen.

    harm means more than `harm_ratio` times blue's share of events plus `harm_extra`; fine means less than
    `fine_ratio` times it plus `fine_extra`. ratios: the alternatives between which the bet on harm is spread.
    window_s: the longest transient of one replica that is excused: no window multiplies the money by more than
    `cap`, or the bet on fine by more than `fine_cap`: a bad moment of one of blue's replicas speaks for green, and
    may speak less loudly. copy_s: a fresh bet starts so often; first: part of the money that the first one has (1 for no others);
    alike: about so many of the others have nearly equal parts, and those after them less and less.
    From `whole_from` on, answers without event are counted too.
    """

    harm_ratio: float = 1.0
    harm_extra: float = 0.0
    fine_ratio: float = 1.5
    fine_extra: float = 0.001
    ratios: tuple[float, ...] = (1.4, 1.9, 2.8, 5.0, 12.0)
    window_s: int = 10
    cap: float = 3.0
    fine_cap: float = 2.0
    copy_s: int = 300
    first: float = 0.7
    alike: float = 5.0
    whole_from: float = 0.02


def harm_odds(rules: Rules, share: int, base: float) -> tuple[Odds, ...]:
    """The bet that green is worse, one for each alternative; that it is better, for ratios below `harm_ratio`.

    base: a guess of blue's share of events that was made before these answers, 0 for none.
    """
    if not 0 < share < 10_000:
        return tuple(NOTHING for _ in rules.ratios)
    pi = share / 10_000
    if rules.harm_extra == 0 and base < rules.whole_from:
        return tuple(_events_only(pi, k, rules.harm_ratio) for k in rules.ratios)
    if base == 0:
        return tuple(NOTHING for _ in rules.ratios)
    return tuple(_worse(rules, pi, k, base) for k in rules.ratios)


def fine_odds(rules: Rules, share: int, base: float) -> tuple[Odds, ...]:
    """The bet that green is like blue, against the margin."""
    if not 0 < share < 10_000:
        return (NOTHING,)
    pi = share / 10_000
    if rules.fine_extra == 0 and base < rules.whole_from:
        return (_events_only(pi, 1.0, rules.fine_ratio),)
    if base == 0:
        return (NOTHING,)
    return (_against(pi, base, base, rules.fine_ratio, rules.fine_extra),)


def _events_only(pi: float, k: float, null: float) -> Odds:
    """Under a ratio k, an event is green with probability pi k / (pi k + 1 - pi), whatever the load."""
    spread = math.log((pi * null + 1 - pi) / (pi * k + 1 - pi))
    return (math.log(k / null) + spread, spread, 0.0, 0.0)


def _worse(rules: Rules, pi: float, k: float, base: float) -> Odds:
    green = min(k * base, MOST)
    limit = rules.harm_ratio * base + rules.harm_extra
    if (green - limit) * (k - rules.harm_ratio) <= 0:
        return NOTHING
    return _against(pi, green, base, rules.harm_ratio, rules.harm_extra)


def _against(pi: float, green: float, blue: float, ratio: float, extra: float) -> Odds:
    q_green, q_blue = boundary(pi, green, blue, ratio, extra)
    return (
        math.log(green / q_green),
        math.log(blue / q_blue),
        math.log((1 - green) / (1 - q_green)),
        math.log((1 - blue) / (1 - q_blue)),
    )


def boundary(pi: float, green: float, blue: float, ratio: float, extra: float) -> tuple[float, float]:
    """The point (q_green, q_blue) with q_green = ratio q_blue + extra that is nearest to (green, blue).

    Nearest by pi kl(green, q_green) + (1 - pi) kl(blue, q_blue), which is convex along the line: its slope is
    bisected.
    """

    def slope(q: float) -> float:
        p = ratio * q + extra
        return pi * ratio * (p - green) / (p * (1 - p)) + (1 - pi) * (q - blue) / (q * (1 - q))

    low, high = 1e-12, min((1 - extra) / ratio, 1.0) * (1 - 1e-12)
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return ratio * low + extra, low
