"""Working copies: a tree's files laid out as a folder that replicas run on.

They are copies and not hard links to the store, because a replica that wrote into a link would change the store.
Every byte is hashed on its way into a copy, and a copy that is already there is hashed where it lies.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from celadon.store.tree import CHUNK, Entry

WRITTEN_BY_PYTHON = "__pycache__"
"""The one thing that may appear in a working copy: Python writes it by itself where it is allowed to."""


class DamagedError(Exception):
    """Bytes that are not those of their digest. blob: the store's file that is damaged; None for a copy."""

    def __init__(self, why: str, blob: Path | None = None) -> None:
        self.blob = blob
        super().__init__(why)


def lay_out(entries: Sequence[Entry], blobs: Sequence[Path], draft: Path, final: Path) -> None:
    """Copy blobs into `draft`, verify them on the way, make all of it read-only and rename it to `final`."""
    draft.mkdir(mode=0o700)
    for entry, blob in zip(entries, blobs, strict=True):
        target = draft / entry.path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _copy(entry, blob, target)
    for folder in _folders(draft):
        folder.chmod(0o500)
        _sync(folder)
    # A folder can only be renamed by who may write its `..` entry.
    draft.chmod(0o700)
    draft.rename(final)
    final.chmod(0o500)
    _sync(final.parent)


def _copy(entry: Entry, blob: Path, target: Path) -> None:
    mode = 0o500 if entry.executable else 0o400
    try:
        source = blob.open("rb")
    except FileNotFoundError:
        raise DamagedError(
            f"{entry.digest}, the content of {entry.path}, is not in the model store"
        ) from None
    with (
        source,
        os.fdopen(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode), "wb") as copy,
    ):
        sha = hashlib.sha256()
        while chunk := source.read(CHUNK):
            sha.update(chunk)
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())
    if sha.hexdigest() != entry.sha256:
        raise DamagedError(
            f"{entry.digest}, the content of {entry.path}, is damaged in the model store", blob
        )


def verify(entries: Sequence[Entry], folder: Path) -> None:
    """Every byte of a working copy, that its modes are right, and that nothing was added; raises DamagedError."""
    wanted = {entry.path: entry for entry in entries}
    for path, entry in wanted.items():
        why = _differs(entry, folder / path)
        if why:
            raise DamagedError(f"{folder / path} {why}")
    for path in _files(folder):
        if path not in wanted:
            raise DamagedError(f"{folder / path} was added")


def _differs(entry: Entry, file: Path) -> str:
    try:
        found = file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    if not stat.S_ISREG(found.st_mode) or found.st_size != entry.size:
        return "was changed"
    if bool(found.st_mode & stat.S_IXUSR) != entry.executable:
        return "has another mode"
    with file.open("rb") as stream:
        return "" if hashlib.file_digest(stream, "sha256").hexdigest() == entry.sha256 else "was changed"


def _files(folder: Path) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        for name in (*files, *(name for name in folders if (Path(root) / name).is_symlink())):
            yield (Path(root) / name).relative_to(folder).as_posix()
        folders[:] = [name for name in folders if name != WRITTEN_BY_PYTHON]


def _folders(folder: Path) -> Iterator[Path]:
    for root, _, _ in os.walk(folder, topdown=False):
        yield Path(root)


def discard(folder: Path) -> None:
    """Remove a read-only folder with all that is in it."""
    for inner in [*_folders(folder)]:
        inner.chmod(0o700)
    shutil.rmtree(folder)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
