"""How long callers wait when something is killed: a replica, a whole priority of them, Envoy, the daemon.

Run as `python -m bench.failover`, with `--json` for one JSON object on the last line.
"""

import sys
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random

from bench.backends import NAME_HEADER, BackendSettings
from bench.build import built
from bench.command_line import report_of
from bench.exchanges import faults, lost, send_lag_ms_p99
from bench.failover_celadon import CeladonFleet
from bench.failover_events import Pace, happen
from bench.failover_figures import NeverAgainError, Outcome, figures_again, figures_of, seen
from bench.failover_side import Event, Make, Topology
from bench.generator import Demand, Generator
from bench.machine import Cores, cores, describe, on_core, read_quiet
from bench.peers import envoy
from bench.processes import PartyError
from bench.report import Report, configuration_hash
from bench.rounds import by_turns

from bench import celadon_side

PATIENCE_S = 20.0
"""Longer than Envoy's own limit of 15 s for a route, so that it is Envoy which gives up first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What happens to one fleet in a round, in this order. load_s: how long its servers stay away when killed."""

    fleet: str
    load_s: float
    counts: tuple[tuple[str, int], ...]


FULL = (
    Part(fleet="kill", load_s=1.0, counts=(("noise", 10), ("kill", 20))),
    Part(fleet="hang", load_s=1.0, counts=(("hang", 6), ("daemon", 2))),
    Part(fleet="priority", load_s=5.0, counts=(("priority", 6),)),
    Part(fleet="envoy", load_s=1.0, counts=(("envoy", 4),)),
    Part(fleet="defaults", load_s=5.0, counts=(("kill", 2), ("hang", 2), ("priority", 2))),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything that a figure depends on."""

    topology: Topology
    demand: Demand
    pace: Pace
    rounds: int
    warm_s: float
    parts: tuple[Part, ...]


def configuration(seed: int, *, quick: bool) -> Configuration:
    return Configuration(
        topology=Topology(
            backends=BackendSettings(
                delay_ms_median=50 if quick else 25, delay_sigma=0.02, warm_ms=0, seed=seed
            ),
            main=3,
            standby=2,
        ),
        demand=Demand(rate_per_s=330 if quick else 660, connections=64, streams=0, stream_s=1.0),
        pace=Pace(rest_s=1.5, hang_s=3.0, after_s=2.0 if quick else 10.0, calm_s=0.3),
        rounds=1 if quick else 5,
        warm_s=1.0 if quick else 2.0,
        parts=tuple(_once(part) for part in FULL) if quick else FULL,
    )


def _once(part: Part) -> Part:
    return replace(part, load_s=1.0, counts=tuple((kind, 1) for kind, _ in part.counts))


MAKES: dict[str, Make] = {
    "kill": CeladonFleet,
    "hang": CeladonFleet,
    "priority": CeladonFleet,
    "envoy": partial(CeladonFleet, options=("--proxies", "2")),
    "defaults": envoy.EnvoyDefaults,
}


def measure(part: Part, settings: Configuration, which: Cores, number: int) -> Outcome:
    """One fleet in one round, from nothing to nothing."""
    name = part.fleet
    # The path is short because the name of a Unix socket may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, on_core(which.measured):
        fleet = MAKES[name](Path(folder), settings.topology, part.load_s)
        try:
            fleet.start()
            out = Path(folder) / "exchanges.csv"
            with Generator(
                settings.demand,
                [fleet.port],
                core=which.load,
                out=out,
                name_header=NAME_HEADER,
                patience_s=PATIENCE_S,
            ) as load:
                load.start()
                time.sleep(settings.warm_s)
                draws = Random(f"{settings.topology.backends.seed} {name} {number}")
                events: list[Event] = []
                for kind, count in part.counts:
                    _said(f"round {number + 1}: {name}: {count} times {kind}")
                    events += [happen(fleet, kind, settings.pace, draws) for _ in range(count)]
                time.sleep(settings.warm_s)
                traffic = load.stop()
        finally:
            fleet.stop()
    try:
        found = seen(traffic.requests, events, after_s=settings.pace.after_s)
    except NeverAgainError as error:
        raise PartyError(f"{name}: {error}") from error
    # Said at once, so that a run which turns out void still tells what it saw; none of it is a figure.
    for one in found:
        _said(
            f"round {number + 1}: {name}: {one.event.kind}: {one.gap_ms:.0f} ms, {one.failed} of {one.requests} failed,"
            f" {one.event.in_flight} in flight, {one.event.repeated} repeated"
        )
    return Outcome(
        seen=found,
        requests=traffic.requests_issued,
        lost=lost(traffic),
        faults=faults(traffic),
        send_lag_ms_p99=send_lag_ms_p99(traffic),
    )


def _said(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def run(seed: int, *, quick: bool) -> Report:
    began = time.monotonic()
    settings = configuration(seed, quick=quick)
    which = cores()
    for program in ("load", "server"):
        built(program)
    outcomes, again = by_turns(
        {part.fleet: partial(measure, part, settings, which) for part in settings.parts},
        rounds=settings.rounds,
        lag_ms_p99=lambda outcome: outcome.send_lag_ms_p99,
        read=partial(read_quiet, which),
        forgiving=quick,
    )
    for name, rounds in outcomes.items():
        for number, outcome in enumerate(rounds, 1):
            if outcome.faults:
                _said(f"round {number}: {name}: {outcome.faults}")
    return Report(
        bench="failover",
        figures=figures_of(outcomes) | figures_again(again),
        peers={"envoy": f"{envoy.version()} with its defaults"},
        machine=describe()
        | {"celadon": celadon_side.version(), "configuration": configuration_hash(settings)},
        seed=seed,
        seconds=round(time.monotonic() - began, 1),
    )


if __name__ == "__main__":
    sys.exit(report_of("failover", __doc__, run))
