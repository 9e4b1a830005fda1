"""Proof that nothing is in flight: no sleep, but two looks that agree."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from celadon.domain.names import Address
from celadon.traffic.envoy.admin import View

QUIET_S = 0.25

REMADE_S = 600.0
"""So long what a replica had in flight may go on unseen, after its cluster was given other settings.

Envoy then makes the cluster anew and counts from zero, while the old one finishes what it has.
"""


@dataclass(slots=True)
class DrainWatch:
    """Since when each replica of each cluster has been idle with an unmoved request counter. Monotonic seconds."""

    _idle: dict[tuple[str, Address], tuple[float, int]] = field(default_factory=dict)
    _quiet: dict[tuple[str, Address], bool] = field(default_factory=dict)
    _counted: dict[tuple[str, Address], int] = field(default_factory=dict)
    _remade: dict[tuple[str, Address], float] = field(default_factory=dict)

    def look(self, view: View, now: float, *, whole: bool = True) -> None:
        """Takes in what the admin interface shows; of a whole view, clusters that it lacks are forgotten."""
        self._count(view, now, whole=whole)
        others = {} if whole else {key: seen for key, seen in self._idle.items() if key[0] not in view}
        quiet = {key: self._quiet[key] for key in others if key in self._quiet}
        idle: dict[tuple[str, Address], tuple[float, int]] = {}
        for cluster, hosts in view.items():
            for address, host in hosts.items():
                if host.active:
                    continue
                before = self._idle.get((cluster, address))
                same = before is not None and before[1] == host.requests
                idle[cluster, address] = before if same and before is not None else (now, host.requests)
        self._idle = others | idle
        self._quiet = quiet | {key: now - since >= QUIET_S for key, (since, _) in idle.items()}

    def _count(self, view: View, now: float, *, whole: bool) -> None:
        """A count that falls is another's: nobody sees any more what was in flight before."""
        counted = {(c, a): host.requests for c, hosts in view.items() for a, host in hosts.items()}
        anew = {key: now for key, count in counted.items() if count < self._counted.get(key, 0)}
        since = {key: at for key, at in self._remade.items() if now < at + REMADE_S}
        self._counted = counted if whole else self._counted | counted
        self._remade = {key: at for key, at in (since | anew).items() if key in self._counted}

    def forget(self, clusters: Iterable[str]) -> None:
        """Whatever was seen of these was seen before their routes changed, and proves nothing."""
        gone = set(clusters)
        self._idle = {key: seen for key, seen in self._idle.items() if key[0] not in gone}
        self._quiet = {key: seen for key, seen in self._quiet.items() if key[0] not in gone}

    def forget_all(self, *, ended: bool) -> None:
        """Other Envoys than those whose counters were seen. ended: all of these, with what they had in flight."""
        self._idle, self._quiet, self._counted = {}, {}, {}
        if ended:
            self._remade = {}

    def quiet(self, cluster: str, address: Address) -> bool:
        """Seen idle twice, 250 ms apart, with nothing new in between."""
        return self._quiet.get((cluster, address), False) and (cluster, address) not in self._remade
