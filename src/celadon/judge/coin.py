"""The event coin: evidence about one event that may be looked at after every answer.

Under randomised routing each event is green with a probability of at most green's share when green is no worse,
whatever the load and the baseline do. The money of a bet against that grows beyond 1/alpha with a probability of
at most alpha, at whatever time one looks (Ville). Windows are capped, which keeps it a fair bet.
"""

import math
from collections.abc import Iterable
from math import exp
from operator import mul

from celadon.domain.evidence import Closed, Coin, Stakes, Tally
from celadon.domain.verdict import Worth
from celadon.judge.odds import Odds, Rules, fine_odds, harm_odds

LARGEST = 1e290
"""Money beyond this is not counted."""
EXPONENT = 600.0
SUPPOSED = 100
KEPT = 4096
"""Odds that are remembered; there are few, since shares are planned and guesses rounded."""


class EventCoin:
    """Judges one event by fixed rules. It holds no evidence, only odds that it has worked out before."""

    __slots__ = ("_fine", "_harm", "rules")

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._harm: dict[tuple[int, float], tuple[Odds, ...]] = {}
        self._fine: dict[tuple[int, float], tuple[Odds, ...]] = {}

    def begin(self, at_s: int, blue_before: tuple[int, int] = (0, 0)) -> Coin:
        """A coin that has seen nothing.

        blue_before: (answers, events) of blue before the comparison, for a first guess; it is never a baseline.
        """
        window = at_s // self.rules.window_s
        each = (self.rules.first / len(self.rules.ratios),) * len(self.rules.ratios)
        return Coin(
            Closed(
                since=window,
                window=window,
                harm=Stakes(capped=each, free=each),
                fine=Stakes(capped=(1.0,), free=(1.0,)),
                base=_guess(*blue_before),
            )
        )

    def add(self, coin: Coin, at_s: int, tally: Tally) -> Coin:
        """The coin after more answers. Inside one window only their sums count, however they are cut or ordered.

        Answers that come after their window was closed count in the open one.
        """
        window = at_s // self.rules.window_s
        if window > coin.closed.window:
            return Coin(self._close(coin, window), (tally,))
        return Coin(coin.closed, merged(coin.heard, tally))

    def worth(self, coin: Coin) -> Worth:
        """What the bets are worth at this moment."""
        closed, rules = coin.closed, self.rules
        cap, stakes = rules.cap, closed.harm
        harm = suspected = kept(rules.first, closed.copies, rules.alike)
        for capped, free, factor in zip(  # noqa: B905, the lengths are those of the rules
            stakes.capped, stakes.free, self._factors(coin, harm=True)
        ):
            suspected += free * factor
            harm += capped * (factor if factor < cap else cap)  # noqa: FURB136, twice as fast as min
        factor = self._factors(coin, harm=False)[0]
        fine_cap = rules.fine_cap
        fine = closed.fine.capped[0] * (factor if factor < fine_cap else fine_cap)  # noqa: FURB136
        return Worth(harm, suspected, fine)

    def odds(self, share: int, base: float, *, harm: bool) -> tuple[Odds, ...]:
        """The odds of every alternative, worked out once."""
        known = self._harm if harm else self._fine
        found = known.get((share, base))
        if found is None:
            if len(known) >= KEPT:
                known.clear()
            found = known[share, base] = (harm_odds if harm else fine_odds)(self.rules, share, base)
        return found

    def _factors(self, coin: Coin, *, harm: bool) -> list[float]:
        """By how much the open window multiplies each alternative so far."""
        base, heard = coin.closed.base, coin.heard
        if len(heard) == 1:
            tally = heard[0]
            known = self._harm if harm else self._fine
            return _multiplied(known.get((tally[0], base)) or self.odds(tally[0], base, harm=harm), tally)
        logs = [0.0] * (len(self.rules.ratios) if harm else 1)
        for tally in heard:
            more = _logs(self.odds(tally[0], base, harm=harm), tally)
            logs = [log + one for log, one in zip(logs, more)]  # noqa: B905, lengths are those of the rules
        return [exp(log) if log < EXPONENT else LARGEST for log in logs]

    def _close(self, coin: Coin, window: int) -> Closed:
        """Ends the open window, and begins `window` with fresh bets where they are due."""
        rules, closed = self.rules, coin.closed
        past = closed.past
        for tally in coin.heard:
            past = merged(past, tally)
        copies = max(closed.copies, 1 + (window - closed.since) * rules.window_s // rules.copy_s)
        kept_now = kept(rules.first, copies, rules.alike)
        fresh = (kept(rules.first, closed.copies, rules.alike) - kept_now) / len(rules.ratios)
        return Closed(
            since=closed.since,
            window=window,
            harm=_settle(rules.cap, closed.harm, self._factors(coin, harm=True), fresh),
            fine=_settle(rules.fine_cap, closed.fine, self._factors(coin, harm=False), 0.0),
            past=past,
            base=_guess(sum([t[3] for t in past]), sum([t[4] for t in past])) or closed.base,
            copies=copies,
        )


def kept(first: float, copies: int, alike: float) -> float:
    """Money that waits for bets still to come, when so many have begun. first: the part that the first one had.

    It falls like 1 / n, so that every one of them has its part; the first `alike` of them have nearly equal ones.
    """
    return (1 - first) * alike / (alike + copies - 1)


def _multiplied(odds: tuple[Odds, ...], tally: Tally) -> list[float]:
    """The factors where one share was in force, which is nearly always."""
    if odds[-1][2] == 0.0 == odds[-1][3]:
        _, _, green, _, blue = tally
        return [exp(log) if (log := green * g + blue * b) < EXPONENT else LARGEST for g, b, _, _ in odds]
    return [exp(log) if log < EXPONENT else LARGEST for log in _logs(odds, tally)]


def _logs(odds: tuple[Odds, ...], tally: Tally) -> list[float]:
    _, green, green_events, blue, blue_events = tally
    if odds[-1][2] == 0.0 == odds[-1][3]:
        return [green_events * g + blue_events * b for g, b, _, _ in odds]
    calm_green, calm_blue = green - green_events, blue - blue_events
    return [green_events * g + blue_events * b + calm_green * c + calm_blue * d for g, b, c, d in odds]


def _settle(cap: float, stakes: Stakes, factors: list[float], fresh: float) -> Stakes:
    bounded = [factor if factor < cap else cap for factor in factors]  # noqa: FURB136, twice as fast as min
    return Stakes(capped=_grown(stakes.capped, bounded, fresh), free=_grown(stakes.free, factors, fresh))


def _grown(money: tuple[float, ...], factors: list[float], fresh: float) -> tuple[float, ...]:
    grown = map(mul, money, factors)
    return tuple([each + fresh if each < LARGEST else LARGEST for each in grown])


def merged(tallies: tuple[Tally, ...], more: Tally) -> tuple[Tally, ...]:
    """One tally per share, by share."""
    if len(tallies) == 1 and tallies[0][0] == more[0]:
        return (_sum(tallies[0], more),)
    for place, tally in enumerate(tallies):
        if tally[0] == more[0]:
            return (*tallies[:place], _sum(tally, more), *tallies[place + 1 :])
        if tally[0] > more[0]:
            return (*tallies[:place], more, *tallies[place:])
    return (*tallies, more)


def _sum(one: Tally, more: Tally) -> Tally:
    share, green, green_events, blue, blue_events = one
    return Tally(share, green + more[1], green_events + more[2], blue + more[3], blue_events + more[4])


def totals(coin: Coin) -> tuple[Tally, ...]:
    """Everything that was counted, one tally per share."""
    found = coin.closed.past
    for tally in coin.heard:
        found = merged(found, tally)
    return found


def summed(tallies: Iterable[Tally]) -> Tally:
    """All shares in one, for people; as they differ, its own share is 0."""
    rows = list(tallies)
    green, green_events, blue, blue_events = (sum(row[place] for row in rows) for place in range(1, 5))
    return Tally(0, green, green_events, blue, blue_events)


def _guess(answers: int, events: int) -> float:
    """A share of events near the observed one, rounded to steps of 5 % so that its odds are known already.

    A few answers with an error among them are no reason to expect a third of all to fail: a bet on that would be lost
    for good in the next full window. So some answers without event are supposed to have come before.
    """
    if answers == 0:
        return 0.0
    share = min((events + 0.5) / (answers + SUPPOSED), 0.5)
    return math.exp(round(math.log(share) * 20) / 20)
