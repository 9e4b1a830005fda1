"""Which requests are drawn to a side, and what stays on its side once it was drawn."""

from dataclasses import dataclass
from enum import StrEnum

from celadon.domain.names import RevisionId


class Where(StrEnum):
    """Where in a request something is looked for."""

    HEADER = "header"
    COOKIE = "cookie"
    QUERY = "query"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A header, cookie or query parameter that has one of `values` exactly; without values, it is there at all."""

    where: Where
    name: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which requests a route is for: all of `headers` (name, exact value) and all conditions must hold."""

    headers: tuple[tuple[str, str], ...] = ()
    conditions: tuple[Condition, ...] = ()


EVERY = Match()
"""Every request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StickyHeader:
    """Requests with the same value of this header stay together. Those without it are drawn one by one."""

    header: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StickyCookie:
    """Callers that keep cookies stay on their side by one that celadon gives them. lasts_s: its life."""

    cookie: str = "celadon"
    lasts_s: float = 30 * 86_400.0


Sticky = StickyHeader | StickyCookie


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """How a route draws, and what the router logs of it.

    green: the revision whose share is logged with every answer. salt: other for every release, so that it is not
    always the same callers who meet what is new. stage: number of the stage in force; shares: green's share in
    every stage up to it, rising, so that whoever was drawn to green stays there. frozen: every unit goes to blue for now, and
    nobody is drawn anew. returning: of the units on green only those stay that the split leaves it, the same ones as it
    leaves fewer, and nobody is drawn anew. group: header whose value is logged, "" for none; groups: the values that are told apart,
    others being no group at all; none means every value.
    """

    green: RevisionId
    salt: str
    sticky: Sticky | None = None
    stage: int = 0
    shares: tuple[int, ...] = ()
    frozen: bool = False
    group: str = ""
    groups: tuple[str, ...] = ()
    returning: bool = False
