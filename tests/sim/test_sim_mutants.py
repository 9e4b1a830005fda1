"""The laws are trusted only while every bug that is planted on purpose is found, by the law that names it."""

import contextlib
import io

import pytest
from sim_mutants import MUTANTS, Mutant, planted

from celadon.sim.play import play

SEEDS = 200


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_found_by_its_law(mutant: Mutant):
    told: dict[str, int] = {}
    with planted(mutant), contextlib.redirect_stderr(io.StringIO()):
        for seed in range(SEEDS):
            for one in play(seed).violations:
                told.setdefault(one.law, seed)
            if mutant.law in told:
                return
    raise AssertionError(f"{mutant.law!r} did not notice it; others did: {told}")
