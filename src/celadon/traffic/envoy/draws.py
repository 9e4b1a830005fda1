"""How a rule draws: for each of Envoy's routes that it becomes, whom it is for and what it draws among.

Sticky by a header, Envoy hashes the salted value, and green comes first among those it may fall to. So whoever is
drawn to green at a small share is drawn to green at every larger one.

Sticky by a cookie, each caller keeps its draw itself, as `SALT.STAGE.SIDE.UNIT`. Whoever was drawn to green stays
there. Whoever was drawn to blue at an earlier stage is drawn once more: green had the share s then and has t now, so
(t - s) / (1 - s) of them go over, and over all stages t of all callers are on green, exactly. When requests return to
blue in steps, and green is left k of them, those who were drawn to green are drawn among by the hash of their cookie: k / t
of them stay, the same ones as k falls.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from celadon.domain.draw import Draw, StickyCookie, StickyHeader
from celadon.domain.plan import FULL
from celadon.traffic.envoy.snapshot import Rule, Target

UNIT = "%UNIQUE_ID%"
"""A new unit's key: Envoy makes it up, so that nothing a client says ends up in a cookie."""

UNIT_PATTERN = "[0-9a-f-]{36}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One of Envoy's routes for a rule.

    cookie: what the whole `Cookie` header must match, with the unit as its only group. header: must not be empty,
    and its hash draws. kept_by: name of the cookie whose hash draws. fresh: whoever comes this way is a unit from now on. stage: the one that is noted in a cookie
    which is given on this way; None where none is given.
    """

    split: tuple[Target, ...]
    cookie: str | None = None
    header: str | None = None
    kept_by: str | None = None
    fresh: bool = False
    stage: int | None = None


def ways(rule: Rule) -> tuple[Way, ...]:
    """In order: the first that a request fits is its own."""
    draw = rule.draw
    if draw is None:
        return (Way(split=rule.split),)
    split = _green_first(rule.split, draw)
    match draw.sticky:
        case StickyHeader(header=header):
            return Way(split=split, header=header), Way(split=split)
        case StickyCookie():
            return tuple(_by_cookie(split, draw, draw.sticky))
    return (Way(split=split),)


def salt(draw: Draw) -> str:
    """The salt as it may stand in a cookie and in a regular expression."""
    return hashlib.sha256(draw.salt.encode()).hexdigest()[:16]


def _green_first(split: tuple[Target, ...], draw: Draw) -> tuple[Target, ...]:
    return tuple(sorted(split, key=lambda target: target.revision != draw.green))


def _by_cookie(split: tuple[Target, ...], draw: Draw, sticky: StickyCookie) -> Iterator[Way]:
    green = tuple(target for target in split if target.revision == draw.green)
    rest = tuple(target for target in split if target.revision != draw.green)
    if draw.frozen or not green:
        yield Way(split=split, cookie=_pattern(draw, sticky, "[0-9]+", "[gb]"))
        yield Way(split=split)
        return
    if draw.returning:
        yield from _returning(split, draw, sticky)
        return
    yield Way(split=green, cookie=_pattern(draw, sticky, "[0-9]+", "g"))
    share = sum(target.share for target in green)
    for before, stages in _earlier(draw, share).items():
        again = (replace(green[0], share=share - before), *rest)
        cookie = _pattern(draw, sticky, f"(?:{'|'.join(map(str, stages))})", "b")
        yield Way(split=again, cookie=cookie, stage=draw.stage)
    if rest:
        yield Way(split=rest, cookie=_pattern(draw, sticky, "[0-9]+", "b"))
    yield Way(split=split, fresh=True, stage=draw.stage)


def _returning(split: tuple[Target, ...], draw: Draw, sticky: StickyCookie) -> Iterator[Way]:
    """Whoever was on green stays or goes back; whoever keeps no cookie is drawn request by request."""
    green, *rest = split
    leaves = max(draw.shares, default=FULL) - green.share
    stays = (green, replace(rest[0], share=leaves)) if leaves > 0 else (green,)
    yield Way(split=stays, cookie=_pattern(draw, sticky, "[0-9]+", "g"), kept_by=sticky.cookie)
    if rest:
        yield Way(split=tuple(rest), cookie=_pattern(draw, sticky, "[0-9]+", "b"))
    yield Way(split=split)


def _earlier(draw: Draw, share: int) -> dict[int, list[int]]:
    """Earlier stages by the share that green had in them, where it was smaller."""
    found: dict[int, list[int]] = defaultdict(list)
    for stage, before in enumerate(draw.shares[: draw.stage]):
        if before < share:
            found[before].append(stage)
    return dict(found)


def _pattern(draw: Draw, sticky: StickyCookie, stage: str, side: str) -> str:
    r"""Among any other cookies, in any order."""
    value = rf"{salt(draw)}\.{stage}\.{side}\.({UNIT_PATTERN})"
    return rf"(?:.*;[ \t]*)?{re.escape(sticky.cookie)}={value}(?:[ \t]*;.*)?"


def cookie(rule: Rule, way: Way, target: Target, unit: str) -> str | None:
    """What a caller is told to keep; None for nothing. unit: where Envoy finds the key."""
    draw = rule.draw
    if draw is None or way.stage is None or not isinstance(draw.sticky, StickyCookie):
        return None
    side = "g" if target.revision == draw.green else "b"
    value = f"{draw.sticky.cookie}={salt(draw)}.{way.stage}.{side}.{unit}"
    return f"{value}; Path={_path(rule.prefix)}; Max-Age={draw.sticky.lasts_s:.0f}; HttpOnly; SameSite=Lax"


def _path(prefix: str) -> str:
    """A path that could not stand in a cookie is left to the whole host. Envoy reads a lone percent sign as its own."""
    plain = re.fullmatch(r"/[!-:<-~]*", prefix) is not None
    return prefix.replace("%", "%%") if plain else "/"
