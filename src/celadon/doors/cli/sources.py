"""Sources by digest: hashed here, and only what the daemon lacks is streamed to it."""

import mmap
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from celadon.domain.names import Digest
from celadon.domain.problem import LastingFault, Problem, ProblemsError
from celadon.doors.cli.bundle import Bundle, Loaded
from celadon.doors.cli.client import Client
from celadon.doors.cli.human import several, size
from celadon.store.tree import Tree, digest_of, tree_of

Json = dict[str, Any]

LOCATION = re.compile(rb"\x0a\x08location\x12(.)", re.DOTALL)
"""An entry of ONNX's `external_data` on the wire: key `location`, then the length of a path of up to 127 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Digests of what one service names, by option, and where each blob's bytes are on this machine."""

    digests: Mapping[str, Digest]
    trees: tuple[Tree, ...]
    blobs: tuple[tuple[Digest, Path], ...]


def resolve(bundle: Bundle) -> tuple[Sources, ...]:
    """Hash everything that a file names. Raises ProblemsError with all that can not be sent."""
    problems: list[Problem] = []
    found = []
    for loaded in bundle.services:
        try:
            found.append(_one(loaded))
        except ProblemsError as error:
            problems += error.problems
        except OSError as error:
            problems.append(Problem(path=str(error.filename), found=f"can not be read: {error.strerror}"))
    if problems:
        raise ProblemsError(problems)
    return tuple(found)


def _one(loaded: Loaded) -> Sources:
    digests: dict[str, Digest] = {}
    trees = []
    blobs = []
    for name, place in (("model", loaded.model), ("files", loaded.files)):
        if place is not None:
            tree = tree_of(place.resolve(), external_data(place.resolve()) if place.is_file() else ())
            digests[name] = tree.digest
            trees.append(tree)
    if loaded.golden is not None:
        digests["golden"] = digest_of(loaded.golden.read_bytes())
        blobs.append((digests["golden"], loaded.golden))
    return Sources(digests=digests, trees=tuple(trees), blobs=tuple(blobs))


def external_data(model: Path) -> tuple[str, ...]:
    """Files beside a model file that hold its weights, found without loading it.

    A location that leaves the folder or is not there is left out here: the model server refuses it and says why.
    """
    if not model.stat().st_size:
        return ()
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        raw = {content[at.end() : at.end() + at[1][0]] for at in LOCATION.finditer(content)}
    names = sorted(name.decode("utf-8", "replace") for name in raw)
    return tuple(name for name in names if _is_beside(model, name))


def _is_beside(model: Path, name: str) -> bool:
    path = PurePosixPath(name)
    if (
        not name
        or path.is_absolute()
        or ".." in path.parts
        or path.as_posix() != name
        or not name.isprintable()
    ):
        return False
    return (model.parent / name).is_file()


def upload(client: Client, sources: tuple[Sources, ...], say: Callable[[str], None]) -> None:
    """Send what the daemon lacks. A tree's manifest comes last, so that a tree that is there is whole."""
    wanted: dict[Digest, Path] = {}
    manifests: dict[Digest, bytes] = {}
    for one in sources:
        for tree in one.trees:
            if not client.has_blob(tree.digest):
                manifests[tree.digest] = tree.manifest
                wanted |= dict(tree.files)
        wanted |= dict(one.blobs)
    lacking = {digest: path for digest, path in wanted.items() if not client.has_blob(digest)}
    if lacking:
        total = sum(path.stat().st_size for path in lacking.values())
        say(f"sending {several(len(lacking), 'file')}, {size(total)}")
    for digest, path in lacking.items():
        _send(client, digest, path)
    for digest, manifest in manifests.items():
        client.put_bytes(digest, manifest)


def _send(client: Client, digest: Digest, path: Path) -> None:
    try:
        file = path.open("rb")
    except OSError as error:
        raise LastingFault(f"{path} can not be read any more: {error.strerror}") from error
    with file:
        client.put_blob(digest, file, path.stat().st_size)


def body(
    bundle: Bundle, sources: tuple[Sources, ...], labels: Mapping[str, str], expect_blue: str | None
) -> Json:
    """What plan and deploy send."""
    return {
        "where": bundle.where,
        "documents": [loaded.document for loaded in bundle.services],
        "sources": [dict(one.digests) for one in sources],
        "labels": dict(labels),
        "expect_blue": expect_blue,
    }
