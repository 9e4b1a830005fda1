"""The two kinds of error that are not our bug: what people wrote is wrong, or the world failed."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with what a person gave us.

    path: where, as `spec/route/port`, or the option or file that was wrong.
    found: what was found there and why it can not be used, in one sentence.
    hint: what would make it succeed; empty only when `found` says it all.
    """

    path: str
    found: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.found}" + (f"\n  hint: {self.hint}" if self.hint else "")


class ProblemsError(Exception):
    """Everything that is wrong with one input, never only the first of it.

    refused: true when the input is well formed but a policy forbids it (exit code 6 and not 1).
    """

    def __init__(self, problems: Iterable[Problem], *, refused: bool = False) -> None:
        self.problems = tuple(problems)
        self.refused = refused
        assert self.problems, "an error without a problem"
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Fault(Exception):  # noqa: N818 -- Fault is the word of the house, beside Problem
    """The world failed: a port is taken, a disk is full, a process is gone.

    what: what failed. hint: what would help.
    """

    def __init__(self, what: str, hint: str = "") -> None:
        self.what = what
        self.hint = hint
        super().__init__(what + (f"\n  hint: {hint}" if hint else ""))


class TransientFault(Fault):
    """A failure that may pass by itself; try again after `retry_s` seconds."""

    def __init__(self, what: str, hint: str = "", *, retry_s: float) -> None:
        self.retry_s = retry_s
        super().__init__(what, hint)


class LastingFault(Fault):
    """A failure that stays until somebody changes something."""
