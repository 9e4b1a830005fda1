"""How a process that runs for months keeps its memory."""

import contextlib
import ctypes
import gc

GIVEN_BACK = {-1: 128 * 1024, -3: 64 * 1024, -8: 1}
"""Settings of glibc's allocator: its M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_ARENA_MAX (malloc.h)."""

COLLECTED = (20_000, 20, 20)
"""How many values more than before there are when the youngest are searched for cycles, and how many searches make one of
the next generation (`gc.set_threshold`). What is known of services goes by itself; with 5,000 of them the interpreter's
own thresholds spent a sixth of the processor on it, 400 ms at a time."""


def keep_memory_level() -> None:
    """What is free again goes back to the kernel: left alone, glibc keeps ever more of it, for each thread apart."""
    gc.set_threshold(*COLLECTED)
    with contextlib.suppress(AttributeError):  # Another C library has no such settings.
        mallopt = ctypes.CDLL(None).mallopt
        for setting, value in GIVEN_BACK.items():
            mallopt(setting, value)
