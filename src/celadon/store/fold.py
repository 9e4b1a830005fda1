"""What the journal means: records in, memory out. Nothing here touches a disk."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, assert_never, get_type_hints

from celadon.domain.command import Asked, Command, Deploy, Rollback
from celadon.domain.goal import Stamp
from celadon.domain.memory import Memory
from celadon.domain.reason import Reason
from celadon.domain.record import FORMAT, Kind, Record
from celadon.domain.release import Taken
from celadon.domain.values import replace
from celadon.store.codec import DecodeError, decode, encode

KEPT_BY_THE_JOURNAL = frozenset({"service", "seq", "epoch", "commands", "goal_at", "routed_at"})
"""Fields of Memory that follow from where a record stands and are never written by a tick."""


class UnreadableError(Exception):
    """A record that this celadon does not understand, and why."""


def fold(memory: Memory, record: Record) -> Memory:
    """Memory after one more record; raises UnreadableError for a record from a newer celadon."""
    assert record.service == memory.service, (record.service, memory.service)
    if record.format > FORMAT:
        raise UnreadableError(f"it has format {record.format}, and this celadon reads up to {FORMAT}")
    if record.kind not in set(Kind):
        raise UnreadableError(f"its kind is {record.kind!r}, which this celadon does not know")
    try:
        after = _apply(memory, Kind(record.kind), record)
    except DecodeError as error:
        raise UnreadableError(f"its body can not be read: {error}") from error
    return replace(after, seq=record.seq, epoch=record.epoch)


def fold_all(memory: Memory, records: Iterable[Record]) -> Memory:
    """Memory after all records, in order."""
    for record in records:
        memory = fold(memory, record)
    return memory


def _apply(memory: Memory, kind: Kind, record: Record) -> Memory:
    match kind:
        case Kind.COMMAND:
            return _asked(memory, record)
        case Kind.TICK:
            return _decided(memory, record)
        case Kind.LEADER:
            return led(memory, record.epoch, record.at)
        case Kind.CHECKPOINT:
            whole = decode(Memory, _part(record.body, "memory"))
            assert isinstance(whole, Memory)
            return whole
        case _:
            assert_never(kind)


def _part(body: Mapping[str, Any], name: str) -> Any:
    if name not in body:
        raise DecodeError(f"it has no {name!r}")
    return body[name]


def _asked(memory: Memory, record: Record) -> Memory:
    command = decode(Command, _part(record.body, "command"))
    asked = Asked(seq=record.seq, at=record.at, command=command)
    releases = memory.releases_asked + isinstance(command, Deploy | Rollback)
    return replace(memory, commands=(*memory.commands, asked), releases_asked=releases)


def _decided(memory: Memory, record: Record) -> Memory:
    types, body = _types(), record.body
    changed = _part(body, "set")
    unknown = set(changed) - set(types)
    if unknown:
        raise DecodeError(f"it sets {', '.join(sorted(unknown))}, which this celadon does not know")
    handled = frozenset(body.get("handled", ()))
    values = {name: decode(types[name], data) for name, data in changed.items()}
    commands = tuple(asked for asked in memory.commands if asked.seq not in handled)
    after = replace(memory, commands=commands, **values)
    return _dated(memory, after, record.at) if "goal" in values else after


def _dated(before: Memory, after: Memory, at: float) -> Memory:
    """A memory with another goal than before, which is recorded at this time."""
    routes = [memory.goal.routes if memory.goal else () for memory in (before, after)]
    return replace(after, goal_at=at, routed_at=before.routed_at if routes[0] == routes[1] else at)


def led(memory: Memory, epoch: int, at: float) -> Memory:
    """A new leader writes its higher epoch on everything it owns before it decides: the goal is stamped anew."""
    if memory.goal is None:
        return memory
    goal = replace(memory.goal, stamp=Stamp(epoch=epoch, seq=memory.seq + 1))
    return replace(memory, goal=goal, goal_at=at)


@cache
def _types() -> Mapping[str, Any]:
    hints = get_type_hints(Memory)
    return {
        field.name: hints[field.name] for field in fields(Memory) if field.name not in KEPT_BY_THE_JOURNAL
    }


def tick_body(
    before: Memory, after: Memory, reason: Reason, at: float, steps: Sequence[Taken] = ()
) -> dict[str, Any]:
    """What a tick writes: the fields it changed, why, the release it was about, and the commands it answered.

    steps: those it took before the last one, which `reason` speaks of; left out when there were none.

    A goal that changed is stamped with the place of this record; one that only looks stamped keeps its old stamp.
    """
    after = stamped(before, after, at)
    changed = {
        name: encode(getattr(after, name), of)
        for name, of in _types().items()
        if getattr(after, name) != getattr(before, name)
    }
    left = {asked.seq for asked in after.commands}
    assert left <= {asked.seq for asked in before.commands}, "a tick can not ask for anything"
    return {
        "set": changed,
        "reason": encode(reason),
        **({"steps": [encode(step) for step in steps]} if steps else {}),
        "release": _about(before, after),
        "handled": [asked.seq for asked in before.commands if asked.seq not in left],
    }


def stamped(before: Memory, after: Memory, at: float) -> Memory:
    """A memory whose goal bears the stamp it will have: its old one, or the place of the record that follows."""
    goal = after.goal
    if goal is None:
        return after
    old = before.goal
    if old is not None and replace(goal, stamp=old.stamp) == old:
        return replace(after, goal=old)
    goal = replace(goal, stamp=Stamp(epoch=before.epoch, seq=before.seq + 1))
    return _dated(before, replace(after, goal=goal), at)


def _about(before: Memory, after: Memory) -> str | None:
    """The release that a decision was about: the one that moves, else the one that has just ended."""
    if after.release is not None:
        return after.release.id
    if before.release is not None:
        return before.release.id
    return after.last.id if after.last is not None and after.last != before.last else None


def next_epoch(seen: int, now: float) -> int:
    """An epoch above every one that was ever seen here, and above those of a journal that was lost. now: Unix s."""
    return max(seen + 1, int(now * 1000))
