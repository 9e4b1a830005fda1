"""What the laws have in common: what is durable, and what was found broken."""

from dataclasses import dataclass, field

from celadon.domain.command import Command
from celadon.domain.draw import Match
from celadon.domain.goal import Arm, Goal
from celadon.domain.memory import Memory
from celadon.domain.names import RevisionId
from celadon.sim.journal import Appended
from celadon.sim.laws.names import Law, Violation
from celadon.sim.site import Site


@dataclass(slots=True)
class Book:
    """durable: the memory as of the last record that is known to be on the disk. acknowledged: commands by seq, with
    those that were answered taken out.
    """

    site: Site
    durable: Memory | None = None
    acknowledged: dict[int, Command] = field(default_factory=dict)
    last: Appended | None = None
    led: bool = True
    broken: dict[Law, Violation] = field(default_factory=dict)

    def breach(self, law: Law, what: str) -> None:
        """Note that a law was broken; the first time is kept."""
        if law not in self.broken:
            self.broken[law] = Violation(law=law, at=self.site.kernel.at, what=what)

    def holds(self, law: Law, true: object, what: str) -> None:
        """Note a law as broken unless something is true."""
        if not true:
            self.breach(law, what)


def share_of(goal: Goal | None, revision: RevisionId) -> int:
    """The largest share that a revision has by any route of a goal, out of 10,000."""
    if goal is None:
        return 0
    shares = [sum(part.share for part in route.split if part.revision == revision) for route in goal.routes]
    return max(shares, default=0)


def drawn(goal: Goal | None, green: RevisionId) -> tuple[Match | None, int]:
    """Which requests green may get by a goal, None for none; and what blue's control gets of them, out of 10,000."""
    for route in goal.routes if goal is not None else ():
        if any(part.revision == green for part in route.split):
            return route.match, sum(part.share for part in route.split if part.arm is Arm.CONTROL)
    return None, 0
