"""Runs of the judge, spread over processes in which its very source runs compiled.

mypyc compiles the judge as it is; where there is no compiler, it runs as it is. Both give the same numbers to the
last bit, which is asserted on every run. Every part of a job has draws of its own, so that the numbers do not depend
on how many processes share the work.
"""

import multiprocessing
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from bench.judge_streams import Draws

import celadon
from celadon.domain.evidence import Tally
from celadon.judge import coin as coin_module
from celadon.judge.coin import EventCoin
from celadon.judge.odds import Rules

Row = list[float]
COMPILED = (
    "domain/durations.py",
    "domain/evidence.py",
    "domain/verdict.py",
    "judge/bet.py",
    "judge/coin.py",
    "judge/latency.py",
    "judge/odds.py",
)
PROCESSES = 2
SAY_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """So many runs of one kind. draw: its runs from draws and a number of them; each row is one run.

    size: runs of one part, which has draws of its own.
    """

    name: str
    draw: Callable[[Draws, int], Sequence[Row]]
    runs: int
    seed: tuple[int, ...]
    size: int = 500

    def parts(self) -> list["Part"]:
        sizes = [min(self.size, self.runs - first) for first in range(0, self.runs, self.size)]
        return [Part(self, number, size) for number, size in enumerate(sizes)]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a job, small enough that all processes end at about the same time."""

    job: Job
    number: int
    runs: int

    def rows(self) -> tuple[str, int, list[Row], float]:
        began = time.process_time()
        draws = np.random.default_rng([*self.job.seed, self.number])
        rows = [list(row) for row in self.job.draw(draws, self.runs)]
        return self.job.name, self.number, rows, time.process_time() - began


@dataclass(slots=True)
class Done:
    """What the jobs found so far. cost_s: processor seconds by job, for people."""

    rows: dict[str, dict[int, list[Row]]] = field(default_factory=dict)
    cost_s: dict[str, float] = field(default_factory=dict)

    def take(self, name: str, number: int, rows: list[Row], took_s: float) -> None:
        self.rows.setdefault(name, {})[number] = rows
        self.cost_s[name] = self.cost_s.get(name, 0.0) + took_s

    def of(self, name: str) -> list[Row]:
        """All rows of a job, in the order of its parts."""
        parts = self.rows[name]
        return [row for number in sorted(parts) for row in parts[number]]


def spread(jobs: Sequence[Job], *, processes: int = PROCESSES, compiled: bool = True) -> Done:
    """The rows of every job. Progress goes to standard error."""
    assert len({job.name for job in jobs}) == len(jobs), "two jobs have one name"
    parts = [part for job in jobs for part in job.parts()]
    done, began, said = Done(), time.monotonic(), 0.0
    with _judging(compiled=compiled) as where, _pool(processes, where) as pool:
        prints = pool.map(_fingerprint, range(processes), chunksize=1)
        assert set(prints) == {_fingerprint(0)}, "the compiled judge finds other numbers"
        for number, found in enumerate(pool.imap_unordered(Part.rows, parts), 1):
            done.take(*found)
            now = time.monotonic() - began
            if now - said > SAY_S or number == len(parts):
                said = now
                print(
                    f"{now:6.0f} s: {number} of {len(parts)} parts, {found[0]}", file=sys.stderr, flush=True
                )
    return done


@contextmanager
def _judging(*, compiled: bool) -> Iterator[Path | None]:
    """A folder with the judge compiled, None where that can not be done."""
    if not compiled or shutil.which("gcc") is None:
        yield None
        return
    with TemporaryDirectory(prefix="bench-judge-") as name:
        source = Path(celadon.__file__).parent
        shutil.copytree(source, Path(name, "celadon"), ignore=shutil.ignore_patterns("__pycache__"))
        files = [f"celadon/{file}" for file in COMPILED]
        made = subprocess.run(
            [sys.executable, "-m", "mypyc", *files], cwd=name, capture_output=True, text=True, check=False
        )
        if made.returncode:
            print(f"the judge runs as it is: {made.stdout[-300:]}", file=sys.stderr)
        yield Path(name) if made.returncode == 0 else None


@contextmanager
def _pool(processes: int, where: Path | None) -> Iterator[Pool]:
    """Processes that import the judge from there. They begin with this process's path, and import afterwards."""
    sys.path[:0] = [str(where)] if where else []
    try:
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            print(f"the judge runs from {set(pool.map(_runs_from, range(processes)))}", file=sys.stderr)
            yield pool
    finally:
        if where:
            sys.path.remove(str(where))


def _runs_from(_: int) -> str:
    return Path(coin_module.__file__).suffixes[-1]


def _fingerprint(_: int) -> tuple[str, ...]:
    """What the judge says of some thousand fixed answers, to the last bit."""
    found = []
    for rules in (Rules(), Rules(first=1.0, cap=1e9, fine_extra=0.0)):
        judge, draws = EventCoin(rules), np.random.default_rng(7)
        coin = judge.begin(0, (1000, 15))
        for at_s in range(2000):
            green, blue = draws.poisson((10, 190)).tolist()
            bad, blue_bad = draws.binomial((green, blue), (0.02, 0.02)).tolist()
            coin = judge.add(coin, at_s, Tally(500 if at_s < 1000 else 2500, green, bad, blue, blue_bad))
            found.append(hash(judge.worth(coin)))
        found.append(hash((coin.closed.harm.free, coin.closed.fine.capped)))
    return tuple(map(str, found))


def job(
    name: str,
    call: Callable[..., Sequence[Row]],
    *given: object,
    runs: int,
    seed: Sequence[int],
    size: int = 500,
) -> Job:
    return Job(name=name, draw=partial(call, *given), runs=runs, seed=tuple(seed), size=size)
