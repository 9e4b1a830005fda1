"""How often the judge is wrong, and how soon it is right, on simulated streams whose truth is known.

Run as `python -m bench.judge`, with `--json` for one JSON object on the last line. The code that is driven is the
judge itself; simulation is cheap because only those seconds are looked at in which the wealth can reach a new high.
"""

import math
import sys
import time
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from bench.command_line import report_of
from bench.judge_grid import (
    FINE_CELLS,
    HARM_CELLS,
    Cell,
    fine_bound,
    geometric_mean,
    green_needed,
    harm_bound,
    labels_needed,
    planner_errors,
)
from bench.judge_latency import LATENCY, Service, hindsight, latency_figures
from bench.judge_peers import peer_figures
from bench.judge_runs import FINE, FREEZE, HARM, Many, many, us_per_tick
from bench.judge_streams import STREAMS, Stream, Truth, counted_by_request
from bench.machine import describe
from bench.report import Report, configuration_hash

from celadon.judge.coin import EventCoin
from celadon.judge.latency import LatencyRules
from celadon.judge.odds import Rules

EVEN, RARE = STREAMS[0], STREAMS[-1]
LATE = replace(EVEN, name="late", sets_in_s=1800)
Figures = dict[str, float | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything that a figure depends on."""

    rules: Rules
    latency: LatencyRules
    cell_runs: int
    false_runs: int
    fine_runs: int
    delay_runs: int
    peer_runs: int


def configuration(*, quick: bool) -> Configuration:
    return Configuration(
        rules=Rules(),
        latency=LATENCY,
        cell_runs=20 if quick else 20_000,
        false_runs=10 if quick else 20_000,
        fine_runs=10 if quick else 2_000,
        delay_runs=10 if quick else 1_000,
        peer_runs=2 if quick else 50,
    )


def efficiency(settings: Configuration, seed: int) -> Figures:
    """Green requests that the bets need on average, over the least that any test needs."""
    _say("efficiency")
    alone = replace(settings.rules, cap=math.inf, fine_cap=math.inf, first=1.0, fine_extra=0.0)
    harm = {cell: _needed(alone, cell, settings.cell_runs, [seed, 0], harm=True) for cell in HARM_CELLS}
    fine = {cell: _needed(alone, cell, settings.cell_runs, [seed, 5], harm=False) for cell in FINE_CELLS}
    ratios = [float(np.mean(greens)) / harm_bound(cell) for cell, greens in harm.items()]
    fine_ratios = [float(np.mean(greens)) / fine_bound(cell) for cell, greens in fine.items()]
    worst, worst_p95 = planner_errors(harm, alone)
    draws = np.random.default_rng([seed, 6])
    return {
        "efficiency_geomean": geometric_mean(ratios),
        "efficiency_max": max(ratios),
        "promotion_geomean": geometric_mean(fine_ratios),
        "promotion_max": max(fine_ratios),
        "planner_worst_error": worst,
        "planner_worst_error_p95": worst_p95,
        "labels_mean": labels_needed(draws, settings.fine_runs, cap=math.inf),
        "labels_mean_capped": labels_needed(draws, settings.fine_runs, cap=settings.rules.cap),
    }


def _needed(rules: Rules, cell: Cell, runs: int, seed: list[int], *, harm: bool) -> list[int]:
    draws = np.random.default_rng([*seed, int(cell.base * 1e4), int(cell.k * 100), cell.share])
    judge = EventCoin(rules if harm else replace(rules, fine_ratio=cell.k))
    return [green_needed(judge, cell, draws, harm=harm) for _ in range(runs)]


def broken(settings: Configuration, seed: int) -> Figures:
    """Judges that are known to be wrong, each of which the measure of validity must find."""
    judge, runs = EventCoin(settings.rules), settings.false_runs
    _say("broken judges")
    (forgets,) = many(judge, EVEN.draw, Truth(), runs=runs, seed=[seed, 7], goals=(HARM,), forgets=True)
    (by_request,) = many(
        judge,
        partial(counted_by_request, stream=EVEN),
        Truth(),
        runs=runs,
        seed=[seed, 8],
        goals=(HARM,),
    )
    slower = EventCoin(LATENCY.slower)
    looks_back = hindsight(slower, Service(rate_per_s=10), settings.fine_runs, [seed, 9])
    scores = {
        "forgets": forgets.z(0.01),
        "by_request": by_request.z(0.01),
        "hindsight": looks_back.z(0.01),
    }
    return {
        "invalid_judges_caught": sum(z > CAUGHT_Z for z in scores.values()),
        **{f"invalid_{name}_z": z for name, z in scores.items()},
    }


CAUGHT_Z = 6.0


def validity(settings: Configuration, seed: int) -> Figures:
    """How often a green that is like blue is taken back or frozen, and one beyond its margin is promoted."""
    judge, rules = EventCoin(settings.rules), settings.rules
    beyond = Truth(ratio=rules.fine_ratio, extra=rules.fine_extra, apart=True)
    found: Figures = {}
    rollback_z, promotion_z, freezes = [], [], []
    for place, stream in enumerate(STREAMS):
        _say(f"validity: {stream.name}")
        harm, freeze = many(
            judge, stream.draw, Truth(), runs=settings.false_runs, seed=[seed, 1, place], goals=(HARM, FREEZE)
        )
        runs = settings.false_runs if stream is EVEN else settings.fine_runs
        (promoted,) = many(judge, stream.draw, beyond, runs=runs, seed=[seed, 2, place], goals=(FINE,))
        found |= {
            f"false_rollback_{stream.name}": harm.share,
            f"false_freeze_{stream.name}": freeze.share,
            f"false_promotion_{stream.name}": promoted.share,
        }
        rollback_z.append(harm.z(0.01))
        promotion_z.append(promoted.z(0.05))
        freezes += [freeze.share] if stream.independent else []
    worst = {
        "false_rollback_worst_z": max(rollback_z),
        "false_promotion_worst_z": max(promotion_z),
        "false_freeze_share": max(freezes),
    }
    return worst | found


def delays(settings: Configuration, seed: int) -> Figures:
    """Median seconds until harm is proved, on a service with 200 requests/s and 5 % of them on green."""
    judge = EventCoin(settings.rules)

    def seen(stream: Stream, ratio: float, kind: int) -> list[Many]:
        truth, goals = Truth(ratio=ratio), (HARM, FREEZE)
        return many(judge, stream.draw, truth, runs=settings.delay_runs, seed=[seed, 3, kind], goals=goals)

    _say("delays")
    found: Figures = {}
    for kind, (name, stream, ratio) in enumerate(
        (("1pct_5x", EVEN, 5.0), ("1pct_2x", EVEN, 2.0), ("0_1pct_5x", RARE, 5.0), ("0_1pct_2x", RARE, 2.0))
    ):
        harm, freeze = seen(stream, ratio, kind)
        found[f"detect_{name}_s"] = harm.quantile_s(0.5)
        found[f"detect_{name}_s_p95"] = harm.quantile_s(0.95)
        found[f"freeze_{name}_s"] = freeze.quantile_s(0.5)
    found["late_1pct_2x_s"] = seen(LATE, 2.0, 4)[0].quantile_s(0.5) - LATE.sets_in_s
    common = [replace(s, base=0.01, seconds=3600) for s in STREAMS]
    shares = [seen(stream, 5.0, 5 + place)[0].share for place, stream in enumerate(common)]
    return found | {"detected_share_worst": min(shares)}


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def run(seed: int, *, quick: bool) -> Report:
    began = time.monotonic()
    settings = configuration(quick=quick)
    figures = efficiency(settings, seed) | validity(settings, seed) | broken(settings, seed)
    figures |= delays(settings, seed)
    _say("latency")
    figures |= latency_figures(settings.fine_runs, seed)
    _say("peers")
    figures |= peer_figures(settings.peer_runs, seed, EVEN, replace(RARE, seconds=EVEN.seconds))
    figures["us_per_tick"] = us_per_tick(EventCoin(settings.rules))
    finite = {name: value for name, value in figures.items() if math.isfinite(value)}
    return Report(
        bench="judge",
        figures=finite,
        peers={"argo, flagger, kayenta": "documented rules on the same streams, not run"},
        machine=describe() | {"configuration": configuration_hash(settings)},
        seed=seed,
        seconds=time.monotonic() - began,
    )


if __name__ == "__main__":
    sys.exit(report_of("judge", __doc__, run))
