"""Interleaved rounds on a noisy machine: what counts, what is repeated, and how parties are compared."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from bench.machine import Quiet, drift, steal

DRIFT_LIMIT = 0.15
STEAL_LIMIT = 0.05
SEND_LAG_LIMIT_MS = 3.0
VOID_ROUNDS_ALLOWED = 3
VOID_EXIT_CODE = 75

T = TypeVar("T")


class VoidError(Exception):
    """The machine was too noisy to say anything: neither passed nor failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How noisy the machine was while one round ran."""

    drift: float
    steal: float
    send_lag_ms_p99: float

    def too_loud(self) -> str:
        """Why the round does not count, or nothing."""
        if self.drift > DRIFT_LIMIT:
            return f"the calibration loop drifted by {self.drift:.0%}"
        if self.steal > STEAL_LIMIT:
            return f"{self.steal:.0%} of the time was stolen"
        if self.send_lag_ms_p99 > SEND_LAG_LIMIT_MS:
            return f"requests left {self.send_lag_ms_p99:.1f} ms late at the p99"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A median over rounds, and the smallest and largest of them."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    return Spread(median=median(values), low=min(values), high=max(values))


def paired_ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ratios within each round, so that what was slow for both in a round cancels out."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def interleaved(
    parties: Mapping[str, Callable[[int], T]],
    *,
    rounds: int,
    lag_ms_p99: Callable[[T], float],
    read: Callable[[], Quiet],
    forgiving: bool = False,
) -> dict[str, list[T]]:
    """Every party once a round, each round beginning with another one; a loud round is run again.

    `forgiving` counts loud rounds too: a smoke test asks whether everything runs, not how fast.
    """
    results: dict[str, list[T]] = {name: [] for name in parties}
    void = 0
    number = 0
    while number < rounds:
        outcome, noise = _measured(parties, _in_turn(parties, number), number, lag_ms_p99, read)
        reason = noise.too_loud()
        if not reason or forgiving:
            for name, result in outcome.items():
                results[name].append(result)
            number += 1
            continue
        void += 1
        print(f"round {number + 1} does not count: {reason}", file=sys.stderr, flush=True)
        if void == VOID_ROUNDS_ALLOWED:
            raise VoidError(f"{void} rounds did not count, the last because {reason}")
    return results


def by_turns(
    parties: Mapping[str, Callable[[int], T]],
    *,
    rounds: int,
    lag_ms_p99: Callable[[T], float],
    read: Callable[[], Quiet],
    forgiving: bool = False,
) -> tuple[dict[str, list[T]], dict[str, list[T]]]:
    """The same for parties between which no ratio is taken: where a party's turn was loud, it alone has it again.

    Returns what counts, and what was run again. A turn that is loud three times in a row voids everything, and so do
    more loud turns than there are rounds.
    """
    counts: dict[str, list[T]] = {name: [] for name in parties}
    again: dict[str, list[T]] = {name: [] for name in parties}
    for number in range(rounds):
        for name in _in_turn(parties, number):
            for loud in range(1, VOID_ROUNDS_ALLOWED + 1):
                outcome, noise = _measured(parties, [name], number, lag_ms_p99, read)
                reason = "" if forgiving else noise.too_loud()
                (again if reason else counts)[name].append(outcome[name])
                if not reason:
                    break
                print(f"round {number + 1}: {name} does not count: {reason}", file=sys.stderr, flush=True)
                if loud == VOID_ROUNDS_ALLOWED:
                    raise VoidError(f"{name} did not count {loud} times in a row, the last because {reason}")
                if sum(map(len, again.values())) > rounds:
                    raise VoidError(f"more turns than {rounds} did not count, the last because {reason}")
    return counts, again


def _in_turn(parties: Mapping[str, object], number: int) -> list[str]:
    """Each round begins with another party."""
    names, turn = list(parties), number % len(parties)
    return names[turn:] + names[:turn]


def _measured(
    parties: Mapping[str, Callable[[int], T]],
    names: Sequence[str],
    number: int,
    lag_ms_p99: Callable[[T], float],
    read: Callable[[], Quiet],
) -> tuple[dict[str, T], Noise]:
    """These parties one after another, and how noisy the machine was meanwhile."""
    before = read()
    outcome = {name: parties[name](number) for name in names}
    after = read()
    noise = Noise(
        drift=drift(before, after),
        steal=steal(before, after),
        send_lag_ms_p99=max(lag_ms_p99(result) for result in outcome.values()),
    )
    return outcome, noise
