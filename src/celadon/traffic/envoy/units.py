"""Who was counted already, so that a unit counts once in a release however often it asks."""

import hashlib
from array import array
from enum import Enum
from pathlib import Path

UNITS_MAX = 2**21
"""Of more units than these the new ones are not counted. Two million take up to 64 MiB of memory and 32 MiB of disk."""

_FIRST_SLOTS = 2**10
_BYTES = 8


class Mark(Enum):
    """What a unit can be marked with, once each."""

    ASKED = b"a"
    ERRED = b"e"


class Units:
    """Marked digests, in memory and in a file that only grows. No value of a unit is kept.

    Digests have 64 bits: among two million units, two are taken for one with a chance of one in ten million. The
    file is written before what was counted by it can be recorded, and its length is recorded with that. So a daemon
    that comes back cuts off what is later than its record, and counts it again. Raises OSError.
    """

    def __init__(self, path: Path, salt: str, length: int) -> None:
        """length: how many marks were recorded. `whole` is false when the file does not hold them all."""
        self._path = path
        self._key = salt.encode()[:64]
        self._slots = array("Q", bytes(_BYTES * _FIRST_SLOTS))
        self._new = array("Q")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        found = array("Q", path.read_bytes()[: length * _BYTES][: path.stat().st_size // _BYTES * _BYTES])
        self.length = len(found)
        self.whole = self.length == length
        with path.open("r+b") as file:
            file.truncate(self.length * _BYTES)
        while len(self._slots) < 2 * self.length:
            self._slots.extend(self._slots)  # Nothing is in them yet.
        self._fill(found)

    def mark(self, mark: Mark, unit: str) -> bool:
        """Whether the unit was not marked so before. With as many units as can be known, nobody new is."""
        digest = hashlib.blake2b(
            mark.value + unit.encode(errors="surrogatepass"), digest_size=8, key=self._key
        )
        number = int.from_bytes(digest.digest(), "little") or 1
        where = self._slot(number)
        if self._slots[where] or (mark is Mark.ASKED and self.length >= UNITS_MAX):
            return False
        self._slots[where] = number
        self._new.append(number)
        self.length += 1
        if 2 * self.length > len(self._slots):
            self._grow()
        return True

    def name(self, unit: str) -> str:
        """What stands for a unit in this release, without telling who it is."""
        return hashlib.blake2b(
            unit.encode(errors="surrogatepass"), digest_size=_BYTES, key=self._key
        ).hexdigest()

    def write(self) -> None:
        """Brings new marks to the file. They are safe from the end of this process, not from that of the machine."""
        if self._new:
            with self._path.open("ab") as file:
                file.write(self._new.tobytes())
            self._new = array("Q")

    def _slot(self, number: int) -> int:
        """Where it is, or the empty slot where it belongs."""
        slots, last = self._slots, len(self._slots) - 1
        where = number & last
        while slots[where] and slots[where] != number:
            where = (where + 1) & last
        return where

    def _grow(self) -> None:
        known = [number for number in self._slots if number]
        self._slots = array("Q", bytes(_BYTES * 2 * len(self._slots)))
        self._fill(known)

    def _fill(self, numbers: "array[int] | list[int]") -> None:
        for number in numbers:
            self._slots[self._slot(number)] = number
