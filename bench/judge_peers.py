"""The documented rules of other judges, on the same seconds. Rules written again from their documents, not run.

Argo Rollouts: a success rate of at least 95 %, three failed measurements are allowed, every 5 minutes. Flagger: a
success rate of at least 99 % over a minute, rolled back at the fifth failed check, every minute. Kayenta: the
Mann-Whitney rule of its own judge on one value per minute against a control of green's size, first after 10
minutes and then every 5. The fast rows look every 10 seconds, Kayenta at values of 10 seconds, first at ten of them.
"""

import math
from collections.abc import Callable

import numpy as np
from bench.judge_runs import Case, Times
from bench.judge_streams import Draws, Numbers, Seconds, Whole, every_second

Peer = Callable[[Seconds, np.random.Generator], float]
"""The second at which it would take green back; infinite when it never does."""

HIGH = 2.326
"""The normal quantile of Kayenta's fixed confidence of 98 %, both sides."""


def _sums(column: Whole, every_s: int) -> Numbers:
    whole: Numbers = column[: len(column) // every_s * every_s].reshape(-1, every_s).sum(axis=1).astype(float)
    return whole


def argo(interval_s: int) -> Peer:
    def rule(seconds: Seconds, _draws: np.random.Generator) -> float:
        answers, events = _sums(seconds.green, interval_s), _sums(seconds.green_events, interval_s)
        return _nth(events > 0.05 * answers, 4, interval_s)

    return rule


def flagger(interval_s: int) -> Peer:
    def rule(seconds: Seconds, _draws: np.random.Generator) -> float:
        answers, events = np.cumsum(seconds.green), np.cumsum(seconds.green_events)
        at = np.arange(max(60, interval_s), len(answers), interval_s)
        failed = events[at] - events[at - 60] > 0.01 * (answers[at] - answers[at - 60])
        fails = np.flatnonzero(failed)
        return float(at[fails[4]]) if len(fails) > 4 else math.inf

    return rule


def kayenta(point_s: int, first_s: int, every_s: int) -> Peer:
    def rule(seconds: Seconds, draws: np.random.Generator) -> float:
        # Its recommended control: a fresh set of blue of green's size.
        share = seconds.blue_events / np.maximum(seconds.blue, 1)
        control = draws.binomial(seconds.green, share)
        answers = np.maximum(_sums(seconds.green, point_s), 1)
        green, blue = _sums(seconds.green_events, point_s) / answers, _sums(control, point_s) / answers
        for at_s in range(first_s, len(seconds.green) + 1, every_s):
            if _high(blue[: at_s // point_s], green[: at_s // point_s]):
                return at_s
        return math.inf

    return rule


def _high(blue: Numbers, green: Numbers) -> bool:
    """Whether Kayenta's judge calls green's values high."""
    differences = np.subtract.outer(green, blue).ravel()
    n = len(green)
    rank = n * n / 2 - HIGH * math.sqrt(n * n * (2 * n + 1) / 12)
    low = np.partition(differences, max(0, int(rank)))[max(0, int(rank))]
    estimate = float(np.median(differences))
    return bool(low > 0.25 * abs(estimate))


def _nth(failed: np.ndarray, nth: int, every_s: int) -> float:
    fails = np.flatnonzero(failed)
    return float((fails[nth - 1] + 1) * every_s) if len(fails) >= nth else math.inf


PEERS: dict[str, Peer] = {
    "argo_doc": argo(300),
    "argo_fast": argo(10),
    "flagger_doc": flagger(60),
    "flagger_fast": flagger(10),
    "kayenta_doc": kayenta(60, 600, 300),
    "kayenta_fast": kayenta(10, 100, 10),
}


def peer_times(peer: str, case: Case, draws: Draws, runs: int) -> list[Times]:
    """When a rule would take green back, in so many runs."""
    found = []
    for _ in range(runs):
        (seconds,) = every_second(draws, case.stream.lanes(draws, case.truth))
        found.append([PEERS[peer](seconds, draws)])
    return found
