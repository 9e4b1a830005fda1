"""What both sides of the API must agree on about a spec: which sources it names, and where golden requests go."""

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
