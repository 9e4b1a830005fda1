"""Places in the request log, which are found again after a crash: files are numbered, and one put aside stays a while."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

LOG_BYTES = 64 * 1024 * 1024
"""A log that is larger is put aside."""

KEPT_LOGS = 8
"""So many files that were put aside stay: at 5,000 requests a second five minutes of them, at 200 two hours."""

SLICE_BYTES = 1024 * 1024
"""Read at once: about 3,000 lines, of which the longest has less than 64 KiB."""


class Place(NamedTuple):
    """Everything before `offset` of a file is read, and everything in files with a smaller number.

    inode: of that file, so that another one is not taken for it.
    """

    number: int
    inode: int
    offset: int


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Whole lines and where they end. lost: something was written before them that can not be read any more.

    more: there may be more to read at once.
    """

    lines: bytes
    place: Place
    lost: bool = False
    more: bool = False

    @cached_property
    def split(self) -> Sequence[bytes]:
        """Line by line, once for all who read here."""
        return self.lines.split(b"\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    number: int
    path: Path
    inode: int
    size: int

    @property
    def begin(self) -> Place:
        return Place(self.number, self.inode, 0)


class RequestLog:
    """The file that Envoy writes, and those put aside as NAME.NUMBER. Not for two threads at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def prepare(self) -> None:
        """Makes the file, for its owner alone: what callers say of themselves is in it."""
        file = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        os.fchmod(file, 0o600)
        os.close(file)

    def rotate(self, needed: int | None) -> bool:
        """Puts a log that has grown too large aside. Envoy must then be told to open it again, and writes on until it is.

        needed: the oldest number that is still being read; it stays, as long as there are not twice as many files.
        """
        *aside, live = self._files()
        if live.size <= LOG_BYTES:
            return False
        live.path.rename(self._aside(live.number))
        self.prepare()
        old = [*aside, live][:-KEPT_LOGS]
        for file in old:
            if needed is None or file.number < needed or file in old[:-KEPT_LOGS]:
                self._aside(file.number).unlink(missing_ok=True)
        return True

    def begin(self) -> Place:
        """Before everything that is still there."""
        return self._files()[0].begin

    def end(self) -> Place:
        """Where the next line will be: in the last file that has one, while Envoy has not opened the next."""
        files = self._files()
        last = next((file for file in reversed(files) if file.size), files[-1])
        return Place(last.number, last.inode, last.size)

    def read(self, place: Place) -> Slice:
        """The next lines after a place."""
        files = self._files()
        here = next((file for file in files if (file.number, file.inode) == place[:2]), None)
        if here is None or here.size < place.offset:
            after = next((file for file in files if file.number >= place.number), files[-1])
            return Slice(lines=b"", place=after.begin, lost=True, more=True)
        # Envoy opens the next file after its last line in this one, so that is known before this one is read.
        following = next(
            (f for f in files if f.number > here.number and (f.size or f is not files[-1])), None
        )
        found = _slice(here, place)
        if found.more or following is None:
            return found
        if found.lines:
            return replace(found, more=True)
        cut_off = found.place.offset != here.path.stat().st_size
        return Slice(lines=b"", place=following.begin, lost=cut_off, more=True)

    def _files(self) -> list[_File]:
        """The oldest first, the one that is written last. Its number comes after that of the last one put aside."""
        numbers = sorted(_numbers(self._path))
        if not self._path.exists():
            self.prepare()
        live = numbers[-1] + 1 if numbers else 1
        paths = [*((number, self._aside(number)) for number in numbers), (live, self._path)]
        found = [(number, path, path.stat()) for number, path in paths]
        return [_File(number=n, path=path, inode=s.st_ino, size=s.st_size) for n, path, s in found]

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _numbers(path: Path) -> Iterable[int]:
    for found in path.parent.glob(f"{path.name}.*"):
        number = found.name.removeprefix(f"{path.name}.")
        if number.isdecimal():
            yield int(number)


def _slice(here: _File, place: Place) -> Slice:
    """The byte before a place tells whether a line begins there; else it is what the log ended with for a moment."""
    start = max(0, place.offset - 1)
    with here.path.open("rb") as file:
        file.seek(start)
        data = file.read(SLICE_BYTES)
    more = len(data) == SLICE_BYTES
    end = data.rfind(b"\n") + 1
    if more and end == 0:
        return Slice(lines=b"", place=place._replace(offset=start + len(data)), lost=True, more=True)
    begin = data.find(b"\n") + 1 if place.offset else 0
    if end <= begin:
        return Slice(lines=b"", place=place, more=more)
    return Slice(lines=data[begin:end], place=place._replace(offset=start + end), more=more)
