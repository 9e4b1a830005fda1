"""Everything that one Envoy has counted, by a question that costs it little."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from celadon.traffic.envoy import stats
from celadon.traffic.envoy.admin import Admin

WHOLE_S = 10.0
"""Everything is asked for this often: some is forgotten by now, or was hidden before anybody had seen it change."""


@dataclass(slots=True)
class Counters:
    """Envoy is asked for what is in use, since to look through all that it has would take it five times as long.

    As often as it forgets, it marks all of ours as unused, and each is hidden until it changes. What is hidden stands
    still: everything is asked for where something has gone out of use, and hidden is what was seen then.
    """

    admin: Admin
    _source: str = ""
    _used: frozenset[str] = frozenset()
    _hidden: Mapping[str, stats.Stat] = field(default_factory=dict)
    _asked_at: float = 0.0

    async def look(self, source: str) -> Mapping[str, stats.Stat]:
        """By name, what this run of Envoy has counted."""
        used = stats.by_name(await self.admin.samples())
        late = time.monotonic() - self._asked_at > WHOLE_S
        if source != self._source or late or not self._used <= used.keys():
            whole = stats.by_name(await self.admin.samples(whole=True))
            self._hidden = {
                name: stat for name, stat in whole.items() if name not in used and stats.counts(stat)
            }
            self._asked_at = time.monotonic()
        self._source, self._used = source, frozenset(used)
        return {**self._hidden, **used}
