"""Answers to copies of requests, beside the answers to their originals: from Envoy's counters, look by look."""

import json
import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass

from celadon.domain.goal import Stamp, Wanted
from celadon.domain.names import RevisionId
from celadon.domain.plan import FULL
from celadon.domain.samples import Answers
from celadon.traffic.envoy.stats import Reading, Tally

STEP = 50
"""Shares are told in steps of half a percent, since a judge keeps count for each share that it meets."""

BELIEVED = 1000
"""After this many originals, how many copies came of them says as much as the route does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A share of blue's requests, out of 10,000, that green gets as copies, while the routes of one stamp are in force."""

    stamp: Stamp
    blue: RevisionId
    green: RevisionId
    share: int


@dataclass(frozen=True, slots=True)
class _Seen:
    """One look. all_copies, all_originals: since the route is in force; the other numbers since Envoy started."""

    source: str
    epoch: int
    seq: int
    copies: int
    copy_errors: int
    originals: int
    errors: int
    all_copies: int = 0
    all_originals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """position: where the next look goes on. lacking: copies that should have come and did not."""

    position: str
    answers: tuple[Answers, ...] = ()
    lacking: int = 0


def who_is_copied(wanted: Wanted | None) -> Copied | None:
    """None where nothing is copied, or where counters can not tell which of blue's requests were.

    Copies that blue itself gets show how far it differs from itself, and are not counted beside anything.
    """
    if wanted is None:
        return None
    mirrors = {
        m
        for route in wanted.routes
        for m in route.mirrors
        if m.share > 0 and (route.draw is None or m.revision == route.draw.green)
    }
    if len(mirrors) != 1:
        return None
    mirror = mirrors.pop()
    others: dict[RevisionId, int] = {}
    for route in wanted.routes:
        blue = {p.revision: p.share for p in route.split if p.share > 0 and p.revision != mirror.revision}
        if bool(blue) != bool(route.mirrors):
            return None
        others |= blue
    if len(others) != 1:
        return None
    return Copied(stamp=wanted.stamp, blue=others.popitem()[0], green=mirror.revision, share=mirror.share)


def compare(reading: Reading, tallies: Mapping[RevisionId, Tally], now: Copied, since: str) -> Compared:
    """What came between two looks at the same route. Of a look that spans a change nothing is told."""
    green, blue = tallies.get(now.green, Tally()), tallies.get(now.blue, Tally())
    counted = (green.copies, green.copy_errors, blue.requests, blue.errors)
    stamp = now.stamp
    begun = _Seen(reading.source, stamp.epoch, stamp.seq, *counted)
    before = _seen(since)
    if before is None or not _follows(begun, before):
        return Compared(position=_text(begun))
    copies, copy_errors = begun.copies - before.copies, begun.copy_errors - before.copy_errors
    originals, errors = begun.originals - before.originals, begun.errors - before.errors
    ever = (before.all_copies + copies, before.all_originals + originals)
    position = _text(_Seen(reading.source, stamp.epoch, stamp.seq, *counted, *ever))
    if not copies and not originals:
        return Compared(position=position, lacking=_lacking(now, *ever))
    share = _share(now, before)
    at_s = int(reading.taken_at)
    answers = (
        _answers(at_s, now.blue, share, originals, errors),
        _answers(at_s, now.green, share, copies, copy_errors),
    )
    return Compared(position=position, answers=answers, lacking=_lacking(now, *ever))


def _answers(at_s: int, revision: RevisionId, share: int, requests: int, errors: int) -> Answers:
    errors = min(errors, requests)
    return Answers(
        at_s=at_s,
        revision=revision,
        share=share,
        mirrored=True,
        requests=requests,
        errors=errors,
        failed=errors,
    )


def _share(now: Copied, before: _Seen) -> int:
    """What part of both kinds of answers is copies: as the route says and as it was so far, never as it just came out."""
    part = now.share / FULL
    copies = before.all_copies + part * BELIEVED
    share = FULL * copies / (copies + before.all_originals + BELIEVED)
    return min(FULL - STEP, max(STEP, round(share / STEP) * STEP))


def _lacking(now: Copied, copies: int, originals: int) -> int:
    """By how much there are fewer copies than chance explains."""
    due = originals * now.share / FULL
    return round(due - copies) if copies < due - 5 * math.sqrt(due) - 5 else 0


def _follows(now: _Seen, before: _Seen) -> bool:
    same = (now.source, now.epoch, now.seq) == (before.source, before.epoch, before.seq)
    forward = now.copies >= before.copies and now.originals >= before.originals
    return same and forward and now.copy_errors >= before.copy_errors and now.errors >= before.errors


def _text(seen: _Seen) -> str:
    return json.dumps(astuple(seen), separators=(",", ":"))


def _seen(position: str) -> _Seen | None:
    return _Seen(*json.loads(position)) if position else None
