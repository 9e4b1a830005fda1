"""What the revisions of a service could carry right now."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from celadon.domain.names import RevisionId
from celadon.domain.plan import FULL
from celadon.domain.spec import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Ready replicas of one revision, its standby among them, against those that carry every request."""

    ready: int
    needed: int

    @property
    def whole(self) -> bool:
        """Whether it can take every request."""
        return self.ready >= self.needed

    @property
    def share(self) -> int:
        """Out of 10,000 of all requests, as many as give no replica more than its part of a full service."""
        return FULL if self.whole else FULL * self.ready // self.needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """How many replicas of each revision are ready, main and standby, from fresh facts.

    unknown: why nobody can say; then none counts as ready.
    """

    ready: Mapping[RevisionId, int] = field(default_factory=dict)
    unknown: str = ""

    def room(self, revision: RevisionId, settings: Settings) -> Room:
        """What a revision can carry of a service with these settings."""
        return Room(ready=self.ready.get(revision, 0), needed=settings.needed)
