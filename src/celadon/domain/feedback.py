"""What is told of answers after they were given, and the request that each of them answered."""

from dataclasses import dataclass

from celadon.domain.compare import Compare
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
    """What became of feedback. waiting: its request or its prediction is not known yet, and counts once it is.

    twice: something was told of this request before, and that stays. unneeded: nothing is compared that it could tell of.
    """

    accepted: int = 0
    waiting: int = 0
    twice: int = 0
    unneeded: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What became of all feedback on a service. waiting: now; the others since its first release that compared.

    late: came when it could not be used any more. unusable: says what was right of an answer that names no class.
    unjoined: waited for a request or prediction that never came. forgotten: requests, given up before their time
    since there were too many. same_caller: of a caller who is kept on one side and of whom a label was used already.
    """

    accepted: int = 0
    waiting: int = 0
    twice: int = 0
    late: int = 0
    unusable: int = 0
    unjoined: int = 0
    forgotten: int = 0
    same_caller: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """One request as the router logged it, so that feedback can be joined to it. at_s: whole seconds, its answer's.

    unit: a digest of who is kept on one side in this release; "" where the request was drawn by itself.
    """

    request: str
    at_s: int
    revision: RevisionId
    arm: Arm = Arm.MAIN
    share: int
    group: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interest:
    """What one release wants to come to know later.

    blue: whose answers copies are compared with. began_at: wall time; answers given earlier were drawn by another
    release. ended_at: the same for later ones, None while it goes on.
    """

    compare: Compare
    blue: RevisionId
    began_at: float
    ended_at: float | None = None
