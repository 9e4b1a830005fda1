"""What the judge says."""

from dataclasses import dataclass
from typing import NamedTuple

from celadon.domain.evidence import Tally
from celadon.domain.reason import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """Harm is proved: roll back."""

    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspected:
    """A strong sign of harm: freeze, which can be undone, and go on listening."""

    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Fine:
    """Nothing speaks against green, and there was enough to see for the stage that is under way."""

    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsure:
    """Not enough to say; never a pass and never a failure."""

    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalid:
    """The evidence can not be trusted: samples that do not join, or a source that restarted."""

    because: Reason


Verdict = Harm | Suspected | Fine | Unsure | Invalid


class Worth(NamedTuple):
    """Money now, from 1 at the start. harm, fine: with capped windows. suspected: harm without the cap."""

    harm: float
    suspected: float
    fine: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """How many times blue's share of events green has. ratio None: nothing to compare. high None: no limit yet."""

    ratio: float | None
    low: float
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one metric says. needed: about how many more answers of green until it is proved fine, None if never.

    required: whether it must be proved fine. note: what people should know of it, such as why it is not judged now.
    part: of the money of the bet on harm, all metrics together 1; so much of the metric's money counts in the proof.
    """

    metric: str
    counts: Tally
    worth: Worth
    interval: Interval
    needed: int | None
    required: bool = True
    note: str = ""
    part: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The word on a stage, and what each metric brought to it.

    suspicion: money on harm of all metrics together, without the cap, from 1 at the start: below 1, what spoke
    against green has been outweighed.
    """

    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    suspicion: float = 1.0
