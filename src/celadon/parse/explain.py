"""Every option of a spec with the value it has, and what of it was left to its default."""

from collections.abc import Iterator
from typing import Any

from celadon.domain.spec import (
    Between,
    CommandSource,
    Exactly,
    ModelSource,
    SecretFile,
    ServiceSpec,
)
from celadon.parse import defaults
from celadon.parse.release_explained import Explained, explain_release

MEMORY_UNITS = ((2**40, "Ti"), (2**30, "Gi"), (2**20, "Mi"), (2**10, "Ki"))


def explain(spec: ServiceSpec) -> list[Explained]:
    """Every option with its value, in the order of the reference file. A value None means none is set."""
    return [
        ("metadata/name", spec.service.name, False),
        _one("metadata/namespace", spec.service.namespace, defaults.NAMESPACE),
        *_runtime(spec),
        *_redundancy(spec),
        *_route(spec),
        _one("spec/drainSeconds", spec.drain_s, defaults.DRAIN_S),
        *explain_release(spec),
    ]


def _one(path: str, value: Any, default: Any) -> Explained:
    return (path, value, value == default)


def _runtime(spec: ServiceSpec) -> Iterator[Explained]:
    match spec.source:
        case ModelSource(model=model):
            yield ("spec/model", model, False)
            yield _one("spec/serving/version", spec.serving.version, defaults.VERSION)
            yield _one("spec/serving/threads", spec.serving.threads, defaults.THREADS)
            yield _one("spec/serving/maxBodyBytes", spec.serving.max_body_bytes, defaults.MAX_BODY_BYTES)
        case CommandSource(command=command, files=files):
            yield ("spec/command", list(command), False)
            yield _one("spec/files", files, None)
    yield _one("spec/golden", spec.golden, None)
    yield _one("spec/env", dict(spec.env), {})
    yield _one("spec/secrets", {name: _place(secret) for name, secret in spec.secrets}, {})
    yield ("spec/ready", spec.ready, isinstance(spec.source, ModelSource))
    yield _one("spec/resources/cpus", spec.resources.cpus, None)
    yield _one("spec/resources/memory", _memory(spec.resources.memory_bytes), None)
    yield _one("spec/replicas", _count(spec.replicas), defaults.REPLICAS)


def _redundancy(spec: ServiceSpec) -> Iterator[Explained]:
    given = spec.redundancy
    usual = defaults.survives(spec.replicas.wanted, len(given.zones))
    yield _one("spec/redundancy/zones", list(given.zones), [])
    yield _one("spec/redundancy/survives", given.survives.value, usual.value)
    yield _one("spec/redundancy/standby", given.standby, defaults.STANDBY)
    yield _one("spec/redundancy/hangSeconds", given.hang_s, defaults.HANG_S)


def _memory(size: int | None) -> str | None:
    if size is None:
        return None
    power, unit = next(((power, unit) for power, unit in MEMORY_UNITS if size % power == 0), (1, " bytes"))
    return f"{size // power}{unit}"


def _place(secret: Any) -> dict[str, str]:
    return {"file": secret.file} if isinstance(secret, SecretFile) else {"env": secret.env}


def _count(replicas: Exactly | Between) -> Any:
    if isinstance(replicas, Exactly):
        return replicas.replicas
    return {"min": replicas.replicas_min, "max": replicas.replicas_max}


def _route(spec: ServiceSpec) -> Iterator[Explained]:
    route = spec.route
    yield _one("spec/route/host", route.host, defaults.HOST)
    yield ("spec/route/port", route.port, False)
    yield _one("spec/route/hostnames", list(route.hostnames), list(defaults.HOSTNAMES))
    yield _one("spec/route/prefix", route.prefix, defaults.PREFIX)
    yield _one("spec/route/previewPort", route.preview_port, defaults.preview_port(route.port))
    yield _one("spec/route/timeoutSeconds", route.timeout_s, None)
    yield _one("spec/route/retry/when", route.retry.when.value, defaults.retry_when(spec.source).value)
    usual = defaults.retry_attempts(spec.replicas.wanted, spec.redundancy)
    yield _one("spec/route/retry/attempts", route.retry.attempts, usual)
    yield _one("spec/route/retry/perTrySeconds", route.retry.per_try_s, None)
