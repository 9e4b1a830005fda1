"""What of green is compared with blue, and within which margins: fixed with the plan, before the first answer."""

from dataclasses import dataclass
from enum import StrEnum


class Units(StrEnum):
    """What was drawn to a side: each request, or users whose keys are known (one event each), or users unseen."""

    REQUESTS = "requests"
    KEYED = "keyed"
    UNSEEN = "unseen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """Green is fine with less than `ratio_max` times blue's share of events plus `extra_max`.

    required: it must be proved so before green is promoted; otherwise it is reported, and can only prove harm.
    """

    ratio_max: float = 1.5
    extra_max: float = 0.001
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyMargin:
    """Green is fine when it is slower than blue by less than `slower_max` at p50, p95 and p99: 0.2 is 20 %."""

    slower_max: float = 0.2
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMargin:
    """Answers that a label shows to be wrong. positive: the label of which missed ones and false alarms count too.

    mature_s: labels that come later than this after their answer are not waited for.
    """

    wrong: Margin
    positive: str | None = None
    mature_s: float = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreMargin:
    """Scores in [0, 1], higher is better: green is fine when its mean is lower by less than `lower_max`."""

    lower_max: float = 0.02
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PairMargin:
    """Mirrored answers, pair by pair. differ_max: the largest share of green's answers that may differ from blue's,
    beyond the share in which blue differs from itself. tolerance: numbers nearer than this are alike, relative.
    """

    differ_max: float = 0.05
    tolerance: float = 1e-3
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Callers told apart by a header; each of the named groups is judged for itself too."""

    header: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """The whole comparison. None of a metric: it is not judged.

    alpha_harm, alpha_fine: how often a release may be taken back, or promoted, wrongly. rest_s: how long a freeze
    lasts at most. freeze_mirror: part of 10,000 of the requests that a frozen green gets as copies; 0: none.
    """

    errors: Margin = Margin()
    latency: LatencyMargin | None = None
    labels: LabelMargin | None = None
    score: ScoreMargin | None = None
    pairs: PairMargin | None = None
    groups: Groups | None = None
    units: Units = Units.REQUESTS
    alpha_harm: float = 0.01
    alpha_fine: float = 0.05
    rest_s: float = 300.0
    freeze_mirror: int = 0
