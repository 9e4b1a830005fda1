"""The request log: what Envoy prints of every request that ended, and what a line of it says.

Lines are JSON, since values that come from callers are escaped in it: nobody can end a line or forge a field.
"""

import json
from typing import NamedTuple

from celadon.domain.goal import Arm
from celadon.domain.names import RevisionId, ServiceKey
from celadon.domain.plan import FULL
from celadon.traffic.envoy.counting import BROKEN_FLAGS, GIVEN_UP_MS, LATENCY
from celadon.traffic.envoy.snapshot import Use
from celadon.traffic.envoy.told import CONTROL, GROUP_HEADER, MIRROR, SHARE_HEADER, TOLD, UNIT_HEADER
from celadon.traffic.envoy.words import API, Json

_BROKEN = frozenset(BROKEN_FLAGS)
_CONTROL = f"-{Use.CONTROL}"


def request_log(path: str) -> Json:
    """at: when the request came; end: second in which it ended; ms: how long that took; us: until its answer was whole."""
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": f"{API}.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": {
                "json_format": {
                    "at": "%START_TIME(%s.%3f)%",
                    "end": "%EMIT_TIME(%s)%",
                    "id": "%REQ(X-REQUEST-ID)%",
                    "cluster": "%UPSTREAM_CLUSTER_RAW%",
                    "status": "%RESPONSE_CODE%",
                    "ms": "%DURATION%",
                    "us": LATENCY,
                    "flags": "%RESPONSE_FLAGS%",
                    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
                    "share": f"%REQ({SHARE_HEADER})%",
                    "unit": f"%REQ({UNIT_HEADER})%",
                    "group": f"%REQ({GROUP_HEADER})%",
                    "mirror": f"%METADATA(ROUTE:{TOLD}:{MIRROR})%",
                    "control": f"%METADATA(ROUTE:{TOLD}:{CONTROL})%",
                }
            },
        },
    }


class Line(NamedTuple):
    """One request. share None: it was not drawn. mirror: what part of 10,000 of such requests is copied to green;
    control: what part blue's control answers.

    unit None: it was drawn by itself. duration_us None: there was no whole answer.
    """

    at_s: int
    request: str
    revision: RevisionId
    arm: Arm
    share: int | None
    mirror: int
    control: int
    group: str
    unit: str | None
    error: bool
    duration_us: int | None


def beginning(service: ServiceKey) -> bytes:
    """What every line of a service has in it, so that others need not be taken apart."""
    return f'"cluster":"{service.namespace}/{service.name}/'.encode()


def read(text: bytes) -> Line | None:
    """None: a request that counts as nothing, by the rule of `counting`. Raises ValueError when it is no line of this log."""
    try:
        found = json.loads(text)
        status, flags = found["status"], found["flags"]
        gave_up = status < 100 and found["ms"] >= GIVEN_UP_MS and "DC" in flags.split(",")
        if status < 100 and not gave_up:
            return None
        of, arm = _revision(found["cluster"])
        return Line(
            at_s=int(found["end"]),
            request=found["id"] or "",
            revision=of,
            arm=arm,
            share=_share(found["share"]),
            mirror=_share(found["mirror"]) or 0,
            control=_share(found.get("control")) or 0,
            group=found["group"] or "",
            unit=found["unit"],
            error=gave_up or status >= 500 or (flags != "-" and not _BROKEN.isdisjoint(flags.split(","))),
            duration_us=found["us"],
        )
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(text) from error


def _share(text: str | float | None) -> int | None:
    share = None if text is None else int(text)
    if share is not None and not 0 <= share <= FULL:
        raise ValueError(text)
    return share


def _revision(cluster: str) -> tuple[RevisionId, Arm]:
    name = cluster.split("/")[2]
    if name.endswith(_CONTROL):
        return RevisionId(name.removesuffix(_CONTROL)), Arm.CONTROL
    return RevisionId(name), Arm.MAIN
