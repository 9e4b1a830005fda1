"""Samples from Envoy's own counters: cumulative, so that nothing is lost between two looks."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from celadon.domain.durations import at_bounds, merged
from celadon.domain.names import RevisionId, ServiceKey
from celadon.domain.samples import Counts, Cursor, Samples
from celadon.traffic.envoy.snapshot import Use

_CLUSTER = r"(?P<namespace>[^/]+)/(?P<service>[^/]+)/(?P<revision>[^/.]+)"
_NAME = re.compile(rf"celadon\.(?P<kind>requests|errors|latency)\.cluster\.{_CLUSTER}")
_ABANDONED = re.compile(rf"cluster\.{_CLUSTER}\.retry_or_shadow_abandoned")
_COPIES = re.compile(
    rf"cluster\.{_CLUSTER}-{Use.MIRROR}\."
    r"(?P<kind>internal\.upstream_rq_(?:completed|5xx)|upstream_rq_pending_overflow)"
)
_CONTROL = f"-{Use.CONTROL}"

SOURCE = "envoy:"
"""With this the names of all runs of Envoy begin, as cursors know them."""

FORGETS_S = 300
"""Envoy forgets a counter that did not change for so long: revisions come and go, and each would leave some for ever."""

_MINUTE = "minute"
"""When a cursor was read, in minutes after the epoch: it does not change with every look."""


@dataclass(slots=True)
class Tally:
    """Since this Envoy started, all arms together. latency: answers at or below each bound in microseconds.

    copies: mirrored requests that were sent, copy_errors: those of them that were answered with 5xx or not at all.
    """

    requests: int = 0
    errors: int = 0
    latency: dict[int, int] = field(default_factory=dict)
    unrepeatable: int = 0
    copies: int = 0
    copy_errors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One look at all services. source: which run of Envoy counted.

    tallies: by service and revision; a control arm has counters of its own, and stands under its revision with a suffix.
    """

    source: str
    taken_at: float
    tallies: Mapping[ServiceKey, Mapping[RevisionId, Tally]]


def together(readings: Sequence[Reading]) -> Reading:
    """What several runs counted, as if one had. The name of the source changes whenever one comes or goes."""
    if len(readings) == 1:
        return readings[0]
    tallies: dict[ServiceKey, dict[RevisionId, Tally]] = {}
    for reading in readings:
        for service, found in reading.tallies.items():
            sums = tallies.setdefault(service, {})
            for revision, tally in found.items():
                sums[revision] = _sum(sums.get(revision, Tally()), tally)
    return Reading(
        source="+".join(sorted(reading.source for reading in readings)),
        taken_at=min(reading.taken_at for reading in readings),
        tallies=tallies,
    )


def _sum(one: Tally, other: Tally) -> Tally:
    return Tally(
        requests=one.requests + other.requests,
        errors=one.errors + other.errors,
        latency=dict(merged(sorted(one.latency.items()), sorted(other.latency.items()))),
        unrepeatable=one.unrepeatable + other.unrepeatable,
        copies=one.copies + other.copies,
        copy_errors=one.copy_errors + other.copy_errors,
    )


Stat = Mapping[str, Any]
"""One counter or histogram, as the admin interface's JSON has it."""


def by_name(found: Mapping[str, Any]) -> dict[str, Stat]:
    """Takes the admin interface's JSON apart."""
    return dict(_flat(found))


def counts(stat: Stat) -> bool:
    """Whether it has ever counted anything."""
    return bool(stat.get("value") or any(bucket["cumulative"] for bucket in stat.get("buckets", ())))


def read(found: Mapping[str, Stat], source: str, taken_at: float) -> Reading:
    """By the name of each counter, what they say of whom."""
    tallies: dict[ServiceKey, dict[RevisionId, Tally]] = {}
    for name, stat in found.items():
        for pattern, add in ((_NAME, _add), (_ABANDONED, _add_unrepeatable), (_COPIES, _add_copies)):
            if (match := pattern.fullmatch(name)) is not None:
                add(_tally(tallies, match), match, stat)
    return Reading(source=source, taken_at=taken_at, tallies=tallies)


def _flat(found: Mapping[str, Any]) -> Iterable[tuple[str, Stat]]:
    for stat in found.get("stats", ()):
        if "name" in stat:
            yield stat["name"], stat
        histograms = stat.get("histograms", ())
        for histogram in histograms if isinstance(histograms, list) else ():
            yield histogram["name"], histogram


def _tally(tallies: dict[ServiceKey, dict[RevisionId, Tally]], match: re.Match[str]) -> Tally:
    service = ServiceKey(namespace=match["namespace"], name=match["service"])
    revision = RevisionId(match["revision"].removesuffix(f"-{Use.MIRROR}"))
    return tallies.setdefault(service, {}).setdefault(revision, Tally())


def _add(tally: Tally, match: re.Match[str], stat: Stat) -> None:
    if match["kind"] == "latency":
        for found in stat["buckets"]:
            bound = round(found["upper_bound"])
            tally.latency[bound] = tally.latency.get(bound, 0) + int(found["cumulative"])
    elif match["kind"] == "requests":
        tally.requests += int(stat["value"])
    else:
        tally.errors += int(stat["value"])


def _add_unrepeatable(tally: Tally, _: re.Match[str], stat: Stat) -> None:
    tally.unrepeatable += int(stat["value"])


def _add_copies(tally: Tally, match: re.Match[str], stat: Stat) -> None:
    """What could not even be sent is answered by Envoy with 503, which says nothing of the replicas."""
    number = int(stat["value"])
    if match["kind"] == "upstream_rq_pending_overflow":
        tally.copies -= number
        tally.copy_errors -= number
    elif match["kind"] == "internal.upstream_rq_completed":
        tally.copies += number
    else:
        tally.copy_errors += number


def samples(
    readings: Sequence[Reading],
    service: ServiceKey,
    routed: Iterable[RevisionId],
    since: Cursor,
    ended: Sequence[Reading] = (),
) -> Samples:
    """What was counted after `since`. An empty cursor begins now.

    Each run of Envoy has its own place in the cursor. What a run counted that the cursor does not know is all new; what
    one that is gone counted after the cursor is lost. Of one that `ended` in order all is known, and the cursor lets go of it.
    A counter that fell was forgotten and began anew: a cursor that is young enough knew all of what it had counted. One
    from before Envoy forgot anything has no minute, and both arms of a revision as one.
    """
    routed, then = frozenset(routed), dict(since).get(_MINUTE)
    minute = int(min(reading.taken_at for reading in readings) // 60)
    now: Cursor = (
        *((r.source, _position(r.tallies.get(service, {}))) for r in readings),
        (_MINUTE, str(minute)),
    )
    revisions = {
        *routed,
        *(_revision(arm) for r in (*readings, *ended) for arm in r.tallies.get(service, {})),
    }
    if not since:
        counts = tuple(Counts(revision=r) for r in sorted(revisions))
        return Samples(cursor_from=now, cursor_to=now, counts=counts)
    known = {source: place for source, place in since if source.startswith(SOURCE)}
    young = then is not None and 0 <= minute - int(then) < FORGETS_S // 60 - 1
    last = [r for r in ended if r.source in known and r.source not in dict(now)]
    here = {reading.source for reading in (*readings, *last)}
    complete = bool(known) and known.keys() <= here
    sums: dict[RevisionId, Tally] = {}
    for reading in (*readings, *last):
        before, after = _tallies(known.get(reading.source)), reading.tallies.get(service, {})
        after = after if then is not None else _by_revision(after)
        fell = {_revision(arm) for arm, tally in before.items() if _fell(tally, after.get(arm, Tally()))}
        complete &= young or not fell & routed
        grown = {arm: _difference(before.get(arm, Tally()), tally) for arm, tally in after.items()}
        for revision, tally in _by_revision(grown).items():
            sums[revision] = _sum(sums.get(revision, Tally()), tally)
    counts = tuple(_counts(r, sums.get(r, Tally())) for r in sorted(revisions))
    return Samples(cursor_from=since, cursor_to=now, counts=counts, complete=complete)


def requests(before: Sequence[Reading], after: Sequence[Reading], service: ServiceKey) -> int:
    """How many more requests of a service one look shows than the one before it. Each counter may fall on its own."""
    known = {reading.source: reading.tallies.get(service, {}) for reading in before}
    return sum(
        _more(known.get(reading.source, {}).get(arm, Tally()).requests, tally.requests)
        for reading in after
        for arm, tally in reading.tallies.get(service, {}).items()
    )


def _revision(arm: RevisionId) -> RevisionId:
    return RevisionId(arm.removesuffix(_CONTROL))


def _by_revision(arms: Mapping[RevisionId, Tally]) -> dict[RevisionId, Tally]:
    sums: dict[RevisionId, Tally] = {}
    for arm, tally in arms.items():
        sums[_revision(arm)] = _sum(sums.get(_revision(arm), Tally()), tally)
    return sums


def _fell(before: Tally, after: Tally) -> bool:
    return before.requests > after.requests or before.errors > after.errors


def _more(before: int, after: int) -> int:
    return after - before if after >= before else after


def _difference(before: Tally, after: Tally) -> Tally:
    whole, known = max(after.latency.values(), default=0), max(before.latency.values(), default=0)
    # A cursor holds a histogram by its steps: any bound has the count of the last step at or below it.
    then, bounds = sorted(before.latency.items()) if whole >= known else [], sorted(after.latency)
    return Tally(
        requests=_more(before.requests, after.requests),
        errors=_more(before.errors, after.errors),
        latency={
            bound: max(0, after.latency[bound] - count)
            for bound, count in zip(bounds, at_bounds(then, bounds), strict=True)
        },
    )


def _counts(revision: RevisionId, grown: Tally) -> Counts:
    """Counters are read one after the other while requests go on, so errors may be ahead by a request."""
    return Counts(
        revision=revision,
        requests=grown.requests,
        errors=min(grown.requests, grown.errors),
        latency=tuple(_rising((bound / 1000, n) for bound, n in sorted(grown.latency.items()))),
    )


def _rising(grown: Iterable[tuple[float, int]]) -> Iterable[tuple[float, int]]:
    most = 0
    for bound, count in grown:
        most = max(most, count)
        yield bound, most


def _position(tallies: Mapping[RevisionId, Tally]) -> str:
    """The counters themselves. Of a histogram only the bounds where it rises."""
    whole = {}
    for revision, tally in sorted(tallies.items()):
        steps, last = [], 0
        for bound, count in sorted(tally.latency.items()):
            if count != last:
                steps.append([bound, count])
                last = count
        whole[revision] = [tally.requests, tally.errors, steps]
    return json.dumps(whole, separators=(",", ":"))


def _tallies(position: str | None) -> dict[RevisionId, Tally]:
    if position is None:
        return {}
    found: dict[RevisionId, Tally] = {}
    for revision, (requests, errors, steps) in json.loads(position).items():
        found[RevisionId(revision)] = Tally(requests=requests, errors=errors, latency=dict(steps))
    return found
