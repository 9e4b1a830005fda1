"""Answers to copies of requests, from the counters of the cluster that only copies go to, look by look.

What callers were answered meanwhile is in the request log, with the part of such requests that was copied.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace

from celadon.domain.goal import Wanted
from celadon.domain.names import RevisionId
from celadon.domain.plan import FULL
from celadon.domain.samples import Answers
from celadon.traffic.envoy.clusters import COPIES_MAX, COPIES_WAITING_MAX
from celadon.traffic.envoy.stats import Reading, Tally


@dataclass(frozen=True, slots=True)
class Copied:
    """Parts of 10,000: green's share of the requests, and what part of all of them green gets as copies.

    whole: that holds for everything that the service is asked for.
    """

    green: RevisionId
    share: int
    mirror: int
    whole: bool = True


@dataclass(frozen=True, slots=True)
class _Seen:
    """One look. green, share, mirror, whole: of the last route that copied, or of the one in force.

    copies, errors, requests: since Envoy started; copies_from, requests_from: the same when that route came.
    """

    source: str
    green: RevisionId
    share: int
    mirror: int
    whole: bool
    copies: int
    errors: int
    requests: int
    copies_from: int
    requests_from: int

    @property
    def route(self) -> Copied:
        return Copied(self.green, self.share, self.mirror, self.whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """position: where the next look goes on, empty where none was. lacking: so many more copies should have come by now."""

    position: str
    answers: tuple[Answers, ...] = ()
    lacking: int = 0


def who_is_copied(wanted: Wanted | None) -> Copied | None:
    """None where nothing is drawn, or where counters can not tell the copies of one route from those of another."""
    routes = wanted.routes if wanted is not None else ()
    drawn = [(route, route.draw) for route in routes if route.draw is not None]
    found = set()
    for route, draw in drawn:
        share = sum(part.share for part in route.split if part.revision == draw.green)
        mirror = sum(m.share for m in route.mirrors if m.revision == draw.green)
        found.add(Copied(draw.green, 0 if draw.frozen else share, mirror))
    copied = [one for one in found if one.mirror] or list(found)
    if len(copied) != 1:
        return None
    return replace(copied[0], whole=len(found) == 1 and len(drawn) == len(routes))


def compare(reading: Reading, tallies: Mapping[RevisionId, Tally], now: Copied, since: str) -> Compared:
    """What came since the last look. An empty position begins now.

    Where one way of copying gave way to another in between, it is not known of which of them a copy was, and nothing
    is told. Where copying only began or ended, it is known.
    """
    green = tallies.get(now.green, Tally())
    requests = sum(tally.requests for tally in tallies.values())
    counted = (green.copies, green.copy_errors, requests)
    before = _seen(since)
    if before is None or (before.source, before.green) != (reading.source, now.green) or _fell(before, green):
        return Compared(position=_text(_at(reading.source, now, counted, counted)))
    of = now if now.mirror else before.route
    same = of == before.route
    # Where counters of requests were forgotten, what is lacking is reckoned anew.
    went_on = same and requests >= before.requests
    begun = (before.copies_from, 0, before.requests_from) if went_on else counted
    after = _at(reading.source, of, counted, begun)
    lacking = _lacking(after) if of == now else 0
    copies = green.copies - before.copies
    if not copies or not of.mirror or (before.mirror and not same):
        return Compared(position=_text(after), lacking=lacking)
    answers = _answers(int(reading.taken_at), of, copies, green.copy_errors - before.errors)
    return Compared(position=_text(after), answers=(answers,), lacking=lacking)


def _answers(at_s: int, of: Copied, copies: int, errors: int) -> Answers:
    """Counters are read one after the other, so that errors may be ahead by a copy."""
    errors = min(errors, copies)
    return Answers(
        at_s=at_s,
        revision=of.green,
        share=of.share,
        mirror=of.mirror,
        mirrored=True,
        requests=copies,
        errors=errors,
        failed=errors,
    )


def _fell(before: _Seen, green: Tally) -> bool:
    return green.copies < before.copies or green.copy_errors < before.errors


def _at(source: str, of: Copied, counted: tuple[int, int, int], begun: tuple[int, int, int]) -> _Seen:
    return _Seen(source, of.green, of.share, of.mirror, of.whole, *counted, begun[0], begun[2])


def _lacking(seen: _Seen) -> int:
    """How many fewer copies there are than those that are still being answered, and chance, explain."""
    due = (seen.requests - seen.requests_from) * seen.mirror / FULL
    came = seen.copies - seen.copies_from
    open_ones = COPIES_MAX + COPIES_WAITING_MAX
    return round(due - came) if seen.whole and came + open_ones + 5 * math.sqrt(due) < due else 0


def _text(seen: _Seen) -> str:
    return json.dumps(astuple(seen), separators=(",", ":"))


def _seen(position: str) -> _Seen | None:
    return _Seen(*json.loads(position)) if position else None
