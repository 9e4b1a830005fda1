"""Exchanges as the generator would have written them, with times in milliseconds."""

from bench.exchanges import Exchange, Traffic


def exchange(
    sent_ms: float,
    *,
    by: str = "blue",
    took_ms: float = 10,
    kind: str = "request",
    fault: str = "",
    reused: bool = True,
    target: int = 0,
) -> Exchange:
    sent_ns = int(sent_ms * 1e6)
    return Exchange(
        kind=kind,
        target=target,
        intended_ns=sent_ns,
        taken_ns=sent_ns,
        sent_ns=sent_ns,
        end_ns=sent_ns + int(took_ms * 1e6),
        reused=reused,
        status=0 if fault else 200,
        answered_by="" if fault else by,
        fault=fault,
    )


def traffic(*exchanges: Exchange, missing_requests: int = 0, missing_streams: int = 0) -> Traffic:
    requests = [e for e in exchanges if e.kind == "request"]
    streams = [e for e in exchanges if e.kind == "stream"]
    return Traffic(
        requests=requests,
        streams=streams,
        requests_issued=len(requests) + missing_requests,
        streams_issued=len(streams) + missing_streams,
    )
