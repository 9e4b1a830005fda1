"""What Prometheus can scrape here. Names start with celadon_serving_ and carry base units."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from celadon.serving.identity import Phase, Served

PROTOCOLS: Final = ("tfs", "oip", "other", "warmup")
CODES: Final = ("2xx", "4xx", "5xx", "gone")
GONE: Final = "gone"
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST.encode()
BUCKETS_S: Final = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
)


class Metrics:
    """One registry per server. Label sets are resolved once, so that counting a request costs no look-up by label."""

    def __init__(self, served: Served, revision: str) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        ProcessCollector(registry=registry)
        requests = Counter(
            "celadon_serving_requests_total",
            "Requests answered, by protocol and class of status code; gone: the client left before the answer.",
            ("protocol", "code"),
            registry=registry,
        )
        durations = Histogram(
            "celadon_serving_request_duration_seconds",
            "From the first look at a request to its answer, waiting included.",
            ("protocol",),
            buckets=BUCKETS_S,
            registry=registry,
        )
        self.inference = Histogram(
            "celadon_serving_inference_duration_seconds",
            "Decoding, running the model and encoding, waiting excluded.",
            buckets=BUCKETS_S,
            registry=registry,
        )
        self.in_flight = Gauge(
            "celadon_serving_requests_in_flight", "Requests accepted and not answered.", registry=registry
        )
        ready = Gauge("celadon_serving_ready", "1 when requests are wanted.", registry=registry)
        ready.set_function(lambda: float(served.life.phase is Phase.READY))
        info = Gauge(
            "celadon_serving_model_info",
            "Always 1; says which model this is.",
            ("model", "version", "revision", "sha256"),
            registry=registry,
        )
        info.labels(served.name, served.version, revision, served.model.artifact.sha256).set(1)
        predictions = Counter(
            "celadon_serving_predictions_total",
            "Predictions that were to be logged while a release compares revisions, by what became of them.",
            ("outcome",),
            registry=registry,
        )
        self.logged, self.lost = predictions.labels("logged"), predictions.labels("lost")
        self._requests = {
            (protocol, code): requests.labels(protocol, code) for protocol in PROTOCOLS for code in CODES
        }
        self._durations = {protocol: durations.labels(protocol) for protocol in PROTOCOLS}

    def answered(self, protocol: str, status: int, seconds: float) -> None:
        self._requests[protocol, f"{status // 100}xx"].inc()
        self._durations[protocol].observe(seconds)

    def gone(self, protocol: str) -> None:
        self._requests[protocol, GONE].inc()

    def exposition(self) -> bytes:
        return generate_latest(self._registry)
