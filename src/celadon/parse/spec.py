"""A spec as people write it into `ServiceSpec`, or into all of its problems at once."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from celadon.domain.names import ServiceKey
from celadon.domain.problem import Problem, ProblemsError
from celadon.domain.spec import (
    CommandSource,
    Exactly,
    ModelSource,
    Redundancy,
    Resources,
    Retry,
    RetryWhen,
    RouteSpec,
    SecretEnv,
    SecretFile,
    ServiceSpec,
    Serving,
    Survives,
)
from celadon.parse import claims, defaults, meaning, shape, text
from celadon.parse.complaint import Complaint, complaint
from celadon.parse.fields import memory_bytes
from celadon.parse.release_policy import policy

LINE = re.compile(r"\blines? [0-9]")
"""What says its line itself, such as a key that is there twice."""


def read_text(source: str, where: str) -> tuple[ServiceSpec, ...]:
    """The services of one YAML file. where: what the file is called in problems. Raises ProblemsError."""
    documents, problems = text.load(source, where)
    return _read(documents, where, problems)


def load_text(source: str, where: str) -> tuple[dict[str, Any], ...]:
    """The same file as plain documents, checked like `read_text`: what a door sends on. Raises ProblemsError."""
    read_text(source, where)
    documents, _ = text.load(source, where)
    return tuple(document.value for document in documents)


def read_documents(documents: Sequence[Any], where: str) -> tuple[ServiceSpec, ...]:
    """The services of documents that are plain values already. Raises ProblemsError with all of all documents."""
    if not documents:
        raise ProblemsError([Problem(path=where, found="holds no document")])
    return _read([text.Document(value=value) for value in documents], where, [])


def _read(documents: Sequence[text.Document], where: str, before: list[Problem]) -> tuple[ServiceSpec, ...]:
    problems = list(before)
    specs: list[tuple[int, ServiceSpec]] = []
    for number, document in enumerate(documents, start=1):
        spec, complaints = _one(document)
        problems += [_problem(f"{where}#{number}", document, each) for each in complaints]
        if spec is not None:
            specs.append((number, spec))
    problems += _between(specs, where)
    if problems:
        raise ProblemsError(problems)
    return tuple(spec for _, spec in specs)


def _one(document: text.Document) -> tuple[ServiceSpec | None, list[Complaint]]:
    """The spec (None when its shape is wrong) and everything that is wrong with it."""
    if text.too_deep(document.value, text.DEPTH_MAX):
        return None, [((), "is nested too deep for a service", "")]
    value, complaints = meaning.empty(document.value)
    complaints = [*document.problems, *complaints]
    if not isinstance(value, dict):
        return None, [*complaints, ((), "is not a mapping of options", "apiVersion, kind, metadata, spec")]
    complaints += meaning.complaints(value)
    taken = {path for path, _, _ in complaints}
    shaped: shape.Document | None = None
    try:
        shaped = shape.Document.model_validate(value)
    except ValidationError as error:
        found = [complaint(each) for each in error.errors(include_url=False)]
        complaints += [each for each in found if each[0] not in taken]
    if complaints or shaped is None:
        return None, sorted(complaints, key=lambda each: _line(document, each[0]) or 0)
    return to_domain(shaped), []


def _line(document: text.Document, path: text.Path) -> int | None:
    """The line of an option, or of the nearest thing around it."""
    while path and path not in document.lines:
        path = path[:-1]
    return document.lines.get(path)


def _problem(prefix: str, document: text.Document, each: Complaint) -> Problem:
    path, found, hint = each
    line = _line(document, path)
    suffix = f" (line {line})" if line is not None and not LINE.search(found) else ""
    return Problem(path="/".join([prefix, *map(str, path)]), found=found + suffix, hint=hint)


def _between(specs: Sequence[tuple[int, ServiceSpec]], where: str) -> list[Problem]:
    problems = []
    for index, (number, spec) in enumerate(specs):
        for earlier, other in specs[:index]:
            if other.service == spec.service:
                found = f"{spec.service} is also the service of document {earlier}"
                problems.append(
                    Problem(path=f"{where}#{number}/metadata/name", found=found, hint="rename one")
                )
            elif (clash := claims.clashes(other.route, spec.route)) is not None:
                found = f"{clash} (services {other.service} and {spec.service})"
                problems.append(
                    Problem(path=f"{where}#{number}/spec/route", found=found, hint="give one another port")
                )
    return problems


def to_domain(document: shape.Document) -> ServiceSpec:
    """The words of the house for a document that is right."""
    spec = document.spec
    source, replicas, redundancy = _source(spec), Exactly(replicas=spec.replicas), _redundancy(spec)
    attempts = defaults.retry_attempts(replicas.wanted, redundancy)
    return ServiceSpec(
        service=ServiceKey(namespace=document.metadata.namespace, name=document.metadata.name),
        source=source,
        serving=Serving(
            version=spec.serving.version,
            threads=spec.serving.threads,
            max_body_bytes=spec.serving.max_body_bytes,
        ),
        golden=spec.golden,
        env=tuple(sorted(spec.env.items())),
        secrets=tuple(sorted((name, _secret(place)) for name, place in spec.secrets.items())),
        ready=spec.ready or defaults.READY_OF_MODEL,
        resources=_resources(spec.resources),
        replicas=replicas,
        redundancy=redundancy,
        route=_route(spec.route, source, attempts),
        drain_s=spec.drain_seconds,
        release=policy(spec.release, source),
    )


def _source(spec: shape.Spec) -> ModelSource | CommandSource:
    if spec.model is not None:
        return ModelSource(model=spec.model)
    assert spec.command is not None, "meaning has let a document without model and command pass"
    return CommandSource(command=tuple(spec.command), files=spec.files)


def _secret(place: shape.Secret) -> SecretFile | SecretEnv:
    if place.file is not None:
        return SecretFile(file=place.file)
    assert place.env is not None, "meaning has let an empty secret pass"
    return SecretEnv(env=place.env)


def _resources(given: shape.Resources) -> Resources:
    memory = None if given.memory is None else memory_bytes(given.memory)
    return Resources(cpus=given.cpus, memory_bytes=memory)


def _redundancy(spec: shape.Spec) -> Redundancy:
    given = spec.redundancy
    usual = defaults.survives(spec.replicas, len(given.zones))
    return Redundancy(
        zones=tuple(given.zones),
        survives=usual if given.survives is None else Survives(given.survives),
        standby=given.standby,
        hang_s=given.hang_seconds,
    )


def _route(given: shape.Route, source: ModelSource | CommandSource, attempts: int) -> RouteSpec:
    """attempts: how often a request is sent again where the file does not say."""
    when = defaults.retry_when(source) if given.retry.when is None else RetryWhen(given.retry.when)
    return RouteSpec(
        host=given.host,
        port=given.port,
        hostnames=tuple(dict.fromkeys(given.hostnames)),
        prefix=given.prefix,
        preview_port=given.preview_port or defaults.preview_port(given.port),
        timeout_s=given.timeout_seconds,
        retry=Retry(
            when=when,
            attempts=given.retry.attempts or attempts,
            per_try_s=given.retry.per_try_seconds,
        ),
    )
