"""The shape of a spec as people write it: names, types, units and limits of single fields.

What takes two fields to judge is in `meaning`. The published JSON Schema is made from these classes.
"""

import ipaddress
import math
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from celadon.parse import defaults

API_VERSION = "celadon.dev/v1alpha1"
KIND = "ModelService"

DAY_S = 86_400
MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(Ki|Mi|Gi|Ti|k|M|G|T)")
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def memory_bytes(text: str) -> int:
    """`512Mi` in bytes."""
    found = MEMORY.fullmatch(text)
    assert found is not None, text
    return math.floor(float(found[1]) * UNITS[found[2]])


def _memory(text: str) -> str:
    if memory_bytes(text) < 2**20:
        raise ValueError("is less than one mebibyte, in which no server can run")
    return text


def _ip(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(
            "is not an IP address; 127.0.0.1 is this machine alone, 0.0.0.0 is everybody"
        ) from None
    return text


def _local(text: str) -> str:
    if "://" in text:
        raise ValueError("is a URI, and only paths are read so far; fetch it and give the path")
    return text


Name = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")]
EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=256)]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=65_536)]
Source = Annotated[str, Field(pattern=r"^[^\x00\r\n]+$", max_length=4096), AfterValidator(_local)]
UrlPath = Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=2048)]
Prefix = Annotated[str, Field(pattern=r"^/[!-\"$->@-~]*$", max_length=2048)]
Hostname = Annotated[
    str,
    Field(
        pattern=r"^(\*|(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*)$",
        max_length=253,
    ),
]
Port = Annotated[int, Field(ge=1, le=defaults.PORT_MAX)]
Seconds = Annotated[float, Field(gt=0, le=30 * DAY_S)]
SecondsOrNone = Annotated[float, Field(ge=0, le=365 * DAY_S)]


class Shape(BaseModel):
    """Unknown keys, wrong types, NaN and infinities are refused; nothing is converted silently."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        alias_generator=to_camel,
        use_attribute_docstrings=True,
    )


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
        Annotated[str, Field(pattern=rf"^{MEMORY.pattern}$", max_length=32), AfterValidator(_memory)] | None
    ) = None
    """A number with its unit: Ki, Mi, Gi, Ti (powers of 1024) or k, M, G, T (powers of 1000)."""


class Retry(Shape):
    """Which failed requests the proxy repeats on another replica."""

    when: Literal["never", "beforeSent", "reset"] | None = None
    """`never`, `beforeSent` (no byte had reached the replica) or `reset` (also when the connection broke)."""
    attempts: Annotated[int, Field(ge=1, le=10)] = defaults.RETRY_ATTEMPTS
    """How many times at most one request is sent again."""


class Route(Shape):
    """Where clients reach the service."""

    host: Annotated[str, Field(max_length=64), AfterValidator(_ip)] = defaults.HOST
    """IP address to listen on."""
    port: Port
    """TCP port to listen on."""
    hostnames: Annotated[list[Hostname], Field(min_length=1, max_length=100)] = list(defaults.HOSTNAMES)
    """Host names of the requests that are meant: `*`, a name, or `*.` and a name."""
    prefix: Prefix = defaults.PREFIX
    """Beginning of the paths that are meant, in whole segments."""
    preview_port: Port | None = None
    """Port on loopback that always reaches green."""
    timeout_seconds: Seconds | None = None
    """Longest a request may take, seconds."""
    retry: Retry = Retry()
    """Which failed requests the proxy repeats on another replica."""


class Watch(Shape):
    """The guard over green after the switch."""

    seconds: Seconds = defaults.WATCH_S
    """Observed time without harm before green is promoted, seconds."""
    min_requests: Annotated[int, Field(ge=1, le=10**9)] = defaults.REQUESTS_MIN
    """Fewer answers than this are not evidence."""
    max_error_percent: Annotated[float, Field(ge=0, le=100)] = defaults.ERROR_PERCENT_MAX
    """Largest part of green's answers that may be errors, percent."""
    max_latency_ms_p95: Annotated[float, Field(gt=0, le=DAY_S * 1000, alias="maxLatencyMsP95")] = (
        defaults.LATENCY_MS_P95_MAX
    )
    """Largest 95th percentile of green's latency, milliseconds."""
    deadline_seconds: Seconds = defaults.DEADLINE_S
    """Longest a watch may go on, wall seconds from the switch."""
    on_deadline: Literal["hold", "rollback"] = defaults.ON_DEADLINE
    """`hold` (keep the traffic where it is and wait for a person) or `rollback`."""


class Release(Shape):
    """How a new revision takes over."""

    gate: bool = defaults.GATE
    """Whether a person must promote before any request moves."""
    start_seconds: Seconds = defaults.START_S
    """Longest that green may take to start and get ready, seconds."""
    prove_seconds: Seconds = defaults.PROVE_S
    """Longest that the golden requests may take, seconds."""
    watch: Watch = Watch()
    """The guard over green after the switch."""
    hold_seconds: SecondsOrNone = defaults.HOLD_S
    """How long blue is kept ready after the promotion, seconds."""


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
    env: dict[EnvName, Text] = {}
    """Environment variables of the replicas."""
    secrets: dict[EnvName, Secret] = {}
    """Environment variables whose values are read from elsewhere and never kept."""
    ready: UrlPath | None = None
    """Path that answers 2xx when a replica can serve."""
    resources: Resources = Resources()
    """Limits of one replica."""
    replicas: Annotated[int, Field(ge=1, le=1000)] = defaults.REPLICAS
    """How many replicas run."""
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
