"""What the demo tells: four revisions of one service, and what should become of each."""

from dataclasses import dataclass

from celadon.domain.release import Outcome

SERVICE = "digits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One revision. label: what it is called on the terminal; what: what is special about it, in a few words."""

    label: str
    what: str
    planned: Outcome


FIRST = Chapter(label="first", what="learned from few images", planned=Outcome.PROMOTED)
BETTER = Chapter(label="better", what="learned from many images", planned=Outcome.PROMOTED)
FAILING = Chapter(
    label="failing", what="better, but its table is too short for bold digits", planned=Outcome.ROLLED_BACK
)
SLOW = Chapter(
    label="slow", what="better, but it takes very long over bold digits", planned=Outcome.ROLLED_BACK
)

RELEASES = (BETTER, FAILING, SLOW)
"""The three releases, in order, after the first revision was brought up."""
