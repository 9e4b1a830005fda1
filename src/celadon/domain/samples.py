"""What was counted over an interval, and where the count stands in its sources."""

from dataclasses import dataclass
from itertools import pairwise

from celadon.domain.durations import Buckets
from celadon.domain.evidence import Ledger
from celadon.domain.goal import Arm
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
class Answers:
    """Answers that one arm of one revision gave in one second, to requests drawn while green had `share`.

    at_s: whole seconds on the clock of the source, never falling. requests, errors: as in `Counts`, but of units where
    the draw is sticky by a key: a unit counts once, and its error once, when it first meets one. durations: of answers
    that were no errors, request by request. failed: requests that were errors, request by request. group: value of the
    header that tells groups apart. mirrored: green's answers to copies, which no caller saw. mirror: part of 10,000 of
    the requests that green got as copies when these were routed, the same for originals and their copies. units: units
    met for the first time, where the draw is sticky by a key: what the split is judged by. first_durations, first_failed:
    those of each unit's first request alone: who comes back is slow again, or fails again, and that was not drawn anew.
    alone: when these were routed, no control of blue had a share beside green's.
    """

    at_s: int
    revision: RevisionId
    arm: Arm = Arm.MAIN
    share: int
    group: str = ""
    mirrored: bool = False
    requests: int = 0
    errors: int = 0
    durations: Buckets = ()
    failed: int = 0
    mirror: int = 0
    units: int = 0
    first_durations: Buckets = ()
    first_failed: int = 0
    alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What came to be known of one answer, in the order in which it did. None: this label does not say.

    at_s: whole seconds at which the label came; answered_s: those at which the answer was given, 0 where that is not
    known. wrong: the answer was not the true one. positive: the true one was
    the positive label; claimed: the answer was. score: in [0, 1], higher is better.
    """

    at_s: int
    revision: RevisionId
    share: int
    group: str = ""
    wrong: bool | None = None
    positive: bool | None = None
    claimed: bool | None = None
    score: float | None = None
    answered_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Requests of one second that two replicas answered: the original by blue, the copy by `copy`.

    Where `copy` is blue too, what differs is blue's own noise. differ: answers that were not alike; reshaped: those
    whose shape or type changed. Of the pairs that were labelled: only_copy_wrong, only_first_wrong, and both alike.
    example: one difference for people.
    """

    at_s: int
    copy: RevisionId
    pairs: int = 0
    differ: int = 0
    reshaped: int = 0
    labelled_alike: int = 0
    only_copy_wrong: int = 0
    only_first_wrong: int = 0
    example: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Counts of all routed revisions over (cursor_from, cursor_to].

    complete: false when a source restarted in between and an unknown number of answers is missing. answers, labels,
    pairs: the same time in detail, by second; what a source does not know it leaves out. classes: how often each
    revision answered what, as (revision, class, answers).
    """

    cursor_from: Cursor
    cursor_to: Cursor
    counts: tuple[Counts, ...]
    complete: bool = True
    answers: tuple[Answers, ...] = ()
    labels: tuple[Label, ...] = ()
    pairs: tuple[Pairs, ...] = ()
    classes: tuple[tuple[RevisionId, str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What has built up about green. judge: name and version of what built it.

    cursor: where the router's next samples must begin; label_cursor: where the next labels must. counts: of the
    stage alone, as are copies: answers of green that no caller saw. unread: of these counts, what came in one piece with
    answers of the stage before, since nothing could be read when this one began. ledger: of the comparison since the
    release began to move traffic, None where nothing is compared.
    """

    judge: str
    cursor: Cursor
    counts: tuple[Counts, ...] = ()
    unread: tuple[Counts, ...] = ()
    label_cursor: Cursor = ()
    ledger: Ledger | None = None
    copies: int = 0

    def of(self, revision: RevisionId) -> Counts:
        """The counts of one revision; empty ones when it has answered nothing."""
        return next((c for c in self.counts if c.revision == revision), Counts(revision=revision))
