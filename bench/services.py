"""What releases of some services do to the callers of the others, and what a daemon of many services costs.

Run as `python -m bench.services`, with `--json` for one JSON object on the last line.
"""

import sys
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

from bench.backends import NAME_HEADER, BackendSettings
from bench.build import built
from bench.celadon_home import LOOK_S, CeladonHome, Json, document
from bench.command_line import report_of
from bench.exchanges import Traffic, faults, lost, send_lag_ms_p99
from bench.generator import Demand, Generator
from bench.machine import Cores, cores, describe, on_core, read_quiet
from bench.process_cost import cpu_percent, rss_mib
from bench.processes import free_ports, wait_until
from bench.report import Report, configuration_hash
from bench.rounds import interleaved
from bench.services_figures import Cost, Outcome, Stretches, figures_of, others_ms_p99
from bench.side import BLUE, GREEN

from bench import celadon_side

STARTING_S = 2.0
WATCH_S = 0.5
HOLD_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything that a figure depends on."""

    services: int
    released: int
    demand: Demand
    backends: BackendSettings
    rounds: int
    rest_s: float
    """How long the machine rests before the daemon's share of a core is read, and how long it is read."""
    warm_s: float
    quiet_s: float
    switching_s: float
    """Long enough for the switch, the watch, the hold and the end of blue."""


def configuration(seed: int, *, quick: bool) -> Configuration:
    return Configuration(
        services=4 if quick else 20,
        released=1 if quick else 2,
        demand=Demand(rate_per_s=200 if quick else 500, connections=8, streams=0, stream_s=1.0),
        backends=BackendSettings(delay_ms_median=10, delay_sigma=0.2, warm_ms=200, seed=seed),
        rounds=1 if quick else 5,
        rest_s=1.0 if quick else 5.0,
        warm_s=0.5 if quick else 2.0,
        quiet_s=1.0 if quick else 5.0,
        switching_s=3.0 if quick else 5.0,
    )


class Fleet:
    """Many services on one daemon, all alike but for the names of their servers and their ports."""

    def __init__(self, home: CeladonHome, settings: Configuration) -> None:
        self.home = home
        self.names = [f"s{number:02}" for number in range(settings.services)]
        self._settings = settings
        ports = iter(free_ports(2 * len(self.names)))
        self._ports = {name: (next(ports), next(ports)) for name in self.names}

    @property
    def ports(self) -> list[int]:
        return [self._ports[name][0] for name in self.names]

    def deploy(self, names: list[str], revision: str, *, gate: bool) -> list[tuple[str, str]]:
        """Services with their releases."""
        documents = [self._document(name, revision, gate=gate) for name in names]
        return list(zip(names, self.home.deploy(*documents), strict=True))

    def switch(self, releases: list[tuple[str, str]]) -> None:
        for name, _ in releases:
            self.home.order(name, "promote")

    def until_retired(self, releases: list[tuple[str, str]]) -> None:
        for name, release in releases:
            self.home.until_ended(name, release)
            wait_until(partial(self._alone, name), f"blue of {name} has been retired", every_s=LOOK_S)

    def _alone(self, name: str) -> bool:
        return len(self.home.view(name)["revisions"]) == 1

    def _document(self, name: str, revision: str, *, gate: bool) -> Json:
        number = self.names.index(name)
        backends = replace(self._settings.backends, seed=self._settings.backends.seed + number)
        return document(
            name,
            backends,
            f"{revision}-{name}",
            ports=self._ports[name],
            gate=gate,
            watch_s=WATCH_S,
            hold_s=HOLD_S,
        )


def measure(settings: Configuration, which: Cores, number: int) -> Outcome:
    """One round, from nothing to nothing."""
    print(f"round {number + 1}: {settings.services} services", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, on_core(which.measured):
        home = CeladonHome(Path(folder))
        try:
            home.start()
            fleet = Fleet(home, settings)
            began = time.monotonic()
            for name, release in fleet.deploy(fleet.names, BLUE, gate=False):
                home.until_ended(name, release)
            first_deploy_s = time.monotonic() - began
            time.sleep(settings.rest_s)
            cost = Cost(
                daemon_cpu_percent_idle=cpu_percent(home.pid, settings.rest_s),
                daemon_cpu_percent_loaded=0.0,
                envoy_cpu_percent_idle=cpu_percent(home.envoy_pid(), settings.rest_s),
                daemon_rss_mib=0.0,
                envoy_rss_mib=0.0,
                first_deploy_s=first_deploy_s,
            )
            outcome = _under_load(fleet, settings, which, Path(folder) / "exchanges.csv", cost)
        finally:
            home.stop()
    # Said at once, so that a run which turns out void still tells what it saw; none of it is a figure.
    ratios = f"{outcome.others.switching_ratio:.2f}, while starting {outcome.others.starting_ratio:.2f}"
    print(f"round {number + 1}: others' p99 {ratios}, {outcome.lost} lost", file=sys.stderr, flush=True)
    return outcome


def _under_load(fleet: Fleet, settings: Configuration, which: Cores, out: Path, cost: Cost) -> Outcome:
    with Generator(settings.demand, fleet.ports, core=which.load, out=out, name_header=NAME_HEADER) as load:
        load.start()
        time.sleep(settings.warm_s)
        marks_ns = [time.monotonic_ns()]
        time.sleep(settings.quiet_s)
        marks_ns.append(time.monotonic_ns())
        loaded = cpu_percent(fleet.home.pid, settings.quiet_s)
        marks_ns.append(time.monotonic_ns())
        releases = fleet.deploy(fleet.names[: settings.released], GREEN, gate=True)
        for name, release in releases:
            fleet.home.until_phase(name, release, "waiting")
        time.sleep(max(0.0, STARTING_S - (time.monotonic_ns() - marks_ns[-1]) / 1e9))
        marks_ns.append(time.monotonic_ns())
        fleet.switch(releases)
        time.sleep(settings.switching_s)
        marks_ns.append(time.monotonic_ns())
        fleet.until_retired(releases)
        traffic = load.stop()
    cost = replace(
        cost,
        daemon_cpu_percent_loaded=loaded,
        daemon_rss_mib=rss_mib(fleet.home.pid),
        envoy_rss_mib=rss_mib(fleet.home.envoy_pid()),
    )
    return _outcome(traffic, settings, marks_ns, cost, fleet.home.retries())


def _outcome(
    traffic: Traffic, settings: Configuration, marks_ns: list[int], cost: Cost, retries: int
) -> Outcome:
    others = frozenset(range(settings.released, settings.services))
    one, two, starting, switching = (
        others_ms_p99(traffic.requests, others, a, b) for a, b in pairwise(marks_ns)
    )
    return Outcome(
        others=Stretches(quiet_ms_p99=(one, two), starting_ms_p99=starting, switching_ms_p99=switching),
        cost=cost,
        requests=traffic.requests_issued,
        lost=lost(traffic),
        retries=retries,
        faults=faults(traffic),
        send_lag_ms_p99=send_lag_ms_p99(traffic),
    )


def run(seed: int, *, quick: bool) -> Report:
    began = time.monotonic()
    settings = configuration(seed, quick=quick)
    which = cores()
    for program in ("load", "server"):
        built(program)
    rounds = interleaved(
        {"celadon": partial(measure, settings, which)},
        rounds=settings.rounds,
        lag_ms_p99=lambda outcome: outcome.send_lag_ms_p99,
        read=partial(read_quiet, which),
        forgiving=quick,
    )["celadon"]
    for number, outcome in enumerate(rounds, 1):
        if outcome.faults:
            print(f"round {number}: {outcome.faults}", file=sys.stderr)
    return Report(
        bench="services",
        figures={"services": settings.services, "released": settings.released} | figures_of(rounds),
        peers={},
        machine=describe()
        | {"celadon": celadon_side.version(), "configuration": configuration_hash(settings)},
        seed=seed,
        seconds=round(time.monotonic() - began, 1),
    )


if __name__ == "__main__":
    sys.exit(report_of("services", __doc__, run))
