"""Chances of counts, exactly and in few steps: binomial, negative binomial and Poisson."""

import math
from collections.abc import Callable

STEPS = 400
TINY = 1e-300
MANY = 5000.0
"""A Poisson count with a larger mean is taken as normal."""


def binomial(trials: int, chance: float, most: int) -> float:
    """The chance of at most `most` successes."""
    if most >= trials or chance <= 0:
        return 1.0
    return 0.0 if most < 0 or chance >= 1 else incomplete_beta(1 - chance, trials - most, most + 1)


def negative_binomial(successes: int, chance: float, most: int) -> float:
    """The chance of at most `most` failures before so many successes."""
    if most < 0:
        return 0.0
    return 1.0 if chance >= 1 else incomplete_beta(chance, successes, most + 1)


def poisson_quantile(level: float, mean: float) -> int:
    """The smallest count that is not exceeded with at least this chance."""
    if mean > MANY:
        return math.ceil(mean + 4 * math.sqrt(mean) * (2 * level - 1))
    term, below, count = math.exp(-mean) if mean < 700 else 0.0, 0.0, 0
    if term == 0.0:
        return first(lambda n: poisson(n, mean) >= level, 10 * int(mean))
    while below + term < level:
        below += term
        count += 1
        term *= mean / count
    return count


def poisson(most: int, mean: float) -> float:
    """The chance of at most `most`, each term from its logarithm."""
    return sum(math.exp(n * math.log(mean) - mean - math.lgamma(n + 1)) for n in range(most + 1))


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularized incomplete beta function, by its continued fraction (modified Lentz)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(1 - x, b, a)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    c, d, total = 1.0, 0.0, 1.0
    for step in range(STEPS):
        half = step // 2
        if step == 0:
            term = 1.0
        elif step % 2 == 0:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        else:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        d = 1 / _away(1 + term * d)
        c = _away(1 + term / c)
        total *= c * d
        if abs(c * d - 1) < 1e-12:
            break
    return math.exp(front) / a * (total - 1)


def _away(value: float) -> float:
    return value if abs(value) > TINY else TINY


def first(enough: Callable[[int], bool], most: int) -> int:
    """The first whole number from 1 on from which a condition holds; `most` where it holds nowhere below it."""
    low, high = 0, 1
    while high < most and not enough(high):
        low, high = high, high * 2
    if high >= most:
        return most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
