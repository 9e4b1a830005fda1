"""Laws that can be read off the journal, record by record."""

from dataclasses import dataclass, field
from itertools import pairwise

from celadon.domain.command import Promote
from celadon.domain.memory import Memory
from celadon.domain.plan import FULL
from celadon.domain.record import Kind
from celadon.domain.release import Outcome, Phase, Release
from celadon.domain.spec import Serves
from celadon.sim.journal import Appended
from celadon.sim.laws.book import Book, drawn, share_of
from celadon.sim.laws.names import Law

P = Phase
TABLE: dict[Phase, tuple[Phase, ...]] = {
    P.PREPARING: (P.PROVING, P.ROLLING_BACK, P.ENDED),
    P.PROVING: (P.WAITING, P.MOVING, P.ROLLING_BACK, P.ENDED),
    P.WAITING: (P.MOVING, P.FROZEN, P.ROLLING_BACK, P.ENDED),
    P.MOVING: (P.WATCHING, P.FROZEN, P.ROLLING_BACK, P.ENDED),
    P.WATCHING: (P.WAITING, P.MOVING, P.HOLDING, P.FROZEN, P.ROLLING_BACK, P.ENDED),
    P.HOLDING: (P.WAITING, P.MOVING, P.FROZEN, P.ROLLING_BACK, P.ENDED),
    P.FROZEN: (P.WAITING, P.MOVING, P.ROLLING_BACK, P.ENDED),
    P.ROLLING_BACK: (P.ENDED,),
    P.ENDED: (),
}
"""Written down a second time, so that whoever changes the table of the product has to say so here too."""

BEYOND_GATES = (P.MOVING, P.WATCHING, P.HOLDING, P.FROZEN)
MAY_GO_BACK = (P.FROZEN, P.ROLLING_BACK)


@dataclass(slots=True)
class Records:
    """Checks every record as it is appended."""

    book: Book
    promotes: dict[str, int] = field(default_factory=dict)
    turned: dict[str, int] = field(default_factory=dict)
    epoch: int = 0

    def appended(self, said: Appended) -> None:
        """One more record is durable."""
        before, after, book = said.before, said.after, self.book
        if said.kind is Kind.COMMAND and said.asked is not None:
            command = said.asked.command
            book.acknowledged[said.asked.seq] = command
            if isinstance(command, Promote):
                self.promotes[command.release] = self.promotes.get(command.release, 0) + 1
        elif said.kind is Kind.LEADER:
            book.led = True
            book.holds(
                Law.OLDER_REFUSED, after.epoch > self.epoch, f"epoch {after.epoch} is not a higher one"
            )
        elif said.kind is Kind.TICK:
            book.holds(Law.OLDER_REFUSED, book.led, "a new daemon decided before it took a higher epoch")
            self._decided(said, before, after)
        book.holds(Law.OLDER_REFUSED, after.epoch >= self.epoch, f"epoch {after.epoch} after {self.epoch}")
        self.epoch = after.epoch
        book.durable = after

    def _decided(self, said: Appended, before: Memory, after: Memory) -> None:
        for asked in before.commands:
            if asked not in after.commands:
                self.book.acknowledged.pop(asked.seq, None)
        if after.goal is not before.goal and after.goal is not None:
            for route in after.goal.routes:
                total = sum(part.share for part in route.split)
                self.book.holds(Law.SHARES_SUM, total == FULL, f"a split sums to {total}")
        was, now = before.release, _of(after, before.release)
        if was is not None and now is not None:
            self._moved(said, was, now)
            self._kept_units(before, after, was, now)
        if after.release is not None:
            self._gated(after.release)
            self._turned(before, after, after.release)
        if now is not None and now.outcome is Outcome.PROMOTED:
            self.book.holds(
                Law.NEVER_FORWARD_AGAIN,
                now.id not in self.turned,
                f"{now.id} was promoted after turning back",
            )

    def _moved(self, said: Appended, was: Release, now: Release) -> None:
        path = [was.phase]
        for step in said.steps:
            if step.phase is not None and P.ENDED not in path:
                path.append(step.phase)
        if P.ENDED not in path:
            path.append(now.phase)
        for one, other in pairwise(path):
            if one is not other:
                self.book.holds(
                    Law.ALONG_THE_TABLE, other in TABLE[one], f"{now.id} went from {one} to {other}"
                )
        if P.ROLLING_BACK in path[:-1] or now.id in self.turned:
            later = path[path.index(P.ROLLING_BACK) :] if P.ROLLING_BACK in path else path
            self.book.holds(
                Law.NEVER_FORWARD_AGAIN,
                all(one in (P.ROLLING_BACK, P.ENDED) for one in later),
                f"{now.id} went {' > '.join(later)}",
            )
        if P.ROLLING_BACK in path:
            self.turned.setdefault(now.id, FULL)

    def _turned(self, before: Memory, after: Memory, release: Release) -> None:
        """Green's share never rises again once its release has turned back, and nobody is drawn who was not before."""
        if release.phase is P.ROLLING_BACK:
            had, controlled = drawn(before.goal, release.green)
            match, control = drawn(after.goal, release.green)
            self.book.holds(
                Law.UNITS_STAY,
                match in {None, had} and control <= controlled,
                f"{release.id} turned back and draws others: {had}, {controlled} became {match}, {control}",
            )
            share, most = share_of(after.goal, release.green), self.turned.get(release.id, FULL)
            self.book.holds(
                Law.NEVER_FORWARD_AGAIN, share <= most, f"{release.id} turned back and has {share} again"
            )
            self.turned[release.id] = min(share, most)

    def _kept_units(self, before: Memory, after: Memory, was: Release, now: Release) -> None:
        share, had = share_of(after.goal, now.green), share_of(before.goal, now.green)
        held = now.phase is P.HOLDING and now.plan.hold_serves is Serves.BLUE
        back = (
            now.phase in MAY_GO_BACK or held or (now.phase is P.ENDED and now.outcome is not Outcome.PROMOTED)
        )
        self.book.holds(
            Law.UNITS_STAY, share >= had or back, f"{now.id} is {now.phase} and went from {had} to {share}"
        )
        salts = {
            route.draw.salt
            for goal in (before.goal, after.goal)
            if goal is not None and was.phase in BEYOND_GATES and now.phase in BEYOND_GATES
            for route in goal.routes
            if route.draw is not None
        }
        self.book.holds(Law.UNITS_STAY, len(salts) <= 1, f"{now.id} draws callers anew")

    def _gated(self, release: Release) -> None:
        passed = release.stage + (release.phase in BEYOND_GATES)
        gates = sum(stage.gate for stage in release.plan.stages[:passed])
        if release.phase is P.ROLLING_BACK and not release.moved:
            gates = 0
        opened = self.promotes.get(release.id, 0)
        self.book.holds(
            Law.GATES_HOLD, gates <= opened, f"{release.id} passed {gates} gates and {opened} were opened"
        )


def _of(memory: Memory, release: Release | None) -> Release | None:
    """The same release in a later memory, moving or ended."""
    if release is None:
        return None
    return next((r for r in (memory.release, memory.last) if r is not None and r.id == release.id), None)
