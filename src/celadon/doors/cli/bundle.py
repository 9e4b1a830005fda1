"""A service file with the sources it names: read and checked before anything is sent."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celadon.domain.golden import GoldenRequest
from celadon.domain.problem import Problem, ProblemsError
from celadon.domain.spec import ModelSource, ServiceSpec
from celadon.doors.offered import default_path, wanted_sources
from celadon.parse.golden import read_golden
from celadon.parse.spec import load_text, read_documents

Json = dict[str, Any]

STDIN = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One service of a file, with where its sources are on this machine."""

    document: Json
    spec: ServiceSpec
    model: Path | None
    files: Path | None
    golden: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A whole file. where: what it is called in problems."""

    where: str
    services: tuple[Loaded, ...]


def load(file: str, model: Path | None) -> Bundle:
    """Read a service file and everything it names. Raises ProblemsError with all that is wrong with all of it."""
    text, where, folder = _read(file)
    documents = [dict(document) for document in load_text(text, where)]
    if model is not None:
        _replace_model(documents, model.resolve())
    specs = read_documents(documents, where)
    problems: list[Problem] = []
    services = []
    for number, (document, spec) in enumerate(zip(documents, specs, strict=True), start=1):
        loaded = _loaded(document, spec, folder)
        problems += _missing(loaded, f"{where}#{number}/spec")
        services.append(loaded)
    if problems:
        raise ProblemsError(problems)
    return Bundle(where=where, services=tuple(services))


def _read(file: str) -> tuple[str, str, Path]:
    """Text, what it is called, and the folder that its paths start from."""
    if file == STDIN:
        return sys.stdin.read(), "stdin", Path.cwd()
    path = Path(file)
    try:
        return path.read_text(encoding="utf-8"), file, path.resolve().parent
    except UnicodeDecodeError as error:
        raise ProblemsError([Problem(path=file, found="is not UTF-8 text")]) from error
    except OSError as error:
        hint = "`celadon init MODEL` writes one"
        raise ProblemsError(
            [Problem(path=file, found=f"can not be read: {error.strerror}", hint=hint)]
        ) from error


def _replace_model(documents: list[Json], model: Path) -> None:
    with_model = [document for document in documents if "model" in document.get("spec", {})]
    if len(with_model) != 1:
        found = f"names one model, and {len(with_model)} services of the file have one"
        raise ProblemsError(
            [Problem(path="--model", found=found, hint="leave it out, and write the paths down")]
        )
    with_model[0]["spec"] = {**with_model[0]["spec"], "model": str(model)}


def _loaded(document: Json, spec: ServiceSpec, folder: Path) -> Loaded:
    source = spec.source
    model = source.model if isinstance(source, ModelSource) else None
    files = None if isinstance(source, ModelSource) else source.files
    places = {"model": model, "files": files, "golden": spec.golden}
    found = {name: folder / place if place is not None else None for name, place in places.items()}
    return Loaded(document=document, spec=spec, **found)


def _missing(loaded: Loaded, path: str) -> Iterator[Problem]:
    """Sources that are not there or not what they should be; golden requests are read whole."""
    written = wanted_sources(loaded.spec)
    for name, place in (("model", loaded.model), ("files", loaded.files), ("golden", loaded.golden)):
        if place is None:
            continue
        at = f"{path}/{name}"
        if "://" in written[name]:
            yield Problem(
                path=at, found="is a URI, and one machine takes only paths", hint="download it first"
            )
        elif not place.exists():
            yield Problem(
                path=at, found=f"{place} is not there", hint="paths start from the file's own folder"
            )
        elif name == "files" and not place.is_dir():
            yield Problem(path=at, found=f"{place} is not a folder", hint="it becomes the working directory")
        elif name == "golden":
            yield from _golden_problems(loaded, place)


def golden_of(loaded: Loaded) -> tuple[GoldenRequest, ...]:
    """The golden requests that a service names. Raises ProblemsError with all that is wrong with them."""
    if loaded.golden is None:
        return ()
    text = loaded.golden.read_text(encoding="utf-8")
    return read_golden(text, str(loaded.spec.golden), default_path(loaded.spec))


def _golden_problems(loaded: Loaded, place: Path) -> tuple[Problem, ...]:
    if not place.is_file():
        return (Problem(path=str(place), found="is not a file", hint="one JSON object per line"),)
    try:
        golden_of(loaded)
    except UnicodeDecodeError:
        return (Problem(path=str(place), found="is not UTF-8 text", hint="one JSON object per line"),)
    except ProblemsError as error:
        return error.problems
    return ()
