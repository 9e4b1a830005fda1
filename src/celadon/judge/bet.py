"""Bets on counts: each alternative gains or loses a fixed number of nats per count, window by window."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from celadon.domain.evidence import Bet, Stakes
from celadon.domain.values import replace
from celadon.judge.coin import kept

LARGEST = 1e290
EXPONENT = 600.0
NOTHING = (0.0, 0.0, 0.0, 0.0)
FIRST, ALIKE = 0.7, 5.0
"""Of a bet on harm: what is staked at once, and how many of the fresh bets have nearly equal parts."""

Gains = Callable[[tuple[int, ...]], tuple[tuple[float, ...], ...]]
"""From the counts of all closed windows: for each alternative, nats per count of the open one."""


@dataclass(frozen=True, slots=True)
class Bets:
    """A fair bet, spread evenly over alternatives. kinds: how many counts there are.

    first: part of the money that is staked at once. The rest makes a fresh bet with every window, so that what sets in
    late is not held against an old, lost bet: however long all was well before, some windows more prove it.
    """

    gains: Gains
    alternatives: int
    kinds: int
    window_s: int = 10
    cap: float = 3.0
    first: float = 1.0

    def begin(self, at_s: int) -> Bet:
        """A bet on nothing yet."""
        even, none = (self.first / self.alternatives,) * self.alternatives, (0,) * self.kinds
        return Bet(
            window=at_s // self.window_s,
            stakes=Stakes(capped=even, free=even),
            counts=none,
            past=none,
            copies=int(self.first < 1),
        )

    def add(self, bet: Bet, at_s: int, counts: tuple[int, ...]) -> Bet:
        """The bet after more counts; inside a window only their sums count."""
        assert len(counts) == self.kinds, counts
        window = at_s // self.window_s
        if window <= bet.window:
            total = tuple(a + b for a, b in zip(bet.counts, counts, strict=True))
            return replace(bet, counts=total)
        factors, copies = self._factors(bet), bet.copies + (bet.copies > 0)
        fresh = (self._kept(bet.copies) - self._kept(copies)) / self.alternatives
        stakes = Stakes(
            capped=tuple(
                min(stake * min(factor, self.cap) + fresh, LARGEST)
                for stake, factor in zip(bet.stakes.capped, factors, strict=True)
            ),
            free=tuple(
                min(stake * factor + fresh, LARGEST)
                for stake, factor in zip(bet.stakes.free, factors, strict=True)
            ),
        )
        past = tuple(a + b for a, b in zip(bet.past, bet.counts, strict=True))
        return Bet(window=window, stakes=stakes, counts=counts, past=past, copies=copies)

    def worth(self, bet: Bet) -> tuple[float, float]:
        """Money now, with capped windows and without the cap."""
        factors, kept_still = self._factors(bet), self._kept(bet.copies)
        capped = sum(s * min(f, self.cap) for s, f in zip(bet.stakes.capped, factors, strict=True))
        free = sum(s * f for s, f in zip(bet.stakes.free, factors, strict=True))
        return kept_still + capped, kept_still + free

    def _kept(self, copies: int) -> float:
        return kept(self.first, copies, ALIKE) if copies else 0.0

    def _factors(self, bet: Bet) -> list[float]:
        nats = (
            sum(count * gain for count, gain in zip(bet.counts, gains, strict=True))
            for gains in self.gains(bet.past)
        )
        return [math.exp(min(nat, EXPONENT)) for nat in nats]


def share_beyond(limit: float, alternatives: tuple[float, ...], cap: float = 3.0, first: float = 1.0) -> Bets:
    """Counts (events, answers without): the share of events is beyond `limit`, on the alternatives' side.

    All alternatives above the limit: proof that the share is larger, as for an error budget, or for the chance of
    one half that of two answers that differ green's is the wrong one. All below: proof that it is smaller, as for
    mirrored answers that differ.
    """
    above, below = all(a > limit for a in alternatives), all(a < limit for a in alternatives)
    assert 0 < limit < 1, limit
    assert above or below, alternatives
    gains = tuple((math.log(a / limit), math.log((1 - a) / (1 - limit))) for a in alternatives)
    return Bets(gains=lambda _past: gains, alternatives=len(gains), kinds=2, cap=cap, first=first)


def budget(limit: float) -> Bets:
    """Green's own share of errors, or that of both sides, is beyond what the owner allows."""
    return share_beyond(
        limit, tuple(min(limit * more, (1 + limit) / 2) for more in (1.5, 2, 5, 10)), first=FIRST
    )


def wrong_more_often(cap: float = 3.0) -> Bets:
    """Counts (green alone wrong, blue alone wrong) of mirrored pairs: green is wrong more often."""
    return share_beyond(0.5, (0.52, 0.55, 0.6, 0.7, 0.85), cap, FIRST)


def not_worse(margin: float, cap: float = 3.0) -> Bets:
    """Counts (pairs alike, green better, green worse): green is right less often by less than `margin`.

    Each pair is a bet on a difference in {-1, 0, 1} whose mean is at most -margin when green is worse. How much is
    staked follows the share of pairs that differed in earlier windows.
    """

    def gains(past: tuple[int, ...]) -> tuple[tuple[float, ...], ...]:
        differed = (past[1] + past[2] + 1) / (sum(past) + 20)
        stakes = (min(margin / differed * part, 0.9 / (1 - margin)) for part in (0.5, 1.0, 2.0))
        return tuple(
            (math.log1p(stake * margin), math.log1p(stake * (1 + margin)), math.log1p(stake * (margin - 1)))
            for stake in stakes
        )

    return Bets(gains=gains, alternatives=3, kinds=3, cap=cap)


def differing(most: float, cap: float = 3.0) -> Bets:
    """Counts (green's pairs that differ, its others, blue's that differ from itself, its others).

    Green differs in more than `most` of its pairs, beyond the share in which blue was seen to differ from itself in
    earlier windows, two standard errors more of it. In the first window nothing is staked.
    """

    def gains(past: tuple[int, ...]) -> tuple[tuple[float, ...], ...]:
        if not any(past):
            return (NOTHING,) * 4
        limit = min(most + _noise(past, 2.0), 0.9)
        higher = (min(limit * more, (1 + limit) / 2) for more in (1.25, 1.5, 2, 4))
        return tuple(_toward(one, limit) for one in higher)

    return Bets(gains=gains, alternatives=4, kinds=4, cap=cap, first=FIRST)


def alike(most: float, cap: float = 3.0) -> Bets:
    """The same counts, and the bet that green differs in less than that, two standard errors less of it."""

    def gains(past: tuple[int, ...]) -> tuple[tuple[float, ...], ...]:
        if not any(past):
            return (NOTHING,) * 3
        noise = _noise(past, -2.0)
        limit, room = min(most + noise, 0.9), min(most, 0.9 - noise)
        return tuple(_toward(limit - room * part, limit) for part in (0.9, 0.6, 0.3))

    return Bets(gains=gains, alternatives=3, kinds=4, cap=cap)


def _noise(past: tuple[int, ...], errors: float) -> float:
    """In which share of the pairs blue differs from itself, by so many standard errors more; 0 without such pairs."""
    _, _, differ, others = past
    pairs = differ + others
    if pairs == 0:
        return 0.0
    share = (differ + 0.5) / (pairs + 1)
    return min(max(share + errors * math.sqrt(share * (1 - share) / pairs), 0.0), 0.8)


def _toward(supposed: float, limit: float) -> tuple[float, float, float, float]:
    return math.log(supposed / limit), math.log((1 - supposed) / (1 - limit)), 0.0, 0.0


def swapped(window_s: int = 60, ratios: tuple[float, ...] = (1.05, 1.2, 1.5, 2.0)) -> "Swap":
    """The test that needs only two sides of equal size: which of them had more events, window by window."""
    return Swap(window_s=window_s, ratios=ratios)


@dataclass(frozen=True, slots=True)
class Swap:
    """Events of green and of a control of green's size. Inside a window the sides could be exchanged.

    So a window with events (g, c) may multiply the money by 2 / (1 + k^(c - g)), at most by 2, however bad the
    window was: bad days of one side, and users who come back, are excused.
    """

    window_s: int
    ratios: tuple[float, ...]

    def begin(self, at_s: int) -> Bet:
        """Nothing counted."""
        even = (1 / len(self.ratios),) * len(self.ratios)
        return Bet(
            window=at_s // self.window_s, stakes=Stakes(capped=even, free=even), counts=(0, 0), past=(0, 0)
        )

    def add(self, bet: Bet, at_s: int, green: int, control: int) -> Bet:
        """The bet after more events. The open window counts only once it is closed."""
        window = at_s // self.window_s
        if window <= bet.window:
            counts = (bet.counts[0] + green, bet.counts[1] + control)
            return Bet(window=bet.window, stakes=bet.stakes, counts=counts, past=bet.past)
        more = bet.counts[0] - bet.counts[1]
        even = tuple(
            min(stake * 2 / (1 + math.exp(min(-more * math.log(k), EXPONENT))), LARGEST)
            for stake, k in zip(bet.stakes.capped, self.ratios, strict=True)
        )
        past = (bet.past[0] + bet.counts[0], bet.past[1] + bet.counts[1])
        return Bet(window=window, stakes=Stakes(capped=even, free=even), counts=(green, control), past=past)

    def worth(self, bet: Bet) -> float:
        """Money on green's being the worse side."""
        return sum(bet.stakes.capped)
