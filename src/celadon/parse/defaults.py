"""Every default there is, in one place, and what of a spec was left to it."""

from collections.abc import Iterator
from typing import Any, Literal

from celadon.domain.spec import (
    Between,
    CommandSource,
    Exactly,
    ModelSource,
    RetryWhen,
    SecretFile,
    ServiceSpec,
)

NAMESPACE = "default"
VERSION = 1
THREADS = 1
MAX_BODY_BYTES = 16 * 1024 * 1024
READY_OF_MODEL = "/healthz/ready"
REPLICAS = 1
HOST = "127.0.0.1"
HOSTNAMES = ("*",)
PREFIX = "/"
RETRY_ATTEMPTS = 2
DRAIN_S = 30.0
GATE = False
START_S = 120.0
PROVE_S = 60.0
WATCH_S = 60.0
REQUESTS_MIN = 50
ERROR_PERCENT_MAX = 2.0
LATENCY_MS_P95_MAX = 1000.0
DEADLINE_S = 900.0
ON_DEADLINE: Literal["hold"] = "hold"
HOLD_S = 3600.0

PREVIEW_PORT_OFFSET = 10_000
PORT_MAX = 65_535

MEMORY_UNITS = ((2**40, "Ti"), (2**30, "Gi"), (2**20, "Mi"), (2**10, "Ki"))

Explained = tuple[str, Any, bool]
"""A path as `spec/route/port`, the value as a person would write it, and whether it is the default."""


def preview_port(port: int) -> int:
    """The preview port of a service that names none: 10,000 above its port, or below where that is no port."""
    above = port + PREVIEW_PORT_OFFSET
    return above if above <= PORT_MAX else port - PREVIEW_PORT_OFFSET


def retry_when(source: ModelSource | CommandSource) -> RetryWhen:
    """Predictions are pure, so they may be repeated; what a command does is not known."""
    return RetryWhen.RESET if isinstance(source, ModelSource) else RetryWhen.BEFORE_SENT


def explain(spec: ServiceSpec) -> list[Explained]:
    """Every option with its value, in the order of the reference file. A value None means none is set."""
    return [
        ("metadata/name", spec.service.name, False),
        _one("metadata/namespace", spec.service.namespace, NAMESPACE),
        *_runtime(spec),
        *_route(spec),
        _one("spec/drainSeconds", spec.drain_s, DRAIN_S),
        *_release(spec),
    ]


def _one(path: str, value: Any, default: Any) -> Explained:
    return (path, value, value == default)


def _runtime(spec: ServiceSpec) -> Iterator[Explained]:
    match spec.source:
        case ModelSource(model=model):
            yield ("spec/model", model, False)
            yield _one("spec/serving/version", spec.serving.version, VERSION)
            yield _one("spec/serving/threads", spec.serving.threads, THREADS)
            yield _one("spec/serving/maxBodyBytes", spec.serving.max_body_bytes, MAX_BODY_BYTES)
        case CommandSource(command=command, files=files):
            yield ("spec/command", list(command), False)
            yield _one("spec/files", files, None)
    yield _one("spec/golden", spec.golden, None)
    yield _one("spec/env", dict(spec.env), {})
    yield _one("spec/secrets", {name: _place(secret) for name, secret in spec.secrets}, {})
    yield ("spec/ready", spec.ready, isinstance(spec.source, ModelSource))
    yield _one("spec/resources/cpus", spec.resources.cpus, None)
    yield _one("spec/resources/memory", _memory(spec.resources.memory_bytes), None)
    yield _one("spec/replicas", _count(spec.replicas), REPLICAS)


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
    yield _one("spec/route/host", route.host, HOST)
    yield ("spec/route/port", route.port, False)
    yield _one("spec/route/hostnames", list(route.hostnames), list(HOSTNAMES))
    yield _one("spec/route/prefix", route.prefix, PREFIX)
    yield _one("spec/route/previewPort", route.preview_port, preview_port(route.port))
    yield _one("spec/route/timeoutSeconds", route.timeout_s, None)
    yield _one("spec/route/retry/when", route.retry.when.value, retry_when(spec.source).value)
    yield _one("spec/route/retry/attempts", route.retry.attempts, RETRY_ATTEMPTS)


def _release(spec: ServiceSpec) -> Iterator[Explained]:
    release, watch = spec.release, spec.release.watch
    yield _one("spec/release/gate", release.gate, GATE)
    yield _one("spec/release/startSeconds", release.start_s, START_S)
    yield _one("spec/release/proveSeconds", release.prove_s, PROVE_S)
    yield _one("spec/release/watch/seconds", watch.watch_s, WATCH_S)
    yield _one("spec/release/watch/minRequests", watch.requests_min, REQUESTS_MIN)
    yield _one("spec/release/watch/maxErrorPercent", round(watch.error_share_max * 100, 9), ERROR_PERCENT_MAX)
    yield _one("spec/release/watch/maxLatencyMsP95", watch.latency_ms_p95_max, LATENCY_MS_P95_MAX)
    yield _one("spec/release/watch/deadlineSeconds", watch.deadline_s, DEADLINE_S)
    yield _one("spec/release/watch/onDeadline", watch.on_deadline.value, ON_DEADLINE)
    yield _one("spec/release/holdSeconds", release.hold_s, HOLD_S)
