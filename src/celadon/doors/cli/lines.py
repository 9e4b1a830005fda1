"""Lines of text with styles, before anybody knows whether there are colours. Pure.

Colours repeat what the words say and never carry anything alone.
"""

from dataclasses import dataclass

Span = tuple[str, str]
"""Some text and its style: good, bad, wait, quiet, strong or empty."""

WRAPPED = 8
"""How far in the rest of a long line is set where nothing better is known."""

GOOD, BAD, WAIT, QUIET, STRONG, PLAIN = "good", "bad", "wait", "quiet", "strong", ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line. depth: 0 for the service, 1 for what is said of it, 2 for revisions, 3 for replicas.

    hang: how far in a terminal sets what does not fit on the line.
    """

    depth: int
    spans: tuple[Span, ...]
    hang: int = WRAPPED

    @property
    def text(self) -> str:
        """The line without its colours."""
        return "  " * self.depth + "".join(text for text, _ in self.spans)


TITLE = 11
"""How wide the title of a field is, with the space behind it."""


def entry(title: str, *spans: Span) -> Line:
    """What is said of a service under a title."""
    return Line(depth=1, spans=((f"{title:<{TITLE}}", QUIET), *spans), hang=TITLE + 2)
