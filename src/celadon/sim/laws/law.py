"""All laws over one world."""

from dataclasses import dataclass, field

from celadon.control.reconcile import reconcile
from celadon.control.view import View
from celadon.domain.facts import Facts, Known, Now, ReplicaState
from celadon.domain.memory import Memory
from celadon.domain.release import Phase, Release
from celadon.sim.journal import Appended
from celadon.sim.laws.book import Book
from celadon.sim.laws.effects import Effects
from celadon.sim.laws.names import Law
from celadon.sim.laws.records import Records
from celadon.sim.laws.views import Views
from celadon.sim.site import Site


@dataclass(slots=True)
class Laws:
    """Told of everything that happens in a world, and of its end."""

    site: Site
    book: Book = field(init=False)
    records: Records = field(init=False)
    effects: Effects = field(init=False)
    views: Views = field(init=False)

    def __post_init__(self) -> None:
        self.book = Book(self.site)
        self.records, self.effects, self.views = Records(self.book), Effects(self.book), Views(self.book)

    def appended(self, said: Appended) -> None:
        """A record is durable."""
        self.book.last = said
        self.records.appended(said)

    def looked(self, before: Memory, view: View, now: Now) -> None:
        """A tick is over."""
        self.views.looked(before, view, now)

    def failed(self, bug: str) -> None:
        """A tick ended with a bug of ours."""
        self.book.breach(Law.NO_BUG, bug)

    def restarted(self, found: Memory) -> None:
        """A daemon has read the journal: nothing that was durable may be missing."""
        self.views.resumed(found)
        self.book.led = found.seq == 0 or found.removed
        durable, book = self.book.durable, self.book
        if durable is None:
            return
        waits = {asked.seq: asked.command for asked in found.commands}
        if found.seq > durable.seq:
            # A record whose sync failed, or that nobody could be told of, is there all the same. It may have answered
            # one command, and no more.
            book.durable = found
            missing = [seq for seq in book.acknowledged if seq not in waits][1:]
            for asked in found.commands:
                book.acknowledged.setdefault(asked.seq, asked.command)
            for seq in [seq for seq in book.acknowledged if seq not in waits]:
                book.acknowledged.pop(seq)
        else:
            missing = [seq for seq, command in book.acknowledged.items() if waits.get(seq) != command]
            book.holds(
                Law.EVIDENCE_SURVIVES,
                (found.evidence, found.probation) == (durable.evidence, durable.probation),
                "evidence that was recorded is not what a restart reads",
            )
            book.holds(
                Law.MEMORY_SURVIVES,
                _rest(found) == _rest(durable),
                "a restart reads something else than was recorded",
            )
        book.holds(Law.COMMANDS_SURVIVE, not missing, f"commands {missing} are gone")

    def ended(self, view: View | None) -> None:
        """The trouble has been over for long enough."""
        if view is None or view.facts is None:
            self.book.breach(Law.RELEASES_END, "the daemon does not tick")
            return
        memory = view.memory
        left = reconcile(memory.service, memory, view.facts)
        what = f"still to do: {left[:2]}" if left else "it waits for ever"
        self.book.holds(Law.DIFF_EMPTIES, settled(memory, view.facts), what)
        stands = memory.release is None or names_whom(memory.release)
        waits = (
            ""
            if memory.release is None
            else f"{memory.release.id} is {memory.release.phase}: {view.because.code}"
        )
        self.book.holds(Law.RELEASES_END, stands, waits)
        self.book.holds(
            Law.RELEASES_END, not memory.commands or not stands, f"unanswered: {memory.commands[:1]}"
        )

    def served(self, asked: int, failed: int) -> None:
        """How many requests there were in the last quiet moments, and how many failed by nobody's answering."""
        self.book.holds(
            Law.SERVED, failed == 0, f"{failed} of {asked} requests failed though all is well again"
        )


def settled(memory: Memory, facts: Facts) -> bool:
    """Whether everything is there as it should be, with nothing left to do.

    A replica that alone serves may stay in another zone than it should be in, since nobody could take over from it.
    """
    goal, replicas, served = memory.goal, facts.replicas, facts.routes
    if not isinstance(replicas, Known) or not isinstance(served, Known):
        return False
    there = sorted((one.id.revision, one.id.index) for one in replicas.value)
    wanted = sorted((one.revision, index) for one in goal.replicas for index in one.indices) if goal else []
    return (
        there == wanted
        and all(one.state is ReplicaState.READY for one in replicas.value)
        and served.value.pending is None
        and served.value.refused is None
        and not reconcile(memory.service, memory, facts)
    )


def names_whom(release: Release) -> bool:
    """Whether a release that stands still says which person it waits for."""
    return release.phase in {Phase.WAITING, Phase.HOLDING} or release.stays_frozen or release.paused


def _rest(memory: Memory) -> tuple[object, ...]:
    release = memory.release
    return (memory.seq, memory.live, memory.predecessor, release, memory.last, memory.goal, memory.settings)
