"""The guard's limits as bets: that green breaks one is harm once it is proved, at whatever time one looks.

The comparison is blind to what hurts both sides; these are not. They are no part of the bet on harm of the metrics.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from celadon.domain.durations import bucket
from celadon.domain.evidence import Bet, Second, Tally
from celadon.domain.plan import Guard
from celadon.domain.reason import Code, Reason, because
from celadon.domain.verdict import Finding, Interval, Worth
from celadon.judge.bet import LARGEST, Bets, budget

OWN = "green's errors"
ALL = "all errors"
SLOW = "green's slow answers"

SLOW_SHARE = 0.05
"""The guard's limit is on the 95th percentile: so many answers may be slower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bets on what a guard allows. errors: of answers that were errors; slow: of those beyond `slow_bucket`.

    Each counts (what is not wanted, the others), and proves that there is more of it than the guard allows.
    """

    error_share_max: float
    errors: Bets
    latency_ms_p95_max: float
    slow: Bets
    slow_bucket: int


def limits(guard: Guard) -> Limits:
    """The bets of one guard."""
    return Limits(
        error_share_max=guard.error_share_max,
        errors=budget(min(max(guard.error_share_max, 1e-4), 0.9)),
        latency_ms_p95_max=guard.latency_ms_p95_max,
        slow=budget(SLOW_SHARE),
        slow_bucket=bucket(guard.latency_ms_p95_max * 1000),
    )


def begin(of: Limits | None, at_s: int) -> dict[str, Bet]:
    """Bets on nothing yet."""
    return {name: bets.begin(at_s) for name, bets in _each(of)}


def add(of: Limits | None, bets: Mapping[str, Bet], second: Second) -> Mapping[str, Bet]:
    """All bets of a ledger, those on limits with what one more second brought."""
    after = {
        name: bet.add(bets.get(name) or bet.begin(second.at_s), second.at_s, second.counts[name])
        for name, bet in _each(of)
        if any(second.counts.get(name, ()))
    }
    return {**bets, **after} if after else bets


def forgotten(bets: Mapping[str, Bet]) -> Mapping[str, Bet]:
    """The other bets. What was staked against one limit says nothing of another, so those begin again."""
    return {name: bet for name, bet in bets.items() if name not in (OWN, ALL, SLOW)}


def broken(of: Limits | None, bets: Mapping[str, Bet], alpha: float) -> Reason | None:
    """A limit that is proved to be broken: by green, or by both while green is not the better one.

    alpha: how often one may be found broken that is not, all of them together.
    """
    if of is None:
        return None
    level = 3 / alpha
    money = {name: bet.worth(bets[name])[0] for name, bet in _each(of) if name in bets}
    for name, whose in ((OWN, "green's"), (ALL, "all")):
        if money.get(name, 0.0) >= level and money.get(OWN, 0.0) >= 1:
            events, answers = _total(bets[name])
            limit = 100 * of.error_share_max
            return because(Code.SLO_BROKEN, whose=whose, events=events, answers=answers, limit_percent=limit)
    if money.get(SLOW, 0.0) >= level:
        slow, answers = _total(bets[SLOW])
        shown = f"above the limit in {100 * slow / answers:.1f} %"
        return because(Code.LATENCY, latency=shown, limit_ms=of.latency_ms_p95_max, requests=answers)
    return None


def findings(of: Limits | None, bets: Mapping[str, Bet]) -> tuple[Finding, ...]:
    """What people are shown of green's own limits."""
    if of is None:
        return ()
    notes = {
        OWN: f"limit {100 * of.error_share_max:g} %",
        SLOW: f"limit {100 * SLOW_SHARE:g} % over {of.latency_ms_p95_max:g} ms",
    }
    return tuple(
        _finding(name, bet, bets[name], notes[name])
        for name, bet in _each(of)
        if name in notes and name in bets
    )


def _finding(name: str, bets: Bets, bet: Bet, note: str) -> Finding:
    events, answers = _total(bet)
    capped, free = bets.worth(bet)
    return Finding(
        metric=name,
        counts=Tally(0, answers, events, 0, 0),
        worth=Worth(min(capped, LARGEST), min(free, LARGEST), 0.0),
        interval=Interval(ratio=None, low=0.0, high=None),
        needed=None,
        required=False,
        note=note,
        part=0.0,
    )


def _each(of: Limits | None) -> Iterator[tuple[str, Bets]]:
    if of is not None:
        yield from ((OWN, of.errors), (ALL, of.errors), (SLOW, of.slow))


def _total(bet: Bet) -> tuple[int, int]:
    events = bet.past[0] + bet.counts[0]
    return events, events + bet.past[1] + bet.counts[1]
