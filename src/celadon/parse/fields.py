"""Fields that several parts of a spec share: their types, units and limits, and how strictly they are read."""

import ipaddress
import math
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from celadon.parse import defaults

MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(Ki|Mi|Gi|Ti|k|M|G|T)")
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def memory_bytes(text: str) -> int:
    """`512Mi` in bytes."""
    found = MEMORY.fullmatch(text)
    assert found is not None, text
    return math.floor(float(found[1]) * UNITS[found[2]])


def enough_memory(text: str) -> str:
    """The text, when so much memory is enough for a server."""
    if memory_bytes(text) < 2**20:
        raise ValueError("is less than one mebibyte, in which no server can run")
    return text


def ip_address(text: str) -> str:
    """The text, when it is an IP address."""
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
Seconds = Annotated[float, Field(gt=0, le=30 * defaults.DAY_S)]
SecondsOrNone = Annotated[float, Field(ge=0, le=365 * defaults.DAY_S)]


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
