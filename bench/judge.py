"""How often the judge is wrong, and how soon it is right, on simulated streams whose truth is known.

Run as `python -m bench.judge`, with `--json` for one JSON object on the last line. The code that is driven is the
judge itself; simulation is cheap because only those seconds are looked at in which the wealth can reach a new high.
"""

import math
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean

from bench.command_line import report_of
from bench.judge_grid import (
    ALONE,
    FINE_CELLS,
    HARM_CELLS,
    SHIPPED_LEVEL,
    Cell,
    fine_bound,
    geometric_mean,
    harm_bound,
    labels_needed,
    needed_alone,
    needed_shipped,
    planner_errors,
)
from bench.judge_latency import AT_HARM, AT_MARGIN, LATENCY, SERVICES, Service, hindsight, slowed
from bench.judge_peers import PEERS, peer_times
from bench.judge_runs import (
    Case,
    Many,
    by_request,
    columns,
    forgetting,
    harmed,
    promoted,
    shipped,
    us_per_tick,
)
from bench.judge_spread import Done, Job, job, spread
from bench.judge_streams import STREAMS, Stream, Truth, lasting
from bench.judge_together import every_part, together
from bench.machine import describe
from bench.report import Report, configuration_hash

from celadon.judge.latency import LatencyRules
from celadon.judge.metrics import ERRORS
from celadon.judge.odds import Rules

NAMED = {stream.name: stream for stream in STREAMS}
EVEN, RARE = NAMED["even"], NAMED["rare"]
LATE = replace(EVEN, name="sets_in", sets_in_s=1800)
DELAYS = {
    "1pct_5x": Case(stream=EVEN, truth=Truth(ratio=5.0)),
    "1pct_2x": Case(stream=EVEN, truth=Truth(ratio=2.0)),
    "0_1pct_5x": Case(stream=RARE, truth=Truth(ratio=5.0)),
    "0_1pct_2x": Case(stream=RARE, truth=Truth(ratio=2.0)),
}
LABELS = {"labels_mean": 10.0, "labels_mean_200_per_s": 200.0}
"""Mirrored requests per second of which those that differ get a label."""
USUAL_STREAM = "even"
CAUGHT_Z = 6.0
FINE_HORIZON_S = 5400
"""More than twenty times what any test needs to prove an equal green fine at 1 % of errors and the usual margin."""
Figures = dict[str, float | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything that a figure depends on. few_runs: on streams other than the usual one, and for delays."""

    rules: Rules
    latency: LatencyRules
    streams: tuple[Stream, ...]
    services: tuple[tuple[str, Service], ...]
    parts: tuple[tuple[str, float], ...]
    many_runs: int
    few_runs: int
    labels_runs: int
    peer_runs: int
    seeds: int
    level: float = SHIPPED_LEVEL


def configuration(*, quick: bool) -> Configuration:
    return Configuration(
        rules=shipped().rules,
        latency=LATENCY,
        streams=STREAMS,
        services=tuple(SERVICES.items()),
        parts=tuple(every_part().items()),
        many_runs=8 if quick else 20_000,
        few_runs=4 if quick else 2_000,
        labels_runs=20 if quick else 20_000,
        peer_runs=2 if quick else 100,
        seeds=1 if quick else 3,
    )


def jobs(of: Configuration, seed: int) -> list[Job]:
    """All that is simulated; the dear ones first, so that no process is left waiting."""
    return [
        *_validity(of, seed),
        *_latency(of, seed),
        *_grid(of, seed),
        *_broken(of, seed),
        *_delays(of, seed),
    ]


def _grid(of: Configuration, seed: int) -> list[Job]:
    def key(cell: Cell) -> tuple[int, int, int]:
        return int(cell.base * 1e4), int(cell.k * 100), cell.share

    found = []
    for more in range(of.seeds):
        found += [
            job(
                f"harm{more}{key(cell)}",
                needed_alone,
                cell,
                True,
                runs=of.many_runs,
                seed=[seed + more, 0, *key(cell)],
            )
            for cell in HARM_CELLS
        ]
    found += [
        job(f"fine{key(cell)}", needed_alone, cell, False, runs=of.many_runs, seed=[seed, 5, *key(cell)])
        for cell in FINE_CELLS
    ]
    found += [
        job(f"shipped{key(cell)}", needed_shipped, cell, runs=of.few_runs, seed=[seed, 11, *key(cell)])
        for cell in HARM_CELLS
    ]
    return found + [
        job(name, labels_needed, of.rules.cap, rate, runs=of.labels_runs, seed=[seed, 6, place])
        for place, (name, rate) in enumerate(LABELS.items())
    ]


def efficiency(of: Configuration, done: Done) -> Figures:
    """Green requests that the bets need on average, over the least that any test needs."""

    def needs(name: str, cell: Cell) -> list[float]:
        return [
            row[0] for row in done.of(f"{name}({int(cell.base * 1e4)}, {int(cell.k * 100)}, {cell.share})")
        ]

    seeds = []
    for more in range(of.seeds):
        ratios = [fmean(needs(f"harm{more}", cell)) / harm_bound(cell) for cell in HARM_CELLS]
        seeds.append((geometric_mean(ratios), max(ratios)))
    fine = [fmean(needs("fine", cell)) / fine_bound(cell) for cell in FINE_CELLS]
    usual = [fmean(needs("shipped", cell)) / harm_bound(cell, SHIPPED_LEVEL) for cell in HARM_CELLS]
    worst, worst_p95 = planner_errors({cell: needs("harm0", cell) for cell in HARM_CELLS}, ALONE)
    return {
        "efficiency_geomean": max(seed[0] for seed in seeds),
        "efficiency_max": max(seed[1] for seed in seeds),
        "shipped_efficiency_geomean": geometric_mean(usual),
        "promotion_geomean": geometric_mean(fine),
        "promotion_max": max(fine),
        "planner_worst_error": worst,
        "planner_worst_error_p95": worst_p95,
        **{name: fmean(row[0] for row in done.of(name)) for name in LABELS},
    }


def _validity(of: Configuration, seed: int) -> list[Job]:
    beyond = Truth(ratio=of.rules.fine_ratio, extra=of.rules.fine_extra, apart=True)
    found = []
    for place, stream in enumerate(reversed(STREAMS)):
        found.append(
            job(f"alike {stream.name}", harmed, Case(stream=stream), runs=of.many_runs, seed=[seed, 1, place])
        )
        longer = lasting(replace(stream, sets_in_s=0), FINE_HORIZON_S)
        runs = of.many_runs if stream.name == USUAL_STREAM else of.few_runs
        case = Case(stream=longer, truth=beyond)
        found.append(job(f"beyond {stream.name}", promoted, case, runs=runs, seed=[seed, 2, place], size=250))
    return found


def _latency(of: Configuration, seed: int) -> list[Job]:
    found = []
    for place, (name, service) in enumerate(SERVICES.items()):
        runs = of.many_runs if name == USUAL_STREAM else of.few_runs
        one = partial(job, runs=runs, size=250)
        alike, beyond = replace(service, slower=AT_HARM), replace(service, slower=AT_MARGIN)
        found += [
            one(f"latency alike {name}", slowed, alike, False, seed=[seed, 20, place]),
            one(f"latency beyond {name}", slowed, beyond, True, seed=[seed, 21, place]),
            job(f"together {name}", together, service, runs=of.few_runs, seed=[seed, 22, place], size=250),
        ]
    slow = replace(SERVICES[USUAL_STREAM], slower=1.2)
    return [*found, job("latency slow", slowed, slow, False, runs=of.few_runs, seed=[seed, 23])]


def validity(done: Done) -> Figures:
    """How often a green that is like blue is taken back or frozen, and one beyond its margin is promoted."""
    back, forward, freezes = {}, {}, {}
    for stream in STREAMS:
        back[stream.name], freezes[stream.name] = columns(done.of(f"alike {stream.name}"))
        (forward[stream.name],) = columns(done.of(f"beyond {stream.name}"))
    for name in SERVICES:
        (back[f"latency_{name}"],) = columns(done.of(f"latency alike {name}"))
        (forward[f"latency_{name}"],) = columns(done.of(f"latency beyond {name}"))
        back[f"together_{name}"], freezes[f"together_{name}"] = columns(done.of(f"together {name}"))
    independent = [stream.name for stream in STREAMS if stream.independent]
    return {
        "false_rollback_worst_z": max(many.z(0.01) for many in back.values()),
        "false_promotion_worst_z": max(many.z(0.05) for many in forward.values()),
        "false_freeze_share": max(freezes[name].share for name in independent),
        **{f"false_rollback_{name}": many.share for name, many in back.items()},
        **{f"false_promotion_{name}": many.share for name, many in forward.items()},
        **{f"false_freeze_{name}": many.share for name, many in freezes.items()},
    }


def _broken(of: Configuration, seed: int) -> list[Job]:
    quiet = Service(stream=Stream(name="sparse", base=1e-9, seconds=3600, rate_per_s=10.0))
    runs, even = of.few_runs, Case(stream=EVEN)
    return [
        job("forgets", forgetting, even, runs=of.many_runs, seed=[seed, 7]),
        job("by_request", by_request, even, runs=runs, seed=[seed, 8]),
        job("hindsight", hindsight, quiet, runs=runs, seed=[seed, 9]),
    ]


def broken(done: Done) -> Figures:
    """Judges that are known to be wrong, each of which the measure of validity must find."""
    scores = {name: columns(done.of(name))[0].z(0.01) for name in ("forgets", "by_request", "hindsight")}
    return {
        "invalid_judges_caught": sum(z > CAUGHT_Z for z in scores.values()),
        **{f"invalid_{name}_z": z for name, z in scores.items()},
    }


def _delays(of: Configuration, seed: int) -> list[Job]:
    cases = {**DELAYS, "late": Case(stream=LATE, truth=Truth(ratio=2.0))}
    found = [
        job(f"delay {name}", harmed, case, runs=of.few_runs, seed=[seed, 3, place])
        for place, (name, case) in enumerate(cases.items())
    ]
    for place, stream in enumerate(STREAMS):
        hour = replace(stream, base=0.01, seconds=3600)
        case = Case(stream=hour, truth=Truth(ratio=5.0), part=every_part()[ERRORS])
        found.append(job(f"seen {stream.name}", harmed, case, runs=of.few_runs, seed=[seed, 10, place]))
    hours = {name: replace(case, stream=replace(case.stream, seconds=3600)) for name, case in DELAYS.items()}
    hours["1pct_1x"] = Case(stream=EVEN)
    return found + [
        job(f"{peer} {name}", peer_times, peer, case, runs=of.peer_runs, seed=[seed, 4, place], size=50)
        for place, (name, case) in enumerate(hours.items())
        for peer in PEERS
    ]


def delays(done: Done) -> Figures:
    """Median seconds until harm is proved, on a service with 200 requests/s and 5 % of them on green."""
    found: Figures = {}
    for name, case in DELAYS.items():
        harm, freeze = columns(done.of(f"delay {name}"))
        found |= _seen(f"detect_{name}", harm, case.stream.seconds)
        found[f"detect_{name}_s_p95"] = min(harm.quantile_s(0.95), float(case.stream.seconds))
        found[f"freeze_{name}_s"] = min(freeze.quantile_s(0.5), float(case.stream.seconds))
    late = columns(done.of("delay late"))[0]
    found["late_1pct_2x_s"] = min(late.quantile_s(0.5), float(LATE.seconds)) - LATE.sets_in_s
    shares = {stream.name: columns(done.of(f"seen {stream.name}"))[0].share for stream in STREAMS}
    slow = columns(done.of("latency slow"))[0]
    found["detected_share_worst"] = min(shares.values())
    found |= _seen("detect_latency_20pct", slow, SERVICES[USUAL_STREAM].stream.seconds)
    for peer in PEERS:
        for name in DELAYS:
            found |= _seen(f"{peer}_detect_{name}", columns(done.of(f"{peer} {name}"))[0], 3600)
        found[f"{peer}_false_rollback"] = columns(done.of(f"{peer} 1pct_1x"))[0].share
    return found


def _seen(name: str, many: Many, horizon_s: int) -> Figures:
    """The median, the horizon where more than half of the runs never reached it, and how many did."""
    return {f"{name}_s": min(many.quantile_s(0.5), float(horizon_s)), f"{name}_detected_share": many.share}


def run(seed: int, *, quick: bool) -> Report:
    began = time.monotonic()
    settings = configuration(quick=quick)
    cost_us = us_per_tick(shipped(), 3 if quick else 40)
    done = spread(jobs(settings, seed))
    costs = [("all", sum(done.cost_s.values())), *done.cost_s.items()]
    for name, cost_s in sorted(costs, key=lambda item: -item[1])[:13]:
        print(f"{cost_s:8.1f} s of a processor: {name}", file=sys.stderr)
    figures = efficiency(settings, done) | validity(done) | broken(done) | delays(done)
    figures["us_per_tick"] = cost_us
    assert all(map(math.isfinite, figures.values())), figures
    return Report(
        bench="judge",
        figures=figures,
        peers={"argo, flagger, kayenta": "documented rules on the same streams, not run"},
        machine=describe() | {"configuration": configuration_hash(settings)},
        seed=seed,
        seconds=time.monotonic() - began,
    )


if __name__ == "__main__":
    sys.exit(report_of("judge", __doc__, run))
