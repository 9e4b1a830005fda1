"""What a plan or a deploy brings: documents as people wrote them, and the digests of the sources they name."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from celadon.control import accept
from celadon.domain.names import DIGEST, Digest
from celadon.domain.problem import Problem, ProblemsError
from celadon.domain.spec import ServiceSpec
from celadon.doors.api.session import Session
from celadon.doors.offered import default_path, wanted_sources
from celadon.parse.golden import read_golden
from celadon.parse.spec import read_documents

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One service that somebody wants to be live, read and checked, with its sources uploaded."""

    spec: ServiceSpec
    trees: Mapping[str, Digest]
    golden: Digest | None
    labels: tuple[tuple[str, str], ...]
    expect_blue: str | None

    def preview(self, session: Session) -> accept.Difference:
        """What accepting would change. Raises ProblemsError for what forbids it."""
        return accept.preview(session.engine, self.spec, self.trees, self.golden)

    def accept(self, session: Session) -> accept.Accepted:
        """Journal it."""
        return accept.accept(
            session.engine,
            self.spec,
            self.trees,
            self.golden,
            labels=self.labels,
            expect_blue=self.expect_blue,
        )

    def seq(self, session: Session) -> int:
        """Where the service's journal stands."""
        return session.engine.memory(self.spec.service).seq


async def read_offer(session: Session, body: Json) -> tuple[Offer, ...]:
    """Every service of a request. Raises ProblemsError with all that is wrong with all of them."""
    problems: list[Problem] = []
    where = body.get("where", "service")
    documents, sources = body.get("documents"), body.get("sources")
    labels, expect_blue = body.get("labels", {}), body.get("expect_blue")
    if not isinstance(where, str) or not isinstance(documents, list):
        raise ProblemsError([Problem(path="documents", found="is not a list of services", hint=SHAPE)])
    if not isinstance(sources, list) or len(sources) != len(documents):
        raise ProblemsError(
            [Problem(path="sources", found="is not one object for each document", hint=SHAPE)]
        )
    problems += _asked(labels, expect_blue, len(documents))
    specs = read_documents(documents, where)
    offers = []
    for number, (spec, given) in enumerate(zip(specs, sources, strict=True)):
        found = await _sources(session, spec, given, f"sources/{number}")
        problems += found
        if not problems:
            golden = given.get("golden")
            trees = {name: Digest(given[name]) for name in ("model", "files") if name in given}
            pairs = tuple(sorted(labels.items()))
            offers.append(Offer(spec=spec, trees=trees, golden=golden, labels=pairs, expect_blue=expect_blue))
    if problems:
        raise ProblemsError(problems)
    return tuple(offers)


SHAPE = '{"documents": [...], "sources": [{"model": "sha256:...", "golden": "sha256:..."}]}'

LABELS_MAX = 32
LABEL_BYTES_MAX = 256


def _asked(labels: Any, expect_blue: Any, documents: int) -> list[Problem]:
    problems = []
    fine = isinstance(labels, dict) and all(
        isinstance(value, str) and key and len(key) + len(value) <= LABEL_BYTES_MAX
        for key, value in labels.items()
    )
    if not fine or len(labels) > LABELS_MAX:
        found = f"is not at most {LABELS_MAX} short texts by name"
        problems.append(Problem(path="labels", found=found, hint='{"commit": "1a2b3c"}'))
    if not isinstance(expect_blue, str | None):
        problems.append(Problem(path="expect_blue", found="is not the name of a revision"))
    if expect_blue is not None and documents > 1:
        found = f"is one revision, and there are {documents} services"
        problems.append(Problem(path="expect_blue", found=found, hint="deploy them one by one"))
    return problems


async def _sources(session: Session, spec: ServiceSpec, given: Any, path: str) -> list[Problem]:
    """Whether what was uploaded is what the spec names; golden requests are read here, so that they fail at once."""
    wanted = wanted_sources(spec)
    if not isinstance(given, dict) or set(given) != set(wanted):
        hint = f"exactly these: {', '.join(wanted) or 'none'}"
        return [Problem(path=path, found=f"are not the digests of what {spec.service} names", hint=hint)]
    problems = []
    for name, digest in given.items():
        if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
            problems.append(Problem(path=f"{path}/{name}", found="is not a digest", hint="sha256:..."))
        elif not await asyncio.to_thread(session.models.has, Digest(digest)):
            problems.append(
                Problem(
                    path=f"{path}/{name}", found=f"{digest} was not uploaded", hint=f"PUT /v1/blobs/{digest}"
                )
            )
    if not problems and "golden" in given:
        problems += await asyncio.to_thread(_golden, session, spec, Digest(given["golden"]))
    return problems


def _golden(session: Session, spec: ServiceSpec, digest: Digest) -> tuple[Problem, ...]:
    try:
        text = session.models.blob(digest).read_bytes().decode()
        read_golden(text, spec.golden or "golden", default_path(spec))
    except UnicodeDecodeError:
        return (
            Problem(path=spec.golden or "golden", found="is not UTF-8 text", hint="one JSON object per line"),
        )
    except ProblemsError as error:
        return error.problems
    return ()
