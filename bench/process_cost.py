"""What a process costs, as the kernel counts it."""

import os
import time
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Processor time used since its start, in and out of the kernel."""
    # The name stands in brackets and may hold anything, so counting begins after it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def cpu_percent(pid: int, over_s: float) -> float:
    """The share of one core that it uses, looked at for `over_s`."""
    before_s, began = cpu_s(pid), time.monotonic()
    time.sleep(over_s)
    return 100 * (cpu_s(pid) - before_s) / (time.monotonic() - began)


def rss_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"process {pid} has no memory")
