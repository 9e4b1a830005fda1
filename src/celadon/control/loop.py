"""The loop over all services: who is due, and one sweep over them. It reads no clock, it is told the time.

So the real clock and a simulated one drive the same loop. One sweep decides for every service that is due inside one
commit of the journal, and begins effects only after it: what one service costs the disk, a thousand cost it once.
"""

import math
import sys
import traceback
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from celadon.control.apply import Effects
from celadon.control.ports import Journal
from celadon.control.tick import Brought, Decided, Draft, begin, decision
from celadon.control.view import View
from celadon.domain.command import Asked, Command
from celadon.domain.facts import Known, Now, Unknown
from celadon.domain.memory import Memory
from celadon.domain.names import ServiceKey
from celadon.domain.problem import Fault
from celadon.domain.reason import Code, because
from celadon.domain.values import replace

PERIOD_S = 0.5
"""How long a service lies still when nothing wakes it."""

DWELL_MAX_S = 2.0
"""A tick that comes later than this adds no more than this to a dwell: nobody watched in between."""

JUMP_S = 2.0
"""The wall clock may drift from the monotonic one by less than this between two ticks without being said."""

LEAD_AGAIN_S = 5.0
"""A service that could not be led, for the disk was full, say, is tried again after so long."""

SWEEP_MAX = 250
"""One sweep takes no more than so many that were woken, and so many whose period has passed: none waits long."""

RECORDED = frozenset({Brought.KEPT, Brought.MOVED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a service was ticked last, by both clocks."""

    wall: float
    monotonic: float


@dataclass(slots=True, eq=False)
class Place:
    """What the loop keeps of one service that ticks. It is itself and no other, so that looking it up costs little.

    draft: what its last tick knew beyond the journal.
    """

    service: ServiceKey
    draft: Draft | None = None
    ticked: Moment | None = None


class Loop:
    """All services of one journal. It belongs to one thread. views: how every service looked at its last tick."""

    def __init__(self, journal: Journal, effects: Effects) -> None:
        self.journal = journal
        self.effects = effects
        self.views: dict[ServiceKey, View] = {}
        self._epoch = 0
        self._unled: dict[ServiceKey, None] = {}
        self._lead_at = math.inf
        self._places: dict[ServiceKey, Place] = {}
        self._woken: dict[Place, None] = {}
        self._changed: dict[ServiceKey, None] = {}
        self._waiting: OrderedDict[Place, None] = OrderedDict()
        """Who was ticked longest ago comes first: its period passes first, too."""

    @property
    def drafts(self) -> dict[ServiceKey, Draft]:
        """What every service that was ticked knows beyond the journal."""
        return {key: place.draft for key, place in self._places.items() if place.draft is not None}

    def lead(self, epoch: int, wall: float) -> None:
        """Take the lead over every service the journal knows. One that can not be led is shown, and tried again."""
        self._epoch = epoch
        self._unled = dict.fromkeys(self.journal.services())
        self._lead_all(wall, -math.inf)

    def _lead_all(self, wall: float, monotonic: float) -> None:
        """Who is not led yet. Without a higher epoch of its own nothing is decided for a service."""
        led: dict[ServiceKey, Memory] = {}
        try:
            with self.journal.together():
                for service in self._unled:
                    memory = self._lead(service, wall)
                    if memory is not None:
                        led[service] = memory
        except Fault as fault:
            led = {}
            for service in self._unled:
                self.views[service] = _still(Memory(service=service), wall, str(fault))
        for service, memory in led.items():
            del self._unled[service]
            self._take_up(service, memory, wall)
        self._lead_at = monotonic + LEAD_AGAIN_S if self._unled else math.inf

    def _lead(self, service: ServiceKey, wall: float) -> Memory | None:
        try:
            memory = self.journal.read(service)
            return memory if memory.removed else self.journal.lead(service, self._epoch, wall)
        except Fault as fault:
            self.views[service] = _still(Memory(service=service), wall, str(fault))
            return None

    def ask(self, service: ServiceKey, command: Command, wall: float) -> Asked:
        """Journal a command and wake its service. It survives a crash from the moment this returns."""
        if service in self._unled or (service not in self._places and self.journal.read(service).removed):
            memory = self.journal.lead(service, self._epoch, wall)
            self._unled.pop(service, None)
            self._take_up(service, memory, wall)
        asked = self.journal.ask(service, command, wall)
        if service not in self._places:
            self._take_up(service, self.journal.read(service), wall)
        self.wake(service)
        return asked

    def wake(self, service: ServiceKey) -> None:
        """Tick this service at the next turn: something changed."""
        place = self._places.get(service)
        if place is not None:
            self._woken[place] = None

    def next_due(self, monotonic: float) -> float:
        """The monotonic instant at which the next turn has something to do: now, or later, or infinity."""
        if self._woken:
            return monotonic
        for place in self._waiting:
            due = monotonic if place.ticked is None else max(monotonic, place.ticked.monotonic + PERIOD_S)
            return min(due, max(monotonic, self._lead_at))
        return max(monotonic, self._lead_at)

    def turn(self, wall: float, monotonic: float) -> tuple[ServiceKey, ...]:
        """One sweep: decide for those who are due, commit, begin. Returns the services whose view changed."""
        self._changed.clear()
        if monotonic >= self._lead_at:
            self._lead_all(wall, monotonic)
        moment = Moment(wall=wall, monotonic=monotonic)
        for place, decided in self._decided(self._due(monotonic), moment).items():
            self._begin(place, decided, wall)
        return tuple(self._changed)

    def _due(self, monotonic: float) -> tuple[Place, ...]:
        """Those who were woken, and those whose period has passed; each once."""
        due = dict.fromkeys(islice(self._woken, SWEEP_MAX))
        for place in due:
            del self._woken[place]
        for place in islice(self._waiting, SWEEP_MAX):
            if place.ticked is not None and place.ticked.monotonic + PERIOD_S > monotonic:
                break
            due[place] = None
            self._woken.pop(place, None)
        return tuple(due)

    def _decided(self, due: Iterable[Place], moment: Moment) -> dict[Place, Decided]:
        """What was decided and, where that is new, is durable now. Who rests is shown as it was."""
        found: dict[Place, Decided] = {}
        try:
            with self.journal.together():
                for place in due:
                    decided = self._decide(place, moment)
                    if decided is None:
                        continue
                    if decided.brought is Brought.RESTS:
                        self.views[place.service] = decided.view
                    else:
                        found[place] = decided
        except Fault as fault:
            # Nothing was written, so what had to be written is not decided. Who only keeps what is there goes on.
            for place in [place for place, decided in found.items() if decided.brought in RECORDED]:
                del found[place]
                self._stand_still(place, str(fault), moment.wall)
        return found

    def _decide(self, place: Place, moment: Moment) -> Decided | None:
        """One decision. A fault holds this service and leaves traffic as it is; the next tick tries again."""
        now = _now(place.ticked or moment, moment)
        place.ticked = moment
        self._waiting.move_to_end(place)
        try:
            return decision(place.service, self.journal, self.effects, place.draft, now)
        except Fault as fault:
            self._stand_still(place, str(fault), moment.wall)
        except Exception as bug:  # noqa: BLE001 -- our bug stops this service and no other; traffic stays as it is
            self._stand_still(place, _told(bug), moment.wall)
        return None

    def _begin(self, place: Place, decided: Decided, wall: float) -> None:
        was_removed = self.views[place.service].memory.removed
        try:
            begin(place.service, self.effects, decided)
            if decided.view.memory.removed and not was_removed:
                self.effects.platform.remove(place.service)
        except Fault as fault:
            self._stand_still(place, str(fault), wall)
            return
        except Exception as bug:  # noqa: BLE001 -- as above
            self._stand_still(place, _told(bug), wall)
            return
        place.draft = decided.draft
        self._show(place.service, decided.view)
        if decided.brought is Brought.MOVED:
            self._woken[place] = None

    def _take_up(self, service: ServiceKey, memory: Memory, wall: float) -> None:
        self.views[service] = _still(memory, wall)
        place = self._places[service] = Place(service)
        self._waiting[place] = self._woken[place] = None

    def _stand_still(self, place: Place, fault: str, wall: float) -> None:
        """Show why a service does not move; its next tick looks at everything."""
        if place.draft is not None:
            place.draft = replace(place.draft, rest=None, done=None)
        self._show(place.service, replace(self.views[place.service], fault=fault, at=wall))

    def _show(self, service: ServiceKey, view: View) -> None:
        if changed(self.views[service], view):
            self._changed[service] = None
        self.views[service] = view


def _now(last: Moment, moment: Moment) -> Now:
    """The time for one service: between two of its own ticks a clock may jump."""
    elapsed_s = moment.monotonic - last.monotonic
    jumped_s = (moment.wall - last.wall) - elapsed_s
    return Now(
        wall=moment.wall,
        elapsed_s=min(elapsed_s, DWELL_MAX_S),
        jumped_s=jumped_s if abs(jumped_s) >= JUMP_S else 0.0,
    )


def _told(bug: Exception) -> str:
    traceback.print_exception(bug, file=sys.stderr)
    return f"this is a bug in celadon: {type(bug).__name__}: {bug}"


def _still(memory: Memory, wall: float, fault: str = "") -> View:
    steady = because(Code.STEADY)
    return View(memory=memory, facts=None, judged=None, because=steady, at=wall, fault=fault)


def changed(before: View, now: View) -> bool:
    """Whether a person would see a difference."""
    return before.memory.seq != now.memory.seq or _shown(before) != _shown(now)


def _shown(view: View) -> tuple[object, ...]:
    """What people look at, without the times at which it was seen."""
    facts = view.facts
    return (
        view.memory.evidence,
        view.because,
        view.fault,
        _seen(facts.replicas) if facts else None,
        _seen(facts.routes) if facts else None,
    )


def _seen(fact: Known[object] | Unknown) -> object:
    return fact.value if isinstance(fact, Known) else fact
