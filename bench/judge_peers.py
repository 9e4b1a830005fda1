"""The documented rules of other judges, on the same seconds. Rules written again from their documents, not run.

Argo Rollouts: a success rate of at least 95 %, three failed measurements are allowed, every 5 minutes. Flagger: a
success rate of at least 99 % over a minute, rolled back at the fifth failed check, every minute. Kayenta: the
Mann-Whitney rule of its own judge on one value per minute against a control of green's size, first after 10
minutes and then every 5. The fast rows look every 10 seconds, Kayenta every minute at values of 10 seconds.
"""

import math
from collections.abc import Callable

import numpy as np
from bench.judge_streams import Numbers, Seconds, Stream, Truth, Whole

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
    differences = np.sort(np.subtract.outer(green, blue), axis=None)
    n = len(green)
    rank = n * n / 2 - HIGH * math.sqrt(n * n * (2 * n + 1) / 12)
    low, estimate = differences[max(0, int(rank))], float(np.median(differences))
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
    "kayenta_fast": kayenta(10, 300, 60),
}


def peer_figures(runs: int, seed: int, even: Stream, rare: Stream) -> dict[str, float | int]:
    """For each rule the median time to 5x and 2x harm, the horizon where it never sees it, and its false alarms."""
    found: dict[str, float | int] = {}
    cases = (("1pct_5x", even, 5.0), ("1pct_2x", even, 2.0), ("0_1pct_5x", rare, 5.0), ("1pct_1x", even, 1.0))
    for kind, (case, stream, ratio) in enumerate(cases):
        for name, rule in PEERS.items():
            draws = np.random.default_rng([seed, 4, kind])
            truth = Truth(ratio=ratio)
            times = sorted(rule(stream.draw(draws, truth), draws) for _ in range(runs))
            seen = sum(map(math.isfinite, times)) / runs
            if ratio == 1:
                found[f"{name}_false_rollback"] = seen
                continue
            found[f"{name}_detect_{case}_s"] = min(times[runs // 2], float(stream.seconds))
            found[f"{name}_detect_{case}_detected_share"] = seen
    return found
