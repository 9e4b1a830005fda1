"""The seeds that every change has to pass, and what they met on the way."""

import os
import subprocess
import sys

import pytest

from celadon.sim.play import play
from celadon.sim.runner import BLOCK, DIGESTS, Report, outcomes, read


@pytest.mark.timeout(1800)
def test_a_thousand_worlds_keep_every_law():
    report = Report()
    report.add(outcomes(range(BLOCK), os.cpu_count() or 1))
    assert [(one.seed, one.violations) for one in report.broken] == []
    assert report.missing == [], "a kind of fault that never met a release in one of its phases"
    assert report.ticks_least >= 200
    assert report.digests[0] == read(DIGESTS)[0], "the first thousand ends otherwise: see `make digests`"


TOLD = "from celadon.sim.play import play; lines = []; play(7, lines); print('\\n'.join(lines))"


def test_the_same_seed_gives_the_same_trace_in_another_process_and_under_another_hash_seed():
    lines: list[str] = []
    play(7, lines)
    for hash_seed in ("0", "4711"):
        told = subprocess.run(
            [sys.executable, "-c", TOLD],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.splitlines() == lines
