"""What a service looks like right now, for people and programs that ask."""

from dataclasses import dataclass

from celadon.domain.facts import Facts
from celadon.domain.memory import Memory
from celadon.domain.reason import Reason
from celadon.domain.verdict import Judged


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The outcome of a service's last tick. facts None: no tick has looked yet. fault: why its loop stands still."""

    memory: Memory
    facts: Facts | None
    judged: Judged | None
    because: Reason
    at: float
    fault: str = ""
