"""Many requests at once over few connections, and wishes that draw, copy or have a control arm."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from envoy_world import BLUE, GREEN, Upstream, World

from celadon.domain.draw import EVERY, Draw, Match, Sticky
from celadon.domain.goal import Arm, Endpoint, Mirror, Part, Route, Wanted
from celadon.domain.names import RevisionId
from celadon.domain.plan import FULL
from celadon.domain.spec import RouteSpec

Headers = Mapping[str, str]
CONNECTIONS = 8


@dataclass(frozen=True, kw_only=True)
class Answer:
    """headers: lower-case names; several of one name are joined by a line break."""

    status: int
    headers: Headers
    text: str

    @property
    def side(self) -> str:
        return self.headers.get("x-celadon-revision", "")[:1]


async def ask_all(port: int, asked: Sequence[Headers], path: str = "/who") -> list[Answer]:
    """The answer to each, in order. Each connection sends one request after the other."""
    answers: list[Answer | None] = [None] * len(asked)

    async def ask_some(first: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(first, len(asked), CONNECTIONS):
            lines = "".join(f"{name}: {value}\r\n" for name, value in asked[number].items())
            writer.write(f"GET {path} HTTP/1.1\r\nhost: x.test\r\n{lines}\r\n".encode("latin-1"))
            answers[number] = await _answer(reader)
        writer.close()

    await asyncio.gather(*(ask_some(first) for first in range(min(CONNECTIONS, len(asked)))))
    return [answer for answer in answers if answer is not None]


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in head[1:-2]:
        name, _, value = line.partition(": ")
        headers[name.lower()] = f"{headers[name.lower()]}\n{value}" if name.lower() in headers else value
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Answer(status=int(head[0].split(" ")[1]), headers=headers, text=body.decode())


def drawing(
    world: World,
    blue: Upstream,
    green: Upstream,
    share: int,
    route: RouteSpec,
    *,
    sticky: Sticky | None = None,
    salt: str = "fraud/1",
    shares: tuple[int, ...] = (),
    frozen: bool = False,
    returning: bool = False,
    group: str = "",
    match: Match = EVERY,
    control: Sequence[Upstream | Endpoint] = (),
    mirrors: Mapping[RevisionId, int] | None = None,
) -> Wanted:
    """Green gets `share` of what matches, in the last stage of `shares`; nothing while it is frozen."""
    draw = Draw(
        green=GREEN,
        salt=salt,
        sticky=sticky,
        stage=max(0, len(shares) - 1),
        shares=shares,
        frozen=frozen,
        returning=returning,
        group=group,
    )
    now = 0 if frozen else share
    parts = [Part(revision=BLUE, share=FULL - now - (now if control else 0)), Part(revision=GREEN, share=now)]
    if control:
        parts.append(Part(revision=BLUE, arm=Arm.CONTROL, share=now))
    copies = tuple(Mirror(revision=revision, share=part) for revision, part in (mirrors or {}).items())
    drawn = Route(match=match, split=tuple(parts), mirrors=copies, draw=draw)
    plain = world.wish("fraud", {BLUE: [blue], GREEN: [green]}, {BLUE: FULL}, route)
    points = tuple(Endpoint(address=u.address) if isinstance(u, Upstream) else u for u in control)
    return replace(
        plain,
        routes=(drawn,) if match == EVERY else (drawn, *plain.routes),
        controls=((BLUE, points),) if control else (),
    )


def as_drawn(count: int, of: int, share: int) -> bool:
    """Whether chance gives so many of `of`, or something as far out: it does not once in ten million."""
    part = share / FULL
    if part in {0.0, 1.0}:
        return count == of * part

    def chance(number: int) -> float:
        ways = math.lgamma(of + 1) - math.lgamma(number + 1) - math.lgamma(of - number + 1)
        return math.exp(ways + number * math.log(part) + (of - number) * math.log1p(-part))

    below = sum(map(chance, range(count + 1)))
    above = sum(map(chance, range(count, of + 1)))
    return min(below, above) > 1e-7
