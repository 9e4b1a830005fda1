"""Exit codes: one small set, the same for every command."""

from enum import IntEnum

from celadon.domain.reason import Code
from celadon.domain.release import Cause, Outcome, Phase


class ExitCode(IntEnum):
    """What a command's end means to the pipeline that ran it."""

    REACHED = 0
    USAGE = 1
    ROLLED_BACK = 2
    PERSON = 3
    INFRASTRUCTURE = 4
    DEADLINE = 5
    REFUSED = 6
    ABORTED = 7


TURNED: dict[Cause, ExitCode] = {
    Cause.PLAN: ExitCode.ROLLED_BACK,
    Cause.VERDICT: ExitCode.ROLLED_BACK,
    Cause.PERSON: ExitCode.ABORTED,
    Cause.WORLD: ExitCode.INFRASTRUCTURE,
    Cause.DEADLINE: ExitCode.DEADLINE,
    Cause.SUPERSEDED: ExitCode.ABORTED,
}
"""What a release that was taken back ends as, by what brought that about."""

ENDS: dict[tuple[Outcome, Cause], ExitCode] = {
    **{(Outcome.PROMOTED, cause): ExitCode.REACHED for cause in Cause},
    **{(Outcome.ROLLED_BACK, cause): code for cause, code in TURNED.items()},
    **{(Outcome.REPORTED, cause): code for cause, code in TURNED.items()},
    (Outcome.REPORTED, Cause.PLAN): ExitCode.REACHED,
    **{(Outcome.SUPERSEDED, cause): ExitCode.ABORTED for cause in Cause},
}
"""The exit code of every end that a release can have."""

NEVER_BEGAN: dict[Code, ExitCode] = {
    Code.SUPERSEDED: ExitCode.ABORTED,
    Code.REMOVE_ASKED: ExitCode.ABORTED,
    Code.COMMAND_TOO_LATE: ExitCode.ABORTED,
    Code.NO_BLUE: ExitCode.REFUSED,
}
"""The exit code of a release that was asked for and never had to begin, by why; any other why is a planned end."""

NEEDS_PERSON = frozenset({Phase.WAITING, Phase.HOLDING})
"""Phases in which a release goes on only when a person says so."""

WORST_FIRST = (
    ExitCode.INFRASTRUCTURE,
    ExitCode.ROLLED_BACK,
    ExitCode.DEADLINE,
    ExitCode.REFUSED,
    ExitCode.ABORTED,
    ExitCode.USAGE,
    ExitCode.PERSON,
    ExitCode.REACHED,
)


def of_all(codes: list[ExitCode]) -> ExitCode:
    """The exit code of several releases that were followed together: the worst of them."""
    return min(codes, key=WORST_FIRST.index, default=ExitCode.REACHED)
