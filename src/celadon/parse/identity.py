"""What a revision is called: a hash over what is run, and over nothing else.

The name must never change for the same content, whatever happens to defaults later: `PLAIN` holds the values
that are left out of the hash for ever, whether or not they are still the defaults that people get.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import rfc8785

from celadon.domain.names import Digest, RevisionId, ServiceKey
from celadon.domain.revision import CommandRuntime, ModelRuntime, Revision, Secret
from celadon.domain.spec import CommandSource, ModelSource, Resources, ServiceSpec, Serving, Settings

FORMAT = 1
"""Of the content that is hashed. A higher one gives every revision another name."""

PLAIN = {"version": 1, "threads": 1, "max_body_bytes": 16_777_216, "ready_of_model": "/healthz/ready"}


def revision_of(
    spec: ServiceSpec, trees: Mapping[str, Digest], secret_digests: Mapping[str, str]
) -> Revision:
    """The revision of a spec whose sources have been read.

    trees: the digest of `model`, or of `files` where the command has any. secret_digests: per secret's name, the
    keyed digest of its value. The service's name, replicas, route, release policy and golden requests are no
    part of it, and neither is the place that a secret is read from.
    """
    runtime = _runtime(spec, trees)
    secrets = tuple(
        Secret(name=name, source=source, keyed_digest=secret_digests[name])
        for name, source in sorted(spec.secrets)
    )
    digest = hashlib.sha256(rfc8785.dumps(content(spec, runtime, secret_digests))).hexdigest()
    return Revision(
        id=RevisionId(digest[:12]),
        digest=digest,
        runtime=runtime,
        env=tuple(sorted(spec.env)),
        secrets=secrets,
        ready=spec.ready,
        resources=spec.resources,
    )


def settings_of(spec: ServiceSpec, golden: Digest | None) -> Settings:
    """What of a spec may change without a new revision. golden: digest of the golden requests."""
    return Settings(
        replicas=spec.replicas,
        route=spec.route,
        drain_s=spec.drain_s,
        release=spec.release,
        golden=golden,
        redundancy=spec.redundancy,
    )


def spec_of(service: ServiceKey, revision: Revision, settings: Settings) -> ServiceSpec:
    """The spec that leads to this revision under these settings, with digests in the place of its sources."""
    source: ModelSource | CommandSource
    match revision.runtime:
        case ModelRuntime(model=model, serving=serving):
            source = ModelSource(model=model)
        case CommandRuntime(command=command, files=files):
            source, serving = CommandSource(command=command, files=files), Serving()
    return ServiceSpec(
        service=service,
        source=source,
        serving=serving,
        golden=settings.golden,
        env=revision.env,
        secrets=tuple((secret.name, secret.source) for secret in revision.secrets),
        ready=revision.ready,
        resources=revision.resources,
        replicas=settings.replicas,
        redundancy=settings.redundancy,
        route=settings.route,
        drain_s=settings.drain_s,
        release=settings.release,
    )


def content(
    spec: ServiceSpec, runtime: ModelRuntime | CommandRuntime, secret_digests: Mapping[str, str]
) -> dict[str, Any]:
    """What is hashed: plain JSON, without everything that says nothing."""
    made = {
        "format": FORMAT,
        **_content(runtime),
        "env": dict(spec.env),
        "secrets": {name: secret_digests[name] for name, _ in spec.secrets},
        "ready": _unless(spec.ready, PLAIN["ready_of_model"] if isinstance(runtime, ModelRuntime) else None),
        "resources": _resources(spec.resources),
    }
    return {key: value for key, value in made.items() if value not in (None, {})}


def _runtime(spec: ServiceSpec, trees: Mapping[str, Digest]) -> ModelRuntime | CommandRuntime:
    match spec.source:
        case ModelSource():
            return ModelRuntime(model=trees["model"], serving=spec.serving)
        case CommandSource(command=command, files=files):
            return CommandRuntime(command=command, files=None if files is None else trees["files"])


def _content(runtime: ModelRuntime | CommandRuntime) -> dict[str, Any]:
    match runtime:
        case ModelRuntime(model=model, serving=serving):
            settings = {
                "version": _unless(serving.version, PLAIN["version"]),
                "threads": _unless(serving.threads, PLAIN["threads"]),
                "maxBodyBytes": _unless(serving.max_body_bytes, PLAIN["max_body_bytes"]),
            }
            return {
                "model": model,
                "serving": {key: value for key, value in settings.items() if value is not None},
            }
        case CommandRuntime(command=command, files=files):
            return {"command": list(command), "files": files}


def _resources(resources: Resources) -> dict[str, Any]:
    given = {"cpus": resources.cpus, "memoryBytes": resources.memory_bytes}
    return {key: value for key, value in given.items() if value is not None}


def _unless(value: Any, plain: Any) -> Any:
    return None if value == plain else value
