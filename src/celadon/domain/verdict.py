"""What the judge says."""

from dataclasses import dataclass

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
    """Nothing speaks against green, and there was enough to see."""

    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsure:
    """Not enough to say; never a pass and never a failure."""

    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalid:
    """The evidence can not be trusted: samples that do not join, or a source that restarted."""

    because: Reason


Verdict = Harm | Fine | Unsure | Invalid

Judgement = Verdict | Suspected
"""What the judge that compares green with blue says."""
