"""One machine with everything on it that outlives the daemon."""

from collections.abc import Callable
from dataclasses import dataclass, field

from celadon.domain.goal import Wanted
from celadon.domain.launch import Launch
from celadon.domain.names import RevisionId
from celadon.sim.callers import Callers
from celadon.sim.disk import Disk
from celadon.sim.kernel import Clock, Kernel, Link
from celadon.sim.observers import Labels, Shelf
from celadon.sim.proxies import Proxies, Proxy
from celadon.sim.replicas import Character, Machine, Reach, Replica


@dataclass(frozen=True, slots=True, kw_only=True)
class Ears:
    """Who is told of what truly happens, before it does."""

    starting: Callable[[Launch, Replica | None], None]
    stopping: Callable[[Replica], None]
    dying: Callable[[Replica], None]
    took: Callable[[Wanted], None]


@dataclass(slots=True)
class Site:
    """Replicas, proxies, callers, the disk and the clock."""

    kernel: Kernel
    ears: Ears
    proxies_wanted: int = 1
    characters: dict[RevisionId, Character] = field(default_factory=dict)
    clock: Clock = field(init=False)
    disk: Disk = field(init=False)
    machine: Machine = field(init=False)
    proxies: Proxies = field(init=False)
    callers: Callers = field(init=False)
    labels: Labels = field(default_factory=Labels)
    shelf: Shelf = field(default_factory=Shelf)
    reach: Reach = field(default_factory=Reach)

    def __post_init__(self) -> None:
        kernel, ears = self.kernel, self.ears
        self.clock = Clock(kernel)
        self.disk = Disk(kernel.random)
        self.machine = Machine(
            kernel,
            self.clock,
            self.characters,
            changed=self._moves,
            starting=ears.starting,
            stopping=ears.stopping,
            dying=ears.dying,
        )
        self.proxies = Proxies(
            kernel,
            self.clock,
            Link(kernel),
            tuple(Proxy(number) for number in range(self.proxies_wanted)),
            moved=self._moves,
            took=ears.took,
        )
        self.callers = Callers(kernel, self.clock, self.proxies, self.machine, self.labels, self.characters)

    def _moves(self) -> None:
        self.callers.catch_up()
