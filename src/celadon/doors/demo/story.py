"""What the demo tells: revisions, what is special about each, and what should become of it."""

from dataclasses import dataclass

from celadon.domain.release import Outcome

SERVICE = "digits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One revision. label: what it is called on the terminal; what: what is special about it, in a few words.

    model: name of its file, where it is not the label.
    """

    label: str
    what: str
    planned: Outcome
    model: str = ""

    @property
    def file(self) -> str:
        """Name of its file, without the ending."""
        return self.model or self.label


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

# Releases of the second part, each on a service of its own.
WRONG = Chapter(
    label="wrong", what="it takes heavy digits for white ink on black paper", planned=Outcome.ROLLED_BACK
)
UNFAIR = Chapter(
    label="unfair",
    what="better for nearly everybody, useless for digits drawn with a brush",
    planned=Outcome.ROLLED_BACK,
)
SLOWER = Chapter(label="slower", what="the same answers, a fifth slower", planned=Outcome.ROLLED_BACK)
SAME = Chapter(label="same", what="the same in everything but its file", planned=Outcome.PROMOTED)
