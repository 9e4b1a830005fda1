"""The reasons of a comparison, with the numbers that people are shown, and how many answers are still missing."""

import math
from collections.abc import Iterable

from celadon.domain.evidence import Coin, Tally
from celadon.domain.reason import Code, Reason, because
from celadon.domain.verdict import Finding
from celadon.judge.coin import EventCoin, summed, totals

SUPPOSED = 0.01
"""Share of events that is supposed where no answer was seen yet."""

USUAL_SHARE = 500
"""Green's share that is supposed there, in parts of 10,000."""


def fields(finding: Finding) -> dict[str, str | int | float | None]:
    """What a reason says of one metric."""
    between = finding.interval
    return {
        "metric": finding.metric,
        **counts(finding.counts),
        "ratio": f"{between.low:.2g} or more" if between.ratio is None else f"{between.ratio:.2g}",
        "low": f"{between.low:.2g}",
        "high": "no limit" if between.high is None else f"{between.high:.2g}",
    }


def counts(tally: Tally) -> dict[str, int]:
    """Answers of both sides, and events among them."""
    return {
        "green_events": tally.green_events,
        "green": tally.green,
        "blue_events": tally.blue_events,
        "blue": tally.blue,
    }


def still_open(waiting: list[Finding], late: frozenset[str]) -> Reason:
    """Why nothing can be said yet, by the metric that takes longest. late: metrics whose answers wait for labels."""
    if not waiting:
        return because(Code.NO_SAMPLES, why="no metric is required")
    slowest = max(waiting, key=lambda finding: math.inf if finding.needed is None else finding.needed)
    if slowest.note:
        return because(Code.NOT_COMPARED, metric=slowest.metric, why=slowest.note)
    if slowest.metric in late and slowest.needed is not None:
        labelled = slowest.counts.green
        return because(Code.LABELS_MISSING, labelled=labelled, needed=labelled + slowest.needed)
    if slowest.needed is None:
        return because(Code.NOT_PROVED, **fields(slowest))
    return because(Code.NEEDS_MORE, needed=slowest.needed, **fields(slowest))


def broken_split(tallies: Iterable[Tally], money: float) -> Reason:
    """The requests did not go where they were sent."""
    seen = [tally for tally in tallies if 0 < tally.share < 10_000]
    asked = sum((tally.green + tally.blue) * tally.share for tally in seen)
    answers = summed(seen)
    both = max(answers.green + answers.blue, 1)
    return because(
        Code.SPLIT_BROKEN, percent=100 * answers.green / both, asked_percent=asked / 100 / both, money=money
    )


def as_it_went(answers: int, money: float, level: float) -> int | None:
    """About how many more answers are needed if the money goes on growing as it did."""
    if money >= level:
        return 0
    return math.ceil(answers * (math.log(level) / math.log(money) - 1)) if money > 1 and answers else None


def needed(judge: EventCoin, coin: Coin, money: float, level: float) -> int | None:
    """About how many more answers of green prove it fine if it is like blue; None when they never would.

    What the bet gains from an answer on average, at the share in force and at the events seen on both sides, but no
    fewer than come in the windows that the cap makes it wait for.
    """
    if money >= level:
        return 0
    rows = totals(coin)
    seen = summed(rows)
    answers = seen.green + seen.blue
    share = max((row.share for row in rows if row.share < 10_000), default=0) or USUAL_SHARE
    event = (seen.green_events + seen.blue_events) / answers if answers else SUPPOSED
    ((green, blue, calm_green, calm_blue),) = judge.odds(share, coin.closed.base or SUPPOSED, harm=False)
    pi = share / 10_000
    gain = pi * (event * green + (1 - event) * calm_green)
    gain += (1 - pi) * (event * blue + (1 - event) * calm_blue)
    if gain <= 0 or money <= 0:
        return None
    nats = math.log(level) - math.log(money)  # Their ratio may be more than any number.
    windows = math.floor(nats / math.log(judge.rules.fine_cap))
    came = seen.green / (coin.closed.window - coin.closed.since + 1)
    return math.ceil(max(nats * pi / gain, windows * came))
