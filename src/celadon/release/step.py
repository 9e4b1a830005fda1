"""What every step of a phase is decided on, and what it gives back."""

from dataclasses import dataclass

from celadon.domain.facts import Facts, Known, Now, Refused, RouteFacts, Unknown, fresh
from celadon.domain.goal import Route
from celadon.domain.headroom import Headroom
from celadon.domain.memory import Memory, not_before
from celadon.domain.names import RevisionId
from celadon.domain.reason import Reason
from celadon.domain.verdict import Judged, Verdict
from celadon.release.split import routes

MONEY_MAX = 1e290
"""Money beyond this is not counted: no journal can hold what is infinite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The memory after a step. The same memory as before means waiting, for the reason given.

    before: what ended, where another thing begins with the same step.
    """

    memory: Memory
    because: Reason
    before: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The inputs of a tick beside its memory."""

    facts: Facts
    judged: Judged | None
    headroom: Headroom
    now: Now

    @property
    def verdict(self) -> Verdict | None:
        """What the judge says; None when nothing is judged."""
        return self.judged.verdict if self.judged else None

    @property
    def suspicion(self) -> float:
        """Money on harm, without the cap, as far as it can be stored; 1 when nothing is judged."""
        return min(self.judged.suspicion, MONEY_MAX) if self.judged else 1.0

    @property
    def samples_fresh(self) -> bool:
        """Whether the samples are known and recent."""
        return fresh(self.facts.samples, self.now.wall)

    @property
    def replicas_fresh(self) -> bool:
        """Whether the replicas are known and recent."""
        return fresh(self.facts.replicas, self.now.wall)

    def confirmed(self, memory: Memory) -> bool:
        """Whether the router itself shows the routes in force that are asked of it, since they are.

        What it showed long ago is not shown, what it showed before they were asked for was an earlier wish, and while
        other routes are under way to it, or were and nobody has seen since what is in force, it may be those.
        """
        served, goal = self.facts.routes, memory.goal
        if isinstance(served, Unknown) or goal is None:
            return False
        confirmed = served.value.confirmed
        others = (served.value.pending, served.value.unseen)
        return (
            fresh(served, self.now.wall)
            and not_before(memory.routed_at, served.taken_at, self.now.wall)
            and confirmed is not None
            and confirmed.routes == goal.routes
            and all(other is None or other.routes == goal.routes for other in others)
            and goal.routes == routes(memory, self.facts)
        )

    def arrived(self, memory: Memory) -> bool:
        """Whether the router shows these routes in force and nothing else is under way to it.

        What was asked for meanwhile and is not wanted any more may be in force already, though it is not shown yet.
        """
        served = self.facts.routes
        return self.confirmed(memory) and isinstance(served, Known) and served.value.pending is None

    def refused(
        self, *, asked: tuple[Route, ...], preview: RevisionId | None, since: float
    ) -> Refused | None:
        """The router's refusal of exactly this wish, if it refused after `since` (wall time).

        An earlier refusal was of an earlier release's wish: what stood in the way may be gone.
        """
        served: Known[RouteFacts] | Unknown = self.facts.routes
        if isinstance(served, Unknown) or served.value.refused is None or served.value.refused.at < since:
            return None
        wanted = served.value.refused.wanted
        return served.value.refused if (wanted.routes, wanted.preview) == (asked, preview) else None
