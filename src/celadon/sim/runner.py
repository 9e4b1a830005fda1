"""Runs many seeds, counts what they met, and keeps one digest for every thousand of them."""

import argparse
import contextlib
import gc
import hashlib
import io
import multiprocessing
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from celadon.sim.play import PAIRS, Outcome, play

BLOCK = 1_000
DIGESTS = Path(__file__).with_name("digests.txt")


@dataclass(slots=True)
class Report:
    """What a run of seeds brought to light."""

    seeds: int = 0
    ticks: int = 0
    ticks_least: int = 10**9
    broken: list[Outcome] = field(default_factory=list)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    digests: dict[int, str] = field(default_factory=dict)

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """All outcomes, in order of their seeds."""
        block, whole = hashlib.sha256(), False
        for one in outcomes:
            if one.seed % BLOCK == 0:
                block, whole = hashlib.sha256(), True
            self.seeds += 1
            self.ticks += one.ticks
            self.ticks_least = min(self.ticks_least, one.ticks)
            self.pairs.update((fault.value, moment) for fault, moment in one.faults)
            self.ends.update(end.split(" ", 1)[1] for end in one.ended)
            if one.violations:
                self.broken.append(one)
            block.update(one.digest.encode())
            if one.seed % BLOCK == BLOCK - 1 and whole:
                self.digests[one.seed // BLOCK] = block.hexdigest()

    @property
    def missing(self) -> list[tuple[str, str]]:
        """Pairs of a fault and a phase that never came to pass."""
        return [(fault.value, moment) for fault, moment in PAIRS if not self.pairs[fault.value, moment]]


def outcomes(seeds: Sequence[int], jobs: int = 1) -> Iterator[Outcome]:
    """What comes of these seeds, in their order. jobs: processes that share the work."""
    if jobs == 1:
        for seed in seeds:
            yield _alone(seed)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(_alone, seeds, chunksize=10)


def _alone(seed: int) -> Outcome:
    """One seed. What it leaves behind is collected after it, and not while it goes on."""
    gc.disable()
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # A bug is told by the law that it breaks.
            return play(seed)
    finally:
        gc.enable()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 when a law was broken or a digest is another one."""
    asked = _parser().parse_args(arguments)
    if asked.seed is not None:
        return _replay(asked.seed)
    if asked.check_block is not None:
        return _check(asked.check_block, asked.jobs)
    began, cpu = time.perf_counter(), _cpu_s()
    report = Report()
    report.add(outcomes(range(asked.first, asked.first + asked.seeds), asked.jobs))
    took_s, cpu_s = time.perf_counter() - began, _cpu_s() - cpu
    _print(report, took_s, cpu_s)
    if asked.write and report.digests and not report.broken:
        kept = read(DIGESTS) if asked.first else {}
        write(DIGESTS, {**kept, **report.digests})
    return 1 if report.broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m celadon.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=BLOCK, help="how many")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--seed", type=int, help="one seed alone, with everything that happens in it")
    told = (
        "keep the digests of whole thousands, if no law was broken; from seed 0 on, older ones are forgotten"
    )
    parser.add_argument("--write", action="store_true", help=told)
    parser.add_argument(
        "--check-block", help="`random` or the number of a thousand: compute its digest again"
    )
    return parser


def _cpu_s() -> float:
    """CPU seconds of this process and of those that it waited for."""
    import resource  # noqa: PLC0415 -- not there on every system, and only figures need it

    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _replay(seed: int) -> int:
    lines: list[str] = []
    outcome = play(seed, lines)
    _say(*lines)
    for one in outcome.violations:
        _say(f"BROKEN at {one.at:.1f} s: {one.law}: {one.what}")
    return 1 if outcome.violations else 0


def _check(block: str, jobs: int) -> int:
    """One block again; which one may be left to chance, since no run may know it beforehand."""
    kept = read(DIGESTS)
    if not kept:
        _say(f"{DIGESTS} has no digest")
        return 1
    number = random.SystemRandom().choice(sorted(kept)) if block == "random" else int(block)
    report = Report()
    report.add(outcomes(range(number * BLOCK, (number + 1) * BLOCK), jobs))
    same = report.digests[number] == kept.get(number)
    _say(f"block {number}: {report.digests[number]} {'as it was' if same else f'and was {kept.get(number)}'}")
    return 0 if same and not report.broken else 1


def _print(report: Report, took_s: float, cpu_s: float) -> None:
    for one in report.broken[:20]:
        for violation in one.violations:
            _say(f"seed {one.seed}: {violation.law} ({violation.what[:160]})")
        _say(f"  replay with: python -m celadon.sim --seed {one.seed}")
    _say(
        f"{report.seeds} seeds, {report.ticks} ticks ({report.ticks_least} at least),"
        f" {report.seeds / took_s:.1f} seeds/s, {1000 * cpu_s / report.seeds:.1f} ms of CPU per seed",
        "ends: " + ", ".join(f"{end} {count}" for end, count in sorted(report.ends.items())),
        f"pairs of fault and phase: {len(PAIRS) - len(report.missing)} of {len(PAIRS)}"
        + "".join(f"\n  never: {fault}, {moment}" for fault, moment in report.missing),
        f"violations: {sum(len(one.violations) for one in report.broken)} in {len(report.broken)} seeds",
        *(f"block {number}: {digest}" for number, digest in sorted(report.digests.items())),
    )


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")


def read(path: Path) -> dict[int, str]:
    """Digests by block."""
    if not path.exists():
        return {}
    rows = [line.split() for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {int(number): digest for number, digest in rows}


def write(path: Path, digests: dict[int, str]) -> None:
    """All digests, one a line."""
    head = "# SHA-256 over what came to pass in a thousand seeds each, by the number of the thousand.\n"
    path.write_text(head + "".join(f"{number} {digests[number]}\n" for number in sorted(digests)))
