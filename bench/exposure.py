"""What a bad green costs callers before celadon takes it back, and how often a good one is taken back for its latency.

Run as `python -m bench.exposure`, with `--json` for one JSON object on the last line. Real Envoy, real replicas, one
daemon with its defaults; the faults are planted in the server that green runs and begin after its golden proof.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

from bench.build import built
from bench.celadon_home import Json
from bench.command_line import report_of
from bench.exchanges import quantile
from bench.exposure_peers import peer_figures
from bench.exposure_runs import Batch, Kind, Run, batch
from bench.machine import Cores, cores, describe, on_core, read_quiet
from bench.report import Report, configuration_hash
from bench.rounds import interleaved

from bench import celadon_side

SHARE_PERCENT = 5
MIRROR_PERCENT = 30
BURN_MS = 20
FAR_S = 3600


def watch(**given: float) -> Json:
    """Limits that no fault of these runs reaches: what is measured is the comparison."""
    return {
        "seconds": 1,
        "minRequests": 1,
        "maxErrorPercent": 100,
        "maxLatencyMsP95": 60_000,
        "deadlineSeconds": FAR_S,
    } | given


FULL: Json = {"percent": 100, "seconds": 1}

CANARY: Json = {
    "strategy": {"canary": {"stages": [{"percent": SHARE_PERCENT, "seconds": 900}, FULL]}},
    "judge": {"freezeMirrorPercent": MIRROR_PERCENT},
    "watch": watch(),
    "holdSeconds": 1,
}


def halves(seconds: float) -> Json:
    """Half and half, where both sides have equal load per replica and latency may be judged."""
    return {
        "strategy": {"canary": {"stages": [{"percent": 50, "seconds": seconds}, FULL]}},
        # At a few requests a second nothing but a wide margin is ever proved fine.
        "judge": {"errors": {"extraPercent": 10}, "latency": {"maxSlowerPercent": 20}},
        "watch": watch(),
        "holdSeconds": 1,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything that a figure depends on but the machine."""

    hard: Kind
    soft: Kind
    calm: Kind
    busy: Kind
    slow: Kind
    hard_runs: int
    soft_runs: int
    calm_runs: int
    slow_runs: int
    at_once: int


def configuration(hashes_per_ms: int, *, quick: bool) -> Configuration:
    at_once = 2 if quick else 5
    test_s = 5.0 if quick else 60.0
    same = Kind(
        name="calm",
        # All services together: 30 % of the measured core.
        rate_per_s=0.3 * 1000 / BURN_MS / at_once,
        hashes=BURN_MS * hashes_per_ms,
        release=halves(test_s),
        deadline_s=20.0 if quick else 240.0,
    )
    return Configuration(
        hard=Kind(
            name="hard", rate_per_s=100, green_fails=1.0, release=CANARY, deadline_s=15 if quick else 240
        ),
        soft=Kind(
            name="soft",
            rate_per_s=100,
            blue_fails=0.005,
            green_fails=0.05,
            release=CANARY,
            deadline_s=15 if quick else 600,
        ),
        calm=same,
        busy=replace(same, name="busy", rate_per_s=2 * same.rate_per_s),
        slow=replace(same, name="slow", slower=1.2),
        hard_runs=2 if quick else 10,
        soft_runs=2 if quick else 10,
        calm_runs=2 if quick else 20,
        slow_runs=2 if quick else 5,
        at_once=at_once,
    )


def hashes_per_ms(which: Cores) -> int:
    """How much work a millisecond of the measured core is worth right now."""
    with on_core(which.measured):
        return int(subprocess.run([built("server"), "-measure"], capture_output=True, check=True).stdout)


def releases(kind: Kind, runs: int, settings: Configuration, seed: int, *, quick: bool) -> list[Run]:
    """So many releases of one kind, several at once; a batch on a loud machine is run again."""
    which = cores()

    def one(number: int) -> Batch:
        began = time.monotonic()
        done = batch(kind, settings.at_once, which, seed * 1000 + number)
        ends = ", ".join(f"{run.outcome} with {run.bad} bad" for run in done.runs)
        print(
            f"{kind.name} {number + 1}: {time.monotonic() - began:.0f} s: {ends}", file=sys.stderr, flush=True
        )
        return done

    rounds = interleaved(
        {"celadon": one},
        rounds=-(-runs // settings.at_once),
        lag_ms_p99=lambda done: done.send_lag_ms_p99,
        read=partial(read_quiet, which),
        forgiving=quick,
    )["celadon"]
    return [run for done in rounds for run in done.runs]


def run(seed: int, *, quick: bool) -> Report:
    began = time.monotonic()
    built("load")
    settings = configuration(hashes_per_ms(cores()), quick=quick)
    take = partial(releases, settings=settings, seed=seed, quick=quick)
    hard, soft = take(settings.hard, settings.hard_runs), take(settings.soft, settings.soft_runs)
    calm, busy = take(settings.calm, settings.calm_runs), take(settings.busy, settings.calm_runs)
    slow = take(settings.slow, settings.slow_runs)
    figures = figures_of(hard, soft) | latency_figures(calm, busy, slow)
    return Report(
        bench="exposure",
        figures=figures | peer_figures(hard, soft, seed),
        peers={"rules": "written again from the documents of Argo Rollouts, Flagger and Kayenta, not run"},
        machine=describe()
        | {"celadon": celadon_side.version(), "configuration": configuration_hash(settings)},
        seed=seed,
        seconds=round(time.monotonic() - began, 1),
    )


def figures_of(hard: Sequence[Run], soft: Sequence[Run]) -> dict[str, float | int]:
    """A release that was not taken back counts with all the bad answers it had until the deadline."""
    bad = [run.bad for run in hard]
    return {
        "hard_runs": len(hard),
        "hard_rolled_back": _taken_back(hard),
        "hard_bad_answers_p50": median(bad),
        "hard_bad_answers_p95": quantile(bad, 0.95),
        "hard_freeze_s_p50": _median([run.freeze_s for run in hard]),
        "soft_runs": len(soft),
        "soft_rolled_back": _taken_back(soft),
        "soft_bad_answers_p50": median(run.bad for run in soft),
        "soft_freeze_s_p50": _median([run.freeze_s for run in soft]),
        "soft_rollback_s_p50": _median([run.end_s if run.outcome == "rolled_back" else None for run in soft]),
    }


def latency_figures(calm: Sequence[Run], busy: Sequence[Run], slow: Sequence[Run]) -> dict[str, float | int]:
    """Of like revisions, how many were taken back at all and how many for their latency; of slower ones, too."""
    return {
        "aa_releases": len(calm) + len(busy),
        "aa_promoted": sum(run.outcome == "promoted" for run in (*calm, *busy)),
        "aa_rollbacks": _taken_back((*calm, *busy)),
        "aa_latency_rollbacks": _for_latency((*calm, *busy)),
        "aa_freezes": sum(run.freezes for run in (*calm, *busy)),
        "slow_releases": len(slow),
        "slow_latency_rollbacks": _for_latency(slow),
        "slow_promoted": sum(run.outcome == "promoted" for run in slow),
    }


def _taken_back(runs: Sequence[Run]) -> int:
    return sum(run.outcome == "rolled_back" for run in runs)


def _for_latency(runs: Sequence[Run]) -> int:
    return sum(run.outcome == "rolled_back" and "latency" in run.reason for run in runs)


def _median(seconds: Sequence[float | None]) -> float:
    """What never happened is longer than everything else; a median of such is the deadline, an hour."""
    return median(FAR_S if one is None else one for one in seconds)


if __name__ == "__main__":
    sys.exit(report_of("exposure", __doc__, run))
