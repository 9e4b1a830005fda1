"""How a process that runs for months uses the memory and the processor that it is given."""

import contextlib
import ctypes
import gc

GIVEN_BACK = {-1: 128 * 1024, -3: 64 * 1024, -8: 1}
"""Settings of glibc's allocator: its M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_ARENA_MAX (malloc.h)."""

COLLECTED = (20_000, 20, 20)
"""After how many new values the youngest are searched for cycles, and after how many such searches the older ones are
(`gc.set_threshold`). Hardly any value of ours is part of a cycle; with 5,000 services the interpreter's own thresholds spent
a sixth of the processor on the search, 400 ms at a time."""


def tune() -> None:
    """What is free again goes back to the kernel, which glibc would keep for each thread; cycles are seldom searched for."""
    gc.set_threshold(*COLLECTED)
    with contextlib.suppress(AttributeError):  # Another C library has no such settings.
        mallopt = ctypes.CDLL(None).mallopt
        for setting, value in GIVEN_BACK.items():
            mallopt(setting, value)
