"""What both sides of the API must agree on: which sources a spec names, where golden requests go, which drills there are."""

from typing import Any

from celadon.domain.drill import OF_ALL_SERVICES, DrillKind
from celadon.domain.golden import predict_path
from celadon.domain.spec import ModelSource, ServiceSpec


def wanted_sources(spec: ServiceSpec) -> dict[str, str]:
    """The sources that a spec names, by their option, each as it was written."""
    source = spec.source
    named = {"model": source.model} if isinstance(source, ModelSource) else {"files": source.files}
    return {key: value for key, value in {**named, "golden": spec.golden}.items() if value is not None}


def default_path(spec: ServiceSpec) -> str | None:
    """Where golden requests of a `model:` service go that name no path."""
    return predict_path(spec.service) if isinstance(spec.source, ModelSource) else None


SAYS: dict[DrillKind, str] = {
    DrillKind.KILL_REPLICA: "SIGKILL to one replica",
    DrillKind.HANG_REPLICA: "SIGSTOP to one replica, which goes on when the drill is over",
    DrillKind.KILL_ZONE: "SIGKILL to every replica of one zone",
    DrillKind.KILL_PROXY: "SIGKILL to one Envoy; every service is behind it",
    DrillKind.KILL_DAEMON: "SIGKILL to the daemon, which is started again",
    DrillKind.KILL_FIRST_PRIORITY: "SIGKILL to every replica but those of the standby set",
    DrillKind.FILL_DISK: "the journal gets no page more, as on a full disk; nothing can be decided for any service",
    DrillKind.FREEZE_METRICS: "the counters that the judge reads stand still",
}


def drill_kinds() -> list[dict[str, Any]]:
    """Every kind of drill, as the API tells them."""
    return [
        {"kind": kind.value, "says": SAYS[kind], "reaches_all_services": kind in OF_ALL_SERVICES}
        for kind in DrillKind
    ]
