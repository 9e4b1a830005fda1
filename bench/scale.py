"""What thousands of services cost the loop: the real one, on the real clock and a real disk.

Run as `python -m bench.scale`, with `--json` for one JSON object on the last line.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial

from bench.command_line import report_of
from bench.machine import Cores, cores, describe, on_core, read_quiet
from bench.processes import PartyError
from bench.report import Report, configuration_hash
from bench.rounds import interleaved
from bench.scale_figures import Seen, figures_of

from bench import celadon_side, scale_run, scale_world


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything that a figure depends on. rest_s, release_s: how long each stretch is watched."""

    services: tuple[int, ...]
    rounds: int
    rest_s: float
    release_s: float
    rate_per_s: float = scale_world.RATE_PER_S
    replicas: int = scale_run.REPLICAS
    released_part: float = 0.1
    limit_s: float = 400.0


def configuration(*, quick: bool) -> Configuration:
    return Configuration(
        services=(10, 30) if quick else (10, 100, 1_000, 5_000),
        rounds=1,
        rest_s=1.0 if quick else 5.0,
        release_s=1.0 if quick else 8.0,
    )


def measure(settings: Configuration, which: Cores, services: int, number: int) -> Seen:
    """One run in a process of its own, so that its memory is its own."""
    print(f"round {number + 1}: {services} services", file=sys.stderr, flush=True)
    released = max(1, round(services * settings.released_part))
    given = [str(services), str(released), str(settings.rest_s), str(settings.release_s)]
    with on_core(which.measured):
        ran = subprocess.run(
            [sys.executable, "-m", "bench.scale_run", *given],
            stdout=subprocess.PIPE,
            text=True,
            timeout=settings.limit_s,
            check=False,
        )
    if ran.returncode != 0:
        raise PartyError(f"{services} services ended with status {ran.returncode}")
    seen = Seen(**json.loads(ran.stdout))
    # Said at once, so that a run which turns out void still tells what it saw; none of it is a figure.
    said = f"{seen.cpu_ms:.1f} ms a tick, at rest {1000 * seen.idle_cpu_ms / services:.1f} us a service"
    print(f"round {number + 1}: {services} services: {said}", file=sys.stderr, flush=True)
    return seen


def run(seed: int, *, quick: bool) -> Report:
    began = time.monotonic()
    settings = configuration(quick=quick)
    which = cores()
    found = interleaved(
        {str(count): partial(measure, settings, which, count) for count in settings.services},
        rounds=settings.rounds,
        lag_ms_p99=lambda _: 0.0,
        read=partial(read_quiet, which),
        forgiving=quick,
    )
    return Report(
        bench="scale",
        figures=figures_of({int(count): runs for count, runs in found.items()}),
        peers={},
        machine=describe()
        | {"celadon": celadon_side.version(), "configuration": configuration_hash(settings)},
        seed=seed,
        seconds=round(time.monotonic() - began, 1),
    )


if __name__ == "__main__":
    sys.exit(report_of("scale", __doc__, run))
