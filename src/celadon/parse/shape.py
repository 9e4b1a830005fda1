"""The shape of a spec as people write it: names, types, units and limits of single fields.

What takes two fields to judge is in `meaning`; `release` has a file of its own. The published JSON Schema is made
from these classes.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, field_validator
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from celadon.parse import defaults
from celadon.parse.fields import (
    MEMORY,
    EnvName,
    Hostname,
    Name,
    Port,
    Prefix,
    Seconds,
    SecondsOrNone,
    Shape,
    Source,
    Text,
    UrlPath,
    enough_memory,
    ip_address,
)
from celadon.parse.release_shape import Release

API_VERSION = "celadon.dev/v1alpha1"
KIND = "ModelService"


class Metadata(Shape):
    """What the service is called."""

    name: Name
    """The service's name, also the model's name in the protocols."""
    namespace: Name = defaults.NAMESPACE
    """Groups services; (namespace, name) is unique."""


class Serving(Shape):
    """Settings of celadon's own model server."""

    version: Annotated[int, Field(ge=1, le=2**53 - 1)] = defaults.VERSION
    """The model's version in the protocols, part of what a revision is."""
    threads: Annotated[int, Field(ge=1, le=1024)] = defaults.THREADS
    """Threads inside one prediction."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=2**31 - 1)] = defaults.MAX_BODY_BYTES
    """Largest request body that is read, in bytes."""


class Secret(Shape):
    """Where a secret is read: exactly one of `file` and `env`."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["file"]}, {"required": ["env"]}]})

    file: Annotated[str, Field(pattern=r"^/[^\x00\r\n]*$", max_length=4096)] | None = None
    """Absolute path of a file on the machine that runs the replicas."""
    env: EnvName | None = None
    """Environment variable of the daemon."""


class Resources(Shape):
    """Limits of one replica."""

    cpus: Annotated[float, Field(gt=0, le=4096)] | None = None
    """Cores, fractions allowed."""
    memory: (
        Annotated[str, Field(pattern=rf"^{MEMORY.pattern}$", max_length=32), AfterValidator(enough_memory)]
        | None
    ) = None
    """A number with its unit: Ki, Mi, Gi, Ti (powers of 1024) or k, M, G, T (powers of 1000)."""


class Retry(Shape):
    """Which failed requests the proxy repeats on another replica."""

    when: Literal["never", "beforeSent", "reset"] | None = None
    """`never`, `beforeSent` (no byte had reached the replica) or `reset` (also when the connection broke)."""
    attempts: Annotated[int, Field(ge=1, le=defaults.RETRY_ATTEMPTS_MAX)] | None = None
    """How many times at most one request is sent again; so often that it outlives what the service does, if not said."""
    per_try_seconds: Annotated[float, Field(ge=0.001, le=defaults.DAY_S)] | None = None
    """How long a try is waited for whose answer has not begun, seconds; then it is sent elsewhere."""


class Route(Shape):
    """Where clients reach the service."""

    host: Annotated[str, Field(max_length=64), AfterValidator(ip_address)] = defaults.HOST
    """IP address to listen on."""
    port: Port
    """TCP port to listen on."""
    hostnames: Annotated[list[Hostname], Field(min_length=1, max_length=100)] = Field(
        default=list(defaults.HOSTNAMES)
    )
    """Host names of the requests that are meant: `*`, a name, or `*.` and a name."""
    prefix: Prefix = defaults.PREFIX
    """Beginning of the paths that are meant, in whole segments."""
    preview_port: Port | None = None
    """Port on loopback that always reaches green."""
    timeout_seconds: Seconds | None = None
    """Longest a request may take, seconds."""
    retry: Retry = Retry()
    """Which failed requests the proxy repeats on another replica."""


class Redundancy(Shape):
    """What may be lost while the service goes on."""

    zones: Annotated[list[Name], Field(max_length=100, json_schema_extra={"uniqueItems": True})] = Field(
        default=[]
    )
    """Names of the zones over which replicas are dealt in turn."""
    survives: Literal["nothing", "replica", "zone"] | None = None
    """What may be lost at once while the rest carries every request."""
    standby: Annotated[int, Field(ge=0, le=1000)] = defaults.STANDBY
    """Replicas of a second set, which gets only what the first can not carry."""
    hang_seconds: Annotated[float, Field(ge=0.2, le=600)] = defaults.HANG_S
    """How long a replica may answer nobody before it gets no more requests, seconds."""

    @field_validator("zones")
    @classmethod
    def _once(cls, value: list[str]) -> list[str]:
        twice = sorted({name for name in value if value.count(name) > 1})
        if twice:
            raise ValueError(f"names a zone twice: {', '.join(twice)}")
        return value


class Spec(Shape):
    """What to run, where it is reached and how it is released: exactly one of `model` and `command`."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {
                    "required": ["model"],
                    "properties": {"command": False, "files": False, "ready": False},
                },
                {
                    "required": ["command", "ready"],
                    "properties": {"model": False, "serving": False},
                },
            ]
        }
    )

    model: Source | None = None
    """Path of an ONNX file, or of a folder that holds `model.onnx`."""
    command: Annotated[list[Text], Field(min_length=1, max_length=1000)] | None = None
    """Argument list of any HTTP server; `{port}` stands for the port it must listen on."""
    files: Source | None = None
    """Folder that is hashed, copied and made the command's working directory."""
    serving: Serving = Serving()
    """Settings of celadon's own model server."""
    golden: Source | None = None
    """Path of the golden requests, one JSON object per line."""
    env: dict[EnvName, Text] = Field(default={})
    """Environment variables of the replicas."""
    secrets: dict[EnvName, Secret] = Field(default={})
    """Environment variables whose values are read from elsewhere and never kept."""
    ready: UrlPath | None = None
    """Path that answers 2xx when a replica can serve."""
    resources: Resources = Resources()
    """Limits of one replica."""
    replicas: Annotated[int, Field(ge=1, le=1000)] = defaults.REPLICAS
    """How many replicas run."""
    redundancy: Redundancy = Redundancy()
    """What may be lost while the service goes on."""
    route: Route
    """Where clients reach the service."""
    drain_seconds: SecondsOrNone = defaults.DRAIN_S
    """How long a replica that gets no new requests may finish the ones it has, seconds."""
    release: Release = Release()
    """How a new revision takes over."""

    @field_validator("env", "secrets")
    @classmethod
    def _not_reserved(cls, value: dict[str, Any]) -> dict[str, Any]:
        reserved = sorted(name for name in value if name.startswith("CELADON_"))
        if reserved:
            raise ValueError(f"names beginning with CELADON_ are celadon's own: {', '.join(reserved)}")
        return value


class Document(Shape):
    """One service, as one YAML document."""

    api_version: Literal["celadon.dev/v1alpha1"]
    """Version of this format."""
    kind: Literal["ModelService"]
    """What this document is."""
    metadata: Metadata
    """What the service is called."""
    spec: Spec
    """What to run, where it is reached and how it is released."""


class _Plain(GenerateJsonSchema):
    """Options are left out, never null, so the schema does not offer null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        default = made.pop("default", None)
        if isinstance(default, dict):
            default = {name: value for name, value in default.items() if value is not None}
        return made if default is None else {**made, "default": default}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        made = super().dict_schema(schema)
        if patterns := made.pop("patternProperties", None):
            ((pattern, value),) = patterns.items()
            made |= {"propertyNames": {"pattern": pattern}, "additionalProperties": value}
        return made


def json_schema() -> dict[str, Any]:
    """The published JSON Schema (2020-12) of one document."""
    made = Document.model_json_schema(schema_generator=_Plain)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": KIND, **made}
