"""Prometheus finds requests, latencies, what is in flight and which model it is, in the house's names."""

import re

from prometheus_client.parser import text_string_to_metric_families

PREDICT = "/v1/models/tiny:predict"


def samples(client):
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def gained(before, after, *key):
    return after[key] - before[key]


def test_requests_are_counted_by_protocol_and_class_of_code(doubles):
    name = "celadon_serving_requests_total"
    before = samples(doubles)
    doubles.post(PREDICT, json={"instances": [[1, 2]]})
    doubles.post(PREDICT, json={})
    doubles.get("/v2/health/ready")
    after = samples(doubles)
    assert gained(before, after, name, "2xx", "tfs") == 1
    assert gained(before, after, name, "4xx", "tfs") == 1
    assert gained(before, after, name, "2xx", "oip") == 1


def test_a_models_failure_is_counted_as_5xx(fails_above):
    before = samples(fails_above)
    fails_above.post(PREDICT, json={"inputs": [[1, 2]] * 4})
    assert gained(before, samples(fails_above), "celadon_serving_requests_total", "5xx", "tfs") == 1


def test_latencies_and_inferences_are_measured(doubles):
    before = samples(doubles)
    doubles.post(PREDICT, json={"instances": [[1, 2]]})
    doubles.get("/v1/models/tiny")
    after = samples(doubles)
    assert gained(before, after, "celadon_serving_request_duration_seconds_count", "tfs") == 2
    assert gained(before, after, "celadon_serving_inference_duration_seconds_count") == 1
    assert gained(before, after, "celadon_serving_inference_duration_seconds_sum") > 0


def test_the_scrape_itself_is_the_only_request_in_flight(doubles):
    assert samples(doubles)["celadon_serving_requests_in_flight",] == 1


def test_the_model_is_named_with_its_revision_and_digest(doubles):
    info = next(key for key in samples(doubles) if key[0] == "celadon_serving_model_info")
    assert {"r1", "tiny", "1"} < set(info)
    assert any(re.fullmatch("[0-9a-f]{64}", label) for label in info)


def test_every_name_is_ours_or_the_processs(doubles):
    assert all(name.startswith(("celadon_serving_", "process_")) for name, *_ in samples(doubles))
    assert samples(doubles)["celadon_serving_ready",] == 1
