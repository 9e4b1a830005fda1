"""A disk that keeps what was synced, may keep a part of what was not, and fails in the ways disks fail."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from celadon.domain.problem import LastingFault, TransientFault

Block = Callable[[], bytes]
"""The bytes of one write. They are made only when somebody reads them, since making them is what costs most."""


@dataclass(slots=True)
class Disk:
    """One append-only file. full: nothing more can be written. failing: writes arrive and syncing them fails.

    A write whose sync failed may or may not be there after a crash, in part or as a whole.
    """

    random: Random
    full: bool = False
    failing: bool = False
    synced: list[Block] = field(default_factory=list)
    loose: list[Block] = field(default_factory=list)

    def append(self, block: Block) -> None:
        """Written and synced when this returns; raises a Fault when it is not known to be."""
        if self.full:
            what = "no space is left for the journal, so nothing can be decided; what serves goes on serving"
            raise TransientFault(what, "free some space on that disk", retry_s=5.0)
        if self.failing:
            self.loose.append(block)
            raise LastingFault(
                "the journal failed (disk I/O error)", "look for disk errors in the system's log"
            )
        self.loose.clear()
        self.synced.append(block)

    def tear(self, block: Block | None) -> None:
        """The power goes. block: a write that was under way. Of what was not synced, some of the first bytes survive."""
        under_way = [*self.loose, *([block] if block is not None else [])]
        self.loose.clear()
        if not under_way:
            return
        data = under_way[0]()
        # One draw for any length, so that what else comes to pass does not hang on how a record is worded.
        kept = data[: int(self.random.random() * (len(data) + 1))]
        if kept:
            self.synced.append(lambda: kept)

    def read(self) -> bytes:
        """Everything that is there."""
        return b"".join(block() for block in self.synced)

    def cut(self, size: int) -> None:
        """Forget everything after the first `size` bytes: a tail that tells nothing."""
        kept: list[Block] = []
        for block in self.synced:
            length = len(block())
            if length > size:
                break
            kept.append(block)
            size -= length
        self.synced = kept
