"""How often a replica has ended in a row, and how it ended last: what outlives both the replica and the daemon."""

from dataclasses import dataclass, replace
from typing import Any

from celadon.domain.facts import Exit
from celadon.platform.process.rundir import RunDir

CALM_S = 60.0
"""A replica that was ready for this long has earned a clean record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """counted: token of the launch that `last` belongs to. ready: token of the last launch that got ready.

    ready_at: since when it is, in Unix seconds; None where nobody wrote that down.
    """

    exits: int = 0
    last: Exit | None = None
    counted: str = ""
    ready: str = ""
    ready_at: float | None = None

    def ended(self, token: str, last: Exit) -> "History":
        """One more exit; the same launch ends only once."""
        if self.counted == token:
            return self
        return replace(self, exits=self.exits + 1, last=last, counted=token)


def read_history(run: RunDir) -> History:
    """What is remembered; an empty history when nothing is."""
    found = run.read("history.json")
    if found is None:
        return History()
    last = found["last"]
    return History(
        exits=found["exits"],
        last=None if last is None else read_exit(last),
        counted=found["counted"],
        ready=found["ready"],
        ready_at=found.get("ready_at"),
    )


def write_history(run: RunDir, history: History) -> None:
    """Remember."""
    last = history.last
    run.write(
        "history.json",
        {
            "exits": history.exits,
            "counted": history.counted,
            "ready": history.ready,
            "ready_at": history.ready_at,
            "last": None
            if last is None
            else {"code": last.code, "at": last.at, "stderr": last.stderr, "fault": last.fault},
        },
    )


def read_exit(found: dict[str, Any]) -> Exit:
    """An exit as the launcher or a history file says it."""
    return Exit(
        code=found["code"], at=found["at"], stderr=tuple(found["stderr"]), fault=found.get("fault", "")
    )
