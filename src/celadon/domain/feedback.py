"""What is told of answers after they were given, and the request that each of them answered."""

from dataclasses import dataclass

from celadon.domain.goal import Arm
from celadon.domain.names import RevisionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What the owner knows of one answer, by the id of its request. At least one of the three is given.

    wrong: whether the answer was wrong. label: what would have been right, compared with what was predicted. score:
    how good it was, in [0, 1].
    """

    request: str
    wrong: bool | None = None
    label: str | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What became of feedback. waiting: its request is not known yet, and counts once it is; twice: it was there."""

    accepted: int = 0
    waiting: int = 0
    twice: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """One request as the router logged it, so that feedback can be joined to it. at_s: whole seconds, its answer's."""

    request: str
    at_s: int
    revision: RevisionId
    arm: Arm = Arm.MAIN
    share: int
    group: str = ""
