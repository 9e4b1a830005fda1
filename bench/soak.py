"""Hours of releases under load with kills in between: does anything grow that should not?

Run as `python -m bench.soak --minutes 120 --json`; `--quick` is a smoke test of a minute. One real daemon with its
Envoy and four services, released back to back by every strategy. `docs/soak.md` says what is measured and judged.
`--draw FILE` makes the picture of a run from its samples.
"""

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.build import MissingToolError, built
from bench.celadon_home import CeladonHome, Json
from bench.machine import describe
from bench.processes import PartyError, free_ports
from bench.report import Report, json_line, table
from bench.soak_figures import counted, curve_figures, growing, growths, lost, too_high
from bench.soak_gauges import of_home, of_process
from bench.soak_kills import Killer
from bench.soak_picture import draw
from bench.soak_plays import plays_of
from bench.soak_service import Service

from bench import celadon_side

ROOT = Path(__file__).parents[1]
CALLED = ("blue", "red", "model")
UNCALLED = "quiet"
STORM_S = 600.0
LEVEL_S = 3720.0
"""Envoy lets the clients of a removed service finish for an hour, so it levels out that long after it was last killed."""
JUDGED_S = 1800.0
"""What is seen of less than this, at so many releases, says little about an hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How the time is spent. In the storm everything is killed, afterwards replicas alone, so that daemon and proxy
    live long enough to show whether they grow; judged_s: from when on that is judged, proxy_judged_s: of the proxy.
    """

    seed: int
    length_s: float
    storm_s: float
    judged_s: float
    proxy_judged_s: float
    every_s: float
    apart_s: tuple[float, float]
    rate_per_s: float


def course(minutes: float, seed: int, rate_per_s: float, *, quick: bool) -> Course:
    length_s = 60.0 if quick else 60 * minutes
    storm_s = length_s / 2 if quick else min(length_s / 6, STORM_S)
    judged_s = 0.0 if quick else length_s / 3
    levels = length_s >= storm_s + LEVEL_S + JUDGED_S
    return Course(
        seed=seed,
        length_s=length_s,
        storm_s=storm_s,
        judged_s=judged_s,
        proxy_judged_s=storm_s + LEVEL_S if levels else judged_s,
        every_s=2.0 if quick else 5.0,
        # A replica is back and healthy long before the next kill.
        apart_s=(2.0, 6.0) if quick else (6.0, 18.0),
        rate_per_s=rate_per_s,
    )


@dataclass(slots=True, kw_only=True)
class Heard:
    """What the callers' process has told so far."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[Json] = field(default_factory=list)

    def listen(self, lines: Any, services: Sequence[Service]) -> None:
        by_name = {service.name: service for service in services}
        for line in lines:
            told = json.loads(line)
            if "failed" in told:
                self.failures.append(told["failed"])
                continue
            self.counts = Counter(told["counts"])
            for name, ids in told["ids"].items():
                by_name[name].labels = [*by_name[name].labels, *ids][-200:]


class Soak:
    """One run."""

    def __init__(self, of: Course, folder: Path, out: Path) -> None:
        self._of, self._out = of, out
        self.home = CeladonHome(folder)
        ports = iter(free_ports(8))
        self.services = [
            Service(
                name,
                folder,
                self.home.socket,
                (next(ports), next(ports)),
                model=name == "model",
                seed=of.seed,
            )
            for name in (*CALLED, UNCALLED)
        ]
        self.killer = Killer(home=self.home, services=self.services, seed=of.seed, apart_s=of.apart_s)
        self.heard = Heard()
        self.samples: list[Json] = []
        self._enough = threading.Event()
        self._broken: list[BaseException] = []
        self._began = 0.0

    def run(self) -> None:
        self.home.start()
        for service in self.services:
            service.deploy("good", {"watch": {"seconds": 1, "minRequests": 1}, "holdSeconds": 1})
        for service in self.services:
            service.settle("promoted")
        with _callers(self.services[: len(CALLED)], self._of.rate_per_s, self.heard):
            self._began = time.monotonic()
            with contextlib.ExitStack() as stack:
                for service in self.services:
                    stack.enter_context(self._thread(partial(self._release, service)))
                stack.enter_context(self._thread(partial(self.killer.run, self._enough)))
                stack.callback(self._end)
                self._sample()
            if self._broken:
                raise self._broken[0]
            # What the proxy and the daemon need to come back after so many releases, under load.
            self.killer.envoy()
            self.killer.daemon()
            self._keep(self._look(time.monotonic() - self._began))

    def _end(self) -> None:
        self._enough.set()
        for service in self.services:
            service.over.set()

    @contextlib.contextmanager
    def _thread(self, work: Any) -> Iterator[None]:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 -- raised again by the thread that waits
                self._broken.append(error)

        thread = threading.Thread(target=guarded)
        thread.start()
        try:
            yield
        finally:
            thread.join()

    def _release(self, service: Service) -> None:
        """Back to back, each script to its end."""
        while not self._enough.is_set():
            for play in plays_of(service, self._of.seed, called=service.name != UNCALLED):
                if self._enough.is_set():
                    return
                play(service)

    def _sample(self) -> None:
        self._out.write_text(json.dumps(asdict(self._of)) + "\n")
        due = self._began
        while (passed := time.monotonic() - self._began) < self._of.length_s and not self._broken:
            self._blow(passed < self._of.storm_s)
            self._keep(self._look(passed))
            due += self._of.every_s
            time.sleep(max(0.0, due - time.monotonic()))

    def _keep(self, sample: Json) -> None:
        self.samples.append(sample)
        with self._out.open("a") as out:
            out.write(json.dumps(sample) + "\n")

    def _blow(self, now: bool) -> None:
        if now:
            self.killer.storm.set()
        else:
            self.killer.storm.clear()

    def _look(self, passed_s: float) -> Json:
        sample: Json = {"at_s": round(passed_s, 1)}
        with contextlib.suppress(PartyError, OSError):
            asked = time.monotonic()
            pid = int(self.home.get("/v1/health")["pid"])
            sample["daemon_answer_ms"] = round(1000 * (time.monotonic() - asked), 1)
            sample |= of_process(pid, "daemon")
        with contextlib.suppress(PartyError):
            sample |= of_process(self.home.envoy_pid(), "envoy")
        sample |= of_home(self.home.path)
        sample["processes"] = len(self.home.processes())
        counts = self.heard.counts
        sample |= {name: counts[name] for name in ("requests", "planted", "failed")}
        sample |= {f"kills_{name}": self.killer.counts[name] for name in ("replica", "envoy", "daemon")}
        ended = sum((service.ended for service in self.services), Counter())
        outcomes = ("promoted", "rolled_back", "reported", "superseded")
        return sample | {name: ended[name] for name in outcomes} | {"releases": sum(ended.values())}


@contextlib.contextmanager
def _callers(services: Sequence[Service], rate_per_s: float, heard: Heard) -> Iterator[None]:
    plan = {"rate_per_s": rate_per_s, "targets": [service.target for service in services]}
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.soak_callers", json.dumps(plan)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    listener = threading.Thread(target=heard.listen, args=(process.stdout, services))
    listener.start()
    try:
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
        listener.join()


def run(of: Course, out: Path) -> tuple[Report, list[str]]:
    """The report, and everything that is not as it must be."""
    began = time.monotonic()
    built("server")
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        soak = Soak(of, Path(folder), out)
        try:
            soak.run()
        finally:
            soak.home.stop()
    # The last sample is of a daemon and a proxy that were just born: it counts what happened, and no curve.
    lived = soak.samples[:-1]
    grown = growths(lived, asdict(of))
    failed = lost(soak.heard.failures, soak.killer.away)
    strange = [one for service in soak.services for one in service.strange]
    for one in (*strange, *failed):
        print(json.dumps(one), file=sys.stderr)
    figures: dict[str, float | int] = {
        **counted(soak.samples),
        "failed_repeatable": len(failed),
        "failed_without_proxy": len(soak.heard.failures) - len(failed),
        "without_proxy_s": round(sum(back - gone for gone, back in soak.killer.away), 2),
        "ended_otherwise": len(strange),
        "daemon_back_s_max": max(soak.killer.daemon_back_s),
        "daemon_back_s_last": soak.killer.daemon_back_s[-1],
        **curve_figures(lived, grown),
        "growing": len(growing(grown)),
    }
    report = Report(
        bench="soak",
        figures=figures,
        peers={},
        machine=describe() | {"celadon": celadon_side.version()},
        seed=of.seed,
        seconds=round(time.monotonic() - began, 1),
    )
    losses = [f"{len(failed)} requests failed that may be repeated"] if failed else []
    return report, [*losses, *growing(grown), *too_high(soak.samples)]


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    options.add_argument("--minutes", type=float, default=120.0, help="how long releases go on")
    options.add_argument("--rate", type=float, default=75.0, help="requests a second over all services")
    options.add_argument("--json", action="store_true", help="end with one JSON object on a line")
    options.add_argument("--quick", action="store_true", help="a smoke test of a minute, without a verdict")
    options.add_argument("--seed", type=int, default=1, help="seed of everything that is drawn")
    options.add_argument(
        "--out", type=Path, default=ROOT / "build" / "soak.jsonl", help="file for the samples"
    )
    options.add_argument(
        "--draw", type=Path, help="draw the samples of --out into this file, and run nothing"
    )
    return options.parse_args()


def main() -> int:
    """0 flat and nothing lost, 1 anything else."""
    chosen = _options()
    if chosen.draw is not None:
        course_of, *samples = (json.loads(line) for line in chosen.out.read_text().splitlines())
        draw(course_of, samples, chosen.draw)
        return 0
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    of = course(chosen.minutes, chosen.seed, chosen.rate, quick=chosen.quick)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    try:
        report, wrong = run(of, chosen.out)
    except (PartyError, MissingToolError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    print(table(report))
    for one in wrong:
        print(f"  {one}")
    if chosen.json:
        print(json_line(report))
    # A minute says nothing about an hour's growth.
    return int(report.figures["failed_repeatable"] > 0 if chosen.quick else bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
