"""How long a switch takes as callers see it, and what it costs them.

Every party stands in front of the same two servers on one core; the load comes from another core. Run as
`python -m bench.switch`, with `--json` for one JSON object on the last line.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random

from bench.backends import NAME_HEADER, BackendSettings
from bench.build import built
from bench.command_line import report_of
from bench.exchanges import Traffic, cut_streams, faults, latency_ms_p99, lost, send_lag_ms_p99
from bench.generator import Demand, Generator
from bench.machine import Cores, cores, describe, on_core, read_quiet
from bench.peers import haproxy, nginx
from bench.processes import PartyError
from bench.report import Report, configuration_hash
from bench.rounds import interleaved
from bench.side import BLUE, GREEN, Party, Side
from bench.switch_figures import Outcome, figures_of, noise_figures, ratio_figures
from bench.switches import Switch, seen

from bench import celadon_side

SETTLING_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything that a figure depends on, the same for every party."""

    demand: Demand
    backends: BackendSettings
    rounds: int
    switches_per_round: int
    retire_every: int
    """Every so many switches the old side is drained, ended and started anew."""
    warm_s: float
    quiet_s: float
    gap_s: tuple[float, float]
    """Seconds between two switches, drawn evenly."""
    shell_switches_per_round: int
    """More switches after those, by the command that a person would type."""


def configuration(seed: int, *, quick: bool) -> Configuration:
    return Configuration(
        demand=Demand(
            rate_per_s=300 if quick else 1000, connections=64, streams=12, stream_s=1.0 if quick else 3.0
        ),
        backends=BackendSettings(delay_ms_median=10, delay_sigma=0.2, warm_ms=200, seed=seed),
        rounds=1 if quick else 5,
        switches_per_round=5 if quick else 42,
        retire_every=4 if quick else 8,
        warm_s=0.5 if quick else 2.0,
        quiet_s=0.5 if quick else 2.0,
        gap_s=(0.35, 0.55),
        shell_switches_per_round=1 if quick else 4,
    )


def parties() -> list[Party]:
    return [
        Party(name="celadon", version=celadon_side.version(), make=celadon_side.Celadon),
        Party(name="nginx", version=nginx.version(), make=nginx.Nginx),
        Party(name="haproxy", version=haproxy.version(), make=haproxy.Haproxy),
    ]


def measure(party: Party, settings: Configuration, which: Cores, number: int) -> Outcome:
    """One party in one round, from nothing to nothing."""
    print(f"round {number + 1}: {party.name}", file=sys.stderr, flush=True)
    # The driver stays on the measured core, so that all it starts is there and the load has the other alone.
    # The path is short because the name of a Unix socket may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, on_core(which.measured):
        home = Path(folder)
        side = party.make(home, settings.backends)
        try:
            side.start()
            outcome = _under_load(side, settings, which, home)
        finally:
            side.stop()
    # Said at once, so that a run which turns out void still tells what it saw; none of it is a figure.
    said = f"{outcome.switch_ms_p50:.1f} ms, {outcome.lost} lost, {outcome.cut_streams} streams cut"
    print(f"round {number + 1}: {party.name}: {said}", file=sys.stderr, flush=True)
    return outcome


def _under_load(side: Side, settings: Configuration, which: Cores, home: Path) -> Outcome:
    out = home / "exchanges.csv"
    with Generator(settings.demand, [side.port], core=which.load, out=out, name_header=NAME_HEADER) as load:
        load.start()
        time.sleep(settings.warm_s)
        marks_ns = [time.monotonic_ns()]
        for step in (_pause(settings.quiet_s), _pause(settings.quiet_s), _at_least(SETTLING_S, side.prepare)):
            step()
            marks_ns.append(time.monotonic_ns())
        # Streams are staggered over their length, so only now is every one of them open.
        time.sleep(settings.demand.stream_s)
        switches = _switch_often(side, settings)
        end_ns = time.monotonic_ns()
        shell_ms = _switch_from_shell(side, settings)
        traffic = load.stop()
    return _outcome(traffic, switches, marks_ns, end_ns, retries=side.retries(), shell_ms=shell_ms)


def _pause(seconds: float) -> Callable[[], None]:
    return partial(time.sleep, seconds)


def _at_least(seconds: float, act: Callable[[], None]) -> Callable[[], None]:
    """A stretch too short to hold a p99 is stretched."""

    def acted() -> None:
        until = time.monotonic() + seconds
        act()
        time.sleep(max(0.0, until - time.monotonic()))

    return acted


def _switch_often(side: Side, settings: Configuration) -> list[Switch]:
    draws = Random(settings.backends.seed)
    switches: list[Switch] = []
    old, new = BLUE, GREEN
    for count in range(1, settings.switches_per_round + 1):
        retires = count % settings.retire_every == 0
        side.validate(new)
        switches.append(Switch(command_ns=side.switch(new), old=old, new=new, retires=retires))
        side.settle(new)
        time.sleep(draws.uniform(*settings.gap_s))
        if retires:
            side.retire(old)
        old, new = new, old
    return switches


def _switch_from_shell(side: Side, settings: Configuration) -> list[float]:
    """How long the command takes that a person types, its own start included, under the same load."""
    taken_ms = []
    to = (GREEN, BLUE)[settings.switches_per_round % 2]
    for _ in range(settings.shell_switches_per_round):
        command = side.shell_command(to)
        if not command:
            break
        side.validate(to)
        began_ns = time.monotonic_ns()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        taken_ms.append((time.monotonic_ns() - began_ns) / 1e6)
        if done.returncode != 0:
            raise PartyError(f"{command}: {done.returncode} {done.stderr.decode()}")
        time.sleep(settings.gap_s[1])
        to = BLUE if to == GREEN else GREEN
    return taken_ms


def _outcome(
    traffic: Traffic,
    switches: Sequence[Switch],
    marks_ns: Sequence[int],
    end_ns: int,
    *,
    retries: int,
    shell_ms: Sequence[float],
) -> Outcome:
    first, second, starting = (latency_ms_p99(traffic.requests, a, b) for a, b in pairwise(marks_ns))
    return Outcome(
        switches=seen(traffic, switches, end_ns),
        retired=sum(1 for s in switches if s.retires),
        requests=traffic.requests_issued,
        streams=traffic.streams_issued,
        lost=lost(traffic),
        cut_streams=cut_streams(traffic),
        faults=faults(traffic),
        quiet_ms_p99=(first, second),
        starting_ms_p99=starting,
        send_lag_ms_p99=send_lag_ms_p99(traffic),
        retries=retries,
        shell_ms=shell_ms,
    )


def figures(outcomes: Mapping[str, Sequence[Outcome]]) -> dict[str, float | int]:
    """celadon's figures bear no prefix, a peer's bear its name."""
    found: dict[str, float | int] = {}
    for name, rounds in outcomes.items():
        found |= figures_of(rounds, "" if name == "celadon" else f"{name}_")
    return found | ratio_figures(outcomes) | noise_figures(outcomes)


def run(seed: int, *, quick: bool) -> Report:
    began = time.monotonic()
    settings = configuration(seed, quick=quick)
    which = cores()
    for program in ("load", "server"):
        built(program)
    present = parties()
    outcomes = interleaved(
        {party.name: partial(measure, party, settings, which) for party in present},
        rounds=settings.rounds,
        lag_ms_p99=lambda outcome: outcome.send_lag_ms_p99,
        read=partial(read_quiet, which),
        forgiving=quick,
    )
    for name, rounds in outcomes.items():
        for number, outcome in enumerate(rounds, 1):
            if outcome.faults:
                print(f"round {number}: {name}: {outcome.faults}", file=sys.stderr)
    return Report(
        bench="switch",
        figures=figures(outcomes),
        peers={party.name: party.version for party in present if party.name != "celadon"},
        machine=describe() | {"configuration": configuration_hash(settings)},
        seed=seed,
        seconds=round(time.monotonic() - began, 1),
    )


if __name__ == "__main__":
    sys.exit(report_of("switch", __doc__, run))
