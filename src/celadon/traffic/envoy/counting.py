"""What Envoy counts of clients' requests, and what of it is an error."""

from celadon.traffic.envoy.words import API, Json

LATENCY_US = (
    *(100, 250, 500),
    *(
        round(base * 10**power)
        for power in (3, 4, 5, 6)
        for base in (1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.3, 8)
    ),
    *(10_000_000, 16_000_000, 25_000_000, 40_000_000, 60_000_000, 120_000_000, 600_000_000),
)
"""Upper bounds of the latency histogram: ten a decade from 1 ms to 10 s, so that a quantile is right within 28 %."""

LATENCY = "%COMMON_DURATION(DS_RX_END:US_RX_END:us)%"
"""From the last byte of the request to the last byte of the answer, which is not slowed down by who reads it."""

BROKEN_FLAGS = ("UF", "UC", "LR", "UR", "UPE", "UT", "SI", "UMSDR")
"""What Envoy says of a request whose answer failed or broke off, whatever its status is."""


def sample_logs() -> list[Json]:
    """Counters with one tick per client's request, whatever was repeated in between.

    Envoy's cluster counters tick per attempt and leave out answers that broke off; these tick when a request
    ends, under the revision that answered it last.
    """
    tags = [{"name": "cluster", "value_format": "%UPSTREAM_CLUSTER_RAW%"}]
    counter = {"value_fixed": 1}
    latency = {
        "stat": {"name": "latency", "tags": tags},
        "unit": "Microseconds",
        "value_format": LATENCY,
    }
    return [
        _stats(
            {"counters": [{"stat": {"name": "requests", "tags": tags}, **counter}]}, _or(_ANSWERED, _GAVE_UP)
        ),
        _stats(
            {"counters": [{"stat": {"name": "errors", "tags": tags}, **counter}]},
            _or(_BAD, _BROKEN, _GAVE_UP),
        ),
        _stats({"histograms": [latency]}, _ANSWERED),
    ]


def _stats(what: Json, when: Json) -> Json:
    kind = f"{API}.extensions.access_loggers.stats.v3.Config"
    return {
        "name": "envoy.access_loggers.stats",
        "filter": when,
        "typed_config": {
            "@type": kind,
            "stats_scope": {"prefix": "celadon", "enable_eviction": True},
            **what,
        },
    }


def _or(*filters: Json) -> Json:
    return {"or_filter": {"filters": list(filters)}}


def _status(op: str, status: int) -> Json:
    value = {"default_value": status, "runtime_key": f"celadon.status_{status}"}
    return {"status_code_filter": {"comparison": {"op": op, "value": value}}}


def _flags(*flags: str) -> Json:
    return {"response_flag_filter": {"flags": list(flags)}}


GIVEN_UP_MS = 1000
"""A client that leaves sooner than this without an answer has changed its mind; later, it got none."""

_ANSWERED = _status("GE", 100)
_BAD = _status("GE", 500)
_BROKEN = _flags(*BROKEN_FLAGS)
_GAVE_UP = {
    "and_filter": {
        "filters": [
            _flags("DC"),
            _status("LE", 99),
            {
                "duration_filter": {
                    "comparison": {
                        "op": "GE",
                        "value": {"default_value": GIVEN_UP_MS, "runtime_key": "celadon.given_up_ms"},
                    }
                }
            },
        ]
    }
}
