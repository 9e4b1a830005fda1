"""Records as the bytes that are stored, and the hash chain through them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from celadon.domain.names import ServiceKey
from celadon.domain.record import Kind, Record
from celadon.domain.values import replace
from celadon.store.canonical import canonical
from celadon.store.codec import DecodeError, decode, encode

FIRST = ""
"""The previous hash of a service's first record."""


class BrokenChainError(Exception):
    """A stored record is not the one that was written there, and how that shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where a chain ends: the last record's place and hash."""

    seq: int = 0
    hash: str = FIRST


def sha256(data: bytes) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def to_bytes(record: Record) -> bytes:
    """A record as it is stored."""
    return canonical(
        {
            "format": record.format,
            "service": encode(record.service),
            "seq": record.seq,
            "epoch": record.epoch,
            "at": record.at,
            "kind": record.kind,
            "body": record.body,
            "previousHash": record.previous_hash,
        }
    )


def from_bytes(data: bytes) -> Record:
    """The record that bytes stand for; raises BrokenChainError when they are no record."""
    try:
        raw = json.loads(data)
        return Record(
            format=decode(int, raw["format"]),
            service=decode(ServiceKey, raw["service"]),
            seq=decode(int, raw["seq"]),
            epoch=decode(int, raw["epoch"]),
            at=decode(float, raw["at"]),
            kind=decode(str, raw["kind"]),
            body=decode(Mapping[str, Any], raw["body"]),
            previous_hash=decode(str, raw["previousHash"]),
        )
    except (ValueError, KeyError, TypeError, DecodeError) as error:
        raise BrokenChainError(f"its bytes are not a record ({error})") from error


def follow(last: Link, service: ServiceKey, data: bytes, stored: str | None = None) -> tuple[Record, Link]:
    """The next record of a chain; raises BrokenChainError when it does not follow `last`.

    stored: the hash that was noted beside the record, which guards the last one. A chain begins with seq 1, or with a checkpoint after older records were compacted away.
    """
    if not isinstance(data, bytes):
        raise BrokenChainError("it is not stored as bytes")
    link = Link(seq=0, hash=sha256(data))
    if stored is not None and link.hash != stored:
        raise BrokenChainError("its bytes are not those that were written")
    record = from_bytes(data)
    link = replace(link, seq=record.seq)
    if record.service != service:
        raise BrokenChainError(f"it belongs to service {record.service}")
    if last.seq == 0 and record.kind == Kind.CHECKPOINT:
        return record, link
    if record.seq != last.seq + 1:
        raise BrokenChainError(f"it is numbered {record.seq} and follows {last.seq}")
    if record.previous_hash != last.hash:
        raise BrokenChainError("it does not carry the hash of the record before it")
    return record, link
