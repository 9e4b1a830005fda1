"""The laws by name, and what a broken one is told as."""

from dataclasses import dataclass
from enum import StrEnum


class Law(StrEnum):
    """Every law of the house that can be seen from outside or in the journal."""

    SHARES_SUM = "shares sum to 10,000"
    READY_FIRST = "no live traffic to what is not ready and verified"
    FRESH_FORWARD = "only fresh facts move forward"
    SOMEBODY_SERVES = "the last healthy set is never taken away"
    SPARE_ALONE = "nothing is taken away that the rest can not do without"
    ALONG_THE_TABLE = "a phase moves only along its table"
    NEVER_FORWARD_AGAIN = "after rolling back, never forward again"
    GATES_HOLD = "no automatic step passes a manual gate"
    HARM_TURNS_BACK = "harm leads to rollback within a stated number of ticks"
    NO_FLAPPING = "what was forgiven does not freeze again"
    NO_REQUEST_LOST = "no action of ours costs an accepted request its answer"
    RECORDED_FIRST = "no effect without a recorded goal"
    STARTED_ONCE = "nothing that runs is started again"
    COMMANDS_SURVIVE = "an acknowledged command survives"
    EVIDENCE_SURVIVES = "evidence outlives a crash"
    MEMORY_SURVIVES = "what was recorded is what a restart reads"
    DIFF_EMPTIES = "repeated apply reaches an empty diff within a bound"
    SAME_END = "a crash at any effect gives the same outcome on the same samples"
    OLDER_REFUSED = "an older stamp is refused"
    CONFIRMED_FIRST = "a step counts only when its route is confirmed"
    SPLIT_AGREES = "a step counts only when the measured split agrees"
    PROMOTION_CHANGES_ROLES = "promotion never restarts what was tested"
    UNITS_STAY = "a unit moves back only by freeze or rollback"
    RELEASES_END = "every release ends or names whom it waits for"
    UNKNOWN_SHOWN = "what is not known is no pass, and is shown as not known"
    SERVED = "once the trouble is over, everyone is served"
    NO_BUG = "a tick ends without a bug"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A broken law, when (seconds since the world began), and how it shows."""

    law: Law
    at: float
    what: str
