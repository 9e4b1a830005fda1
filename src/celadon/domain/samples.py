"""What was counted over an interval, and where the count stands in its sources."""

from dataclasses import dataclass
from itertools import pairwise

from celadon.domain.names import RevisionId

Cursor = tuple[tuple[str, str], ...]
"""Position in every source, as (source, opaque position). Only the source itself can read its position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Answers of one revision. latency: (upper bound in ms, answers at or below it), cumulative, bounds rising.

    errors: answers with status 5xx and requests that got no answer from the replica. latency may cover fewer
    answers than `requests`: a request without an answer has none.
    """

    revision: RevisionId
    requests: int = 0
    errors: int = 0
    latency: tuple[tuple[float, int], ...] = ()

    def __post_init__(self) -> None:
        assert 0 <= self.errors <= self.requests, (self.errors, self.requests)
        assert all(a[0] < b[0] and a[1] <= b[1] for a, b in pairwise(self.latency)), self.latency


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Counts of all routed revisions over (cursor_from, cursor_to].

    complete: false when a source restarted in between and an unknown number of answers is missing.
    """

    cursor_from: Cursor
    cursor_to: Cursor
    counts: tuple[Counts, ...]
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What has built up about green since its stage began. judge: name and version of what built it.

    cursor: where the next samples must begin.
    """

    judge: str
    cursor: Cursor
    counts: tuple[Counts, ...] = ()

    def of(self, revision: RevisionId) -> Counts:
        """The counts of one revision; empty ones when it has answered nothing."""
        return next((c for c in self.counts if c.revision == revision), Counts(revision=revision))
