"""Trees: a folder's files under one digest, as a manifest that is a blob like any other.

A manifest is RFC 8785 JSON `{"format":1,"files":[{"path","size","sha256","executable"}]}`, sorted by path. Only
regular files count: empty folders, owners, times and modes other than executable are not part of a tree. A single
model file becomes the tree whose one file is `model.onnx`, so that its name is no part of its identity.
"""

import fnmatch
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from celadon.domain.names import DIGEST, Digest
from celadon.domain.problem import Problem, ProblemsError
from celadon.store.canonical import canonical
from celadon.store.chain import sha256
from celadon.store.codec import DecodeError, decode, encode

TREE_FORMAT = 1
MODEL_FILE = "model.onnx"
FILES_MAX = 20_000
PATH_BYTES_MAX = 1024
TREE_BYTES_MAX = 64 * 2**30
MANIFEST_BYTES_MAX = 16 * 2**20
CHUNK = 2**20

IGNORED = (
    "__pycache__",
    "*.pyc",
    ".git",
    ".hg",
    ".svn",
    ".venv",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".ipynb_checkpoints",
    ".DS_Store",
)
"""Names that are left out of a folder's tree wherever they stand: caches, histories and environments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file. path: relative, with `/`. sha256: 64 hexadecimal digits."""

    path: str
    size: int
    sha256: str
    executable: bool

    @property
    def digest(self) -> Digest:
        """The blob that holds its bytes."""
        return Digest(f"sha256:{self.sha256}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A tree as it was read from disk. files: each blob's digest and where its bytes are. ignored: left out."""

    digest: Digest
    manifest: bytes
    files: tuple[tuple[Digest, Path], ...]
    ignored: tuple[str, ...] = ()


def tree_of(source: Path, external: Sequence[str] = ()) -> Tree:
    """The tree of a model file or of a folder; raises ProblemsError with everything that is wrong with it.

    external: ONNX external data of a single model file, as paths relative to the folder it is in.
    A link that is itself the source is followed; one inside a folder is refused.
    """
    source = source.resolve()
    if source.is_dir():
        found, ignored = _walk(source)
    else:
        found, ignored = {MODEL_FILE: source, **{path: source.parent / path for path in external}}, ()
    problems = [*_path_problems([*found][: FILES_MAX + 1], str(source)), *_file_problems(found, source)]
    if problems:
        raise ProblemsError(problems)
    entries = [_entry(path, file) for path, file in sorted(found.items())]
    manifest = canonical({"format": TREE_FORMAT, "files": [encode(entry) for entry in entries]})
    files = tuple((entry.digest, found[entry.path]) for entry in entries)
    return Tree(digest=digest_of(manifest), manifest=manifest, files=files, ignored=ignored)


def read_manifest(data: bytes) -> tuple[Entry, ...]:
    """The files of a manifest; raises ProblemsError when it is none, or names a path that leaves its folder."""
    try:
        raw = json.loads(data)
        if not isinstance(raw, dict) or raw.get("format") != TREE_FORMAT or set(raw) != {"format", "files"}:
            raise _problem("manifest", f"is not a tree of format {TREE_FORMAT}")
        entries = tuple(decode(Entry, entry) for entry in raw["files"])
    except (ValueError, TypeError, RecursionError, DecodeError) as error:
        raise _problem("manifest", f"can not be read: {error}") from error
    problems = _path_problems([entry.path for entry in entries], "manifest")
    problems += [
        Problem(path=entry.path, found="has no proper digest or size")
        for entry in entries
        if not DIGEST.fullmatch(entry.digest) or entry.size < 0
    ]
    if sum(entry.size for entry in entries) > TREE_BYTES_MAX:
        problems.append(Problem(path="manifest", found=f"is larger than {TREE_BYTES_MAX} bytes"))
    if problems:
        raise ProblemsError(problems)
    return entries


def digest_of(data: bytes) -> Digest:
    """The name of these bytes as a blob."""
    return Digest(f"sha256:{sha256(data)}")


def _problem(path: str, found: str, hint: str = "") -> ProblemsError:
    return ProblemsError([Problem(path=path, found=found, hint=hint)])


def _walk(folder: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Everything in a folder that is no folder, and what was ignored. Links are never followed."""
    found: dict[str, Path] = {}
    ignored: list[str] = []
    for root, folders, files in os.walk(folder, onerror=_refuse_walk):
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        for name in (*files, *folders):
            path = Path(root) / name
            if not is_kept(name):
                ignored.append(path.relative_to(folder).as_posix())
            elif name in files or name in links:
                found[path.relative_to(folder).as_posix()] = path
        folders[:] = [name for name in folders if is_kept(name) and name not in links]
        if len(found) > FILES_MAX:
            break
    return found, tuple(sorted(ignored))


def is_kept(name: str) -> bool:
    """Whether a file or folder of this name is part of a folder's tree."""
    return not any(fnmatch.fnmatchcase(name, pattern) for pattern in IGNORED)


def _refuse_walk(error: OSError) -> None:
    raise _problem(str(error.filename), f"can not be read: {error.strerror}") from error


def _path_problems(paths: Sequence[str], where: str) -> list[Problem]:
    problems = [
        Problem(path=where, found=f"the path {path!r} is not allowed", hint="a plain path inside the folder")
        for path in paths
        if not _is_plain(path)
    ]
    if not paths:
        problems.append(Problem(path=where, found="holds no file"))
    if len(paths) > FILES_MAX:
        hint = "give only the folder that is needed at run time"
        problems.append(Problem(path=where, found=f"holds more than {FILES_MAX} files", hint=hint))
    folders = {parent.as_posix() for path in paths for parent in PurePosixPath(path).parents}
    both = sorted(set(paths) & folders)
    problems += [Problem(path=where, found=f"{path!r} is a file and a folder") for path in both]
    if len(set(paths)) != len(paths) or (list(paths) != sorted(paths) and where == "manifest"):
        problems.append(Problem(path=where, found="its files are not sorted, or one is named twice"))
    return problems


def _is_plain(path: str) -> bool:
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return False
    parts = path.split("/")
    return (
        0 < size <= PATH_BYTES_MAX
        and path.isprintable()
        and "\\" not in path
        and not {"", ".", ".."} & set(parts)
    )


def _file_problems(found: Mapping[str, Path], source: Path) -> Iterator[Problem]:
    base = source if source.is_dir() else source.parent
    total = 0
    for path, file in found.items():
        why = _why_no_file(file, base)
        if why:
            yield Problem(
                path=str(file), found=why, hint=f"put a copy of it into {base}" if "link" in why else ""
            )
        else:
            total += file.stat().st_size
        if total > TREE_BYTES_MAX:
            yield Problem(path=path, found=f"makes the whole larger than {TREE_BYTES_MAX} bytes")
            return


def _why_no_file(file: Path, base: Path) -> str:
    try:
        mode = file.lstat().st_mode
    except OSError as error:
        return f"can not be read: {error.strerror}"
    linked = next((p for p in file.parents if p.is_relative_to(base) and p != base and p.is_symlink()), None)
    if stat.S_ISLNK(mode) or linked:
        return "is a symbolic link, which could point anywhere"
    if not stat.S_ISREG(mode):
        return "is not a regular file"
    return "" if os.access(file, os.R_OK) else "can not be read: permission denied"


def _entry(path: str, file: Path) -> Entry:
    sha = hashlib.sha256()
    size = 0
    with file.open("rb") as stream:
        executable = bool(os.fstat(stream.fileno()).st_mode & stat.S_IXUSR)
        while chunk := stream.read(CHUNK):
            sha.update(chunk)
            size += len(chunk)
    # A model is data, whatever mode its file happens to have.
    return Entry(
        path=path, size=size, sha256=sha.hexdigest(), executable=executable and not path.endswith(".onnx")
    )
