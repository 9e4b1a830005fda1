"""Time that only passes when something happens: a heap of events, clocks that are wrong, and links that fail.

Everything that is left to chance is drawn from one seed, so that the same seed gives the same trace everywhere. Nothing
here reads a clock, and nothing iterates over a set.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

Event = Callable[[], None]

EPOCH_S = 1_700_000_000.0
"""Unix seconds at which every world begins."""


class Kernel:
    """The heap of events of one world. at: seconds since it began, by no clock of anybody in it."""

    def __init__(self, seed: int | str) -> None:
        self.random = Random(seed)  # noqa: S311 -- chance that can be had again is the point
        self.at = 0.0
        self._heap: list[tuple[float, float, int, Event]] = []
        self._count = 0

    def after(self, delay_s: float, event: Event) -> None:
        """Something that will happen. Which of two things at the same instant comes first is drawn."""
        self._count += 1
        heapq.heappush(self._heap, (self.at + delay_s, self.random.random(), self._count, event))

    def run(self, until: Callable[[], bool]) -> None:
        """Let things happen until it is enough, or nothing is left."""
        heap = self._heap
        while heap and not until():
            self.at, _, _, event = heapq.heappop(heap)
            event()

    def chance(self, share: float) -> bool:
        """True in this share of all draws."""
        return share > 0 and self.random.random() < share


@dataclass(slots=True)
class Clock:
    """What one machine takes for the time. drift: seconds it gains per second; offset_s grows with every jump.

    The monotonic clock drifts alike and never jumps.
    """

    kernel: Kernel
    offset_s: float = 0.0
    _drift: float = 0.0
    _gained_s: float = 0.0
    _since: float = 0.0

    def monotonic(self) -> float:
        """Seconds since the world began, as this machine counts them."""
        at = self.kernel.at
        return at + self._gained_s + self._drift * (at - self._since)

    def wall(self) -> float:
        """Unix seconds, as this machine believes."""
        return EPOCH_S + self.offset_s + self.monotonic()

    def drifts(self, drift: float) -> None:
        """Gain or lose time at another rate from now on."""
        at = self.kernel.at
        self._gained_s += self._drift * (at - self._since)
        self._drift, self._since = drift, at

    def jump(self, by_s: float) -> None:
        """Somebody, or a time server, sets the wall clock."""
        self.offset_s += by_s


@dataclass(slots=True)
class Link:
    """A way for messages from one node to another; for the way back there is another one, so cuts are one-way.

    delay_s: least and most. loss, twice: shares of messages that get lost, or arrive two times. ordered: none
    overtakes another.
    """

    kernel: Kernel
    delay_s: tuple[float, float] = (0.001, 0.05)
    loss: float = 0.0
    twice: float = 0.0
    ordered: bool = True
    cut: bool = False
    _last: float = field(default=0.0)

    def send(self, event: Event) -> None:
        """Something that happens at the other end, if it gets there. What is under way at a cut still arrives."""
        if self.cut or self.kernel.chance(self.loss):
            return
        for _ in range(2 if self.kernel.chance(self.twice) else 1):
            delay_s = self.kernel.random.uniform(*self.delay_s)
            if self.ordered:
                self._last = max(self._last, self.kernel.at + delay_s)
                delay_s = self._last - self.kernel.at
            self.kernel.after(delay_s, event)

    def mend(self) -> None:
        """A link as links should be."""
        self.delay_s, self.loss, self.twice, self.ordered, self.cut = (0.001, 0.05), 0.0, 0.0, True, False
