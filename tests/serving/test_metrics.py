"""The list of vLLM's metrics that this server has: name, type, labels, and that a request moves them. No model."""

import pytest
from fastapi.testclient import TestClient
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import small_model
from serving_image.api import tokenizer
from serving_image.app import make_app, make_server
from serving_image.engine.fake import FakeEngine
from serving_image.settings import read
from serving_image.source import find

# https://docs.vllm.ai/en/stable/usage/metrics/
GAUGES = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
OF_THE_ENGINE = ("num_preemptions", "prefix_cache_queries", "prefix_cache_hits")  # counters of its statistics
COUNTERS = ("prompt_tokens", "generation_tokens", "request_success")
HISTOGRAMS = (
    "time_to_first_token_seconds", "inter_token_latency_seconds", "request_time_per_output_token_seconds",
    "e2e_request_latency_seconds", "request_queue_time_seconds", "request_inference_time_seconds",
    "request_prefill_time_seconds", "request_decode_time_seconds", "request_prompt_tokens",
    "request_generation_tokens", "request_max_num_generation_tokens", "request_params_n",
    "request_params_max_tokens",
)  # fmt: skip
EXTRA_LABEL = {"request_success": {"finished_reason"}}


@pytest.fixture(scope="module")
def client() -> TestClient:
    chosen = read(["--model", str(small_model.folder())], {})
    server = make_server(chosen, FakeEngine())
    server.tokenizer = tokenizer.load(find(chosen), None)
    return TestClient(make_app(server))


def families(client: TestClient) -> dict[str, Metric]:
    """By name without vLLM's prefix."""
    found = text_string_to_metric_families(client.get("/metrics").text)
    found = [each for each in found if each.name.startswith("vllm:") and not each.name.endswith("_created")]
    return {family.name.removeprefix("vllm:"): family for family in found}


def test_metrics_have_vllms_names_types_and_labels_and_a_request_moves_them(client: TestClient):
    assert client.post("/v1/completions", json={"prompt": "Once upon", "max_tokens": 3, "n": 2}).status_code == 200
    found = families(client)
    kinds = {"gauge": GAUGES, "counter": (*OF_THE_ENGINE, *COUNTERS), "histogram": HISTOGRAMS}
    assert {name: family.type for name, family in found.items()} == {
        name: kind for kind, names in kinds.items() for name in names
    }
    for name, family in found.items():
        labels = {"model_name", "engine"} | EXTRA_LABEL.get(name, set())
        assert all(set(sample.labels) - {"le"} == labels for sample in family.samples), name
    still = [name for name in (*COUNTERS, *HISTOGRAMS) if not _count(found[name])]
    assert not still


def _count(family: Metric) -> float:
    return sum(sample.value for sample in family.samples if sample.name.endswith(("_total", "_count")))
