"""All kinds of metrics at once, with the parts of the money that a release with all of them gives each."""

import math
from collections.abc import Iterator
from functools import cache

import numpy as np
from bench.judge_latency import HALF, LATENCY, WINDOW_S, Service
from bench.judge_runs import FREEZE, HARM, Times, shipped
from bench.judge_streams import Draws, Stream, Truth

from celadon.domain.compare import Compare, LabelMargin, LatencyMargin, Margin
from celadon.domain.evidence import Tally
from celadon.judge.compare import LATENCY as LATENCY_METRIC
from celadon.judge.latency import LatencyCoins
from celadon.judge.metrics import ERRORS, WRONG, parts

LABELS = Stream(name="labels", base=0.05, delay_s=60.0)
"""Wrong answers, known late."""


@cache
def every_part() -> dict[str, float]:
    """Parts of the money when errors, latency and labels are all judged."""
    return parts(Compare(latency=LatencyMargin(), labels=LabelMargin(wrong=Margin())), copies=False)


def together(service: Service, draws: Draws, runs: int) -> list[Times]:
    """When one bet spread over all metrics proved harm, and when it suspected it, looking at ends of windows."""
    of, events, slow = every_part(), shipped(), LatencyCoins(LATENCY)
    rest = 1 - of[ERRORS] - of[WRONG] - of[LATENCY_METRIC]
    found = []
    for _ in range(runs):
        errors, wrong, slowness = events.begin(0), events.begin(0), slow.begin(0)
        harm_s = freeze_s = math.inf
        for (at_s, answers), labels in zip(
            service.windows(draws), _labels(draws, service.stream.seconds), strict=True
        ):
            slowness = slow.add(slowness, at_s, answers)
            green, blue = (sum(count for _, count in side) for side in (answers.green, answers.blue))
            failed, blue_failed = answers.green_failed, answers.blue_failed
            errors = events.add(
                errors, at_s, Tally(HALF, green + failed, failed, blue + blue_failed, blue_failed)
            )
            wrong = events.add(wrong, at_s, labels)
            worths = (
                (of[ERRORS], events.worth(errors)),
                (of[WRONG], events.worth(wrong)),
                (of[LATENCY_METRIC], slow.worth(slowness)),
            )
            ends_s = at_s + WINDOW_S
            if rest + sum(part * worth.suspected for part, worth in worths) >= FREEZE.threshold:
                freeze_s = min(freeze_s, ends_s)
            if rest + sum(part * worth.harm for part, worth in worths) >= HARM.threshold:
                harm_s = ends_s
                break
        found.append([harm_s, freeze_s])
    return found


def _labels(draws: Draws, seconds: int) -> Iterator[Tally]:
    (lane,) = Stream(
        name=LABELS.name, base=LABELS.base, delay_s=LABELS.delay_s, seconds=seconds, rate_per_s=20.0
    ).lanes(draws, Truth(share=HALF))
    starts = np.arange(0, seconds, WINDOW_S)
    rates = np.stack((lane.green_calm, lane.green_events, lane.blue_calm, lane.blue_events))
    for calm, bad, blue, blue_bad in draws.poisson(np.add.reduceat(rates, starts, axis=1)).T.tolist():
        yield Tally(HALF, calm + bad, bad, blue + blue_bad, blue_bad)
