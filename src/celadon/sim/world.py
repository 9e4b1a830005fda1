"""One world: a site, the daemon on it, and the laws that watch both."""

from collections.abc import Callable
from dataclasses import dataclass, field

from celadon.control.view import View
from celadon.domain.command import Command, Remove
from celadon.domain.facts import Now
from celadon.domain.goal import Wanted
from celadon.domain.launch import Launch
from celadon.domain.memory import Memory
from celadon.domain.names import RevisionId, ServiceKey
from celadon.domain.reason import text
from celadon.domain.release import Release
from celadon.sim.daemon import Daemon, Opens
from celadon.sim.journal import Appended, SimJournal
from celadon.sim.kernel import Kernel
from celadon.sim.laws.law import Laws, settled
from celadon.sim.orders import SERVICE
from celadon.sim.replicas import Character, Replica
from celadon.sim.site import Ears, Site


@dataclass(slots=True)
class World:
    """Everything of one seed. transcript: what came to pass, line by line, where somebody wants to read it.

    heard: told of every record, after the laws. opens: how its daemon opens a journal.
    """

    seed: int | str
    proxies: int = 1
    period_s: float = 2.0
    service: ServiceKey = SERVICE
    transcript: list[str] | None = None
    heard: Callable[[Appended], None] = lambda _: None
    opens: Opens = SimJournal
    kernel: Kernel = field(init=False)
    site: Site = field(init=False)
    laws: Laws = field(init=False)
    daemon: Daemon = field(init=False)
    ended: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kernel = Kernel(self.seed)
        ears = Ears(starting=self._starting, stopping=self._stopping, dying=self._dying, took=self._took)
        self.site = Site(self.kernel, ears, proxies_wanted=self.proxies)
        self.laws = Laws(self.site)
        laws = self.laws
        self.daemon = Daemon(
            self.site,
            self.service,
            told=self._appended,
            began=laws.effects.began,
            looked=self._looked,
            failed=laws.failed,
            restarted=laws.restarted,
            period_s=self.period_s,
            opens=self.opens,
        )
        self.daemon.start()

    @property
    def memory(self) -> Memory:
        """What the daemon remembers, or remembered when it last lived."""
        return self.daemon.memory

    @property
    def release(self) -> Release | None:
        """The release that moves."""
        return self.daemon.memory.release

    @property
    def at_rest(self) -> bool:
        """Whether no release moves and no command waits."""
        memory = self.daemon.memory
        return memory.release is None and not memory.commands

    @property
    def settled(self) -> bool:
        """Whether the last tick saw everything as it should be, with nothing left to do."""
        view = self.daemon.view
        return bool(view and view.facts and settled(view.memory, view.facts))

    def character(self, revision: RevisionId) -> Character:
        """How a revision behaves; it may be changed."""
        return self.site.characters.setdefault(revision, Character())

    def ask(self, command: Command) -> bool:
        """What a door does; whether it was acknowledged. Of a service that is being removed nothing can be asked."""
        memory = self.daemon.memory
        leaves = memory.removing and not memory.removed
        if leaves or any(isinstance(asked.command, Remove) for asked in memory.commands):
            return False
        asked = self.daemon.ask(command)
        self.tell(f"asked: {type(command).__name__.lower()}{'' if asked else ', and nobody answered'}")
        return asked is not None

    def run(self, ticks: int) -> None:
        """Until the daemon has ticked so often altogether."""
        daemon = self.daemon
        self.kernel.run(lambda: daemon.ticks >= ticks)

    def run_until(self, at: float) -> None:
        """Until so many seconds since the world began are over."""
        kernel = self.kernel
        kernel.run(lambda: kernel.at >= at)

    def tell(self, line: str) -> None:
        """A line of the transcript."""
        if self.transcript is not None:
            told = line.replace("\n", "; ")
            self.transcript.append(f"{self.kernel.at:8.1f}  {told}")

    def _appended(self, said: Appended) -> None:
        self.laws.appended(said)
        last, before = said.after.last, said.before.last
        if last is not None and last != before:
            self.ended.append(f"{last.id} {last.outcome}/{last.cause}")
        if self.transcript is not None:
            self._transcribe(said)
        self.heard(said)

    def _transcribe(self, said: Appended) -> None:
        release = said.after.release
        where = release.phase if release is not None else "rest"
        for step in said.steps:
            self.tell(f"{step.phase or where}: {text(step.because)}")
        if said.reason is not None:
            self.tell(f"{where}: {text(said.reason)}")
        elif said.asked is None:
            self.tell(f"a daemon leads with epoch {said.after.epoch}")

    def _looked(self, before: Memory, view: View, now: Now) -> None:
        self.laws.looked(before, view, now)

    def _starting(self, launch: Launch, old: Replica | None) -> None:
        self.laws.effects.starting(launch, old)
        self.tell(f"start {launch.replica}")

    def _stopping(self, one: Replica) -> None:
        self.laws.effects.stopping(one)
        self.tell(f"stop {one.id}")

    def _dying(self, one: Replica) -> None:
        self.laws.effects.dying(one)

    def _took(self, wanted: Wanted) -> None:
        self.laws.effects.took(wanted)
