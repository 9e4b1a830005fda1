"""The machine under a benchmark: what it is, whose core is whose, and whether it was quiet."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """One core for what is measured, another for the load generator and the driver."""

    measured: int
    load: int


class TooFewCoresError(Exception):
    """A generator that shares its core with what it measures would measure itself."""


def cores() -> Cores:
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise TooFewCoresError(f"a benchmark needs two cores, this process may use {len(usable)}")
    return Cores(measured=usable[0], load=usable[1])


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started inside inherits the core; so does every thread and child it starts later."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def describe() -> dict[str, str | int]:
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "processor": model,
        "cores": os.cpu_count() or 0,
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """A reading of how busy the machine is with other things."""

    calibration_ms: float
    steal_ticks: int
    all_ticks: int


def read_quiet(which: Cores) -> Quiet:
    """The loop runs on both cores, and the slower one counts: trouble on either spoils a round."""
    slowest_ms = 0.0
    for core in (which.measured, which.load):
        with on_core(core):
            slowest_ms = max(slowest_ms, median(_loop_ms() for _ in range(9)))
    # user, nice, system, idle, iowait, irq, softirq, steal; guest time is already part of user.
    ticks = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return Quiet(calibration_ms=slowest_ms, steal_ticks=ticks[7], all_ticks=sum(ticks))


def _loop_ms() -> float:
    """A fixed amount of work, about 20 ms of it."""
    began_ns = time.perf_counter_ns()
    total = 0
    for i in range(300_000):
        total += i * i % 7
    assert total > 0
    return (time.perf_counter_ns() - began_ns) / 1e6


def drift(before: Quiet, after: Quiet) -> float:
    """How far the calibration loop moved, as a part of the faster reading."""
    low, high = sorted((before.calibration_ms, after.calibration_ms))
    return high / low - 1


def steal(before: Quiet, after: Quiet) -> float:
    """The part of the time between two readings that the hypervisor gave to others."""
    return (after.steal_ticks - before.steal_ticks) / max(1, after.all_ticks - before.all_ticks)
