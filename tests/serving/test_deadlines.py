"""Deadlines of a request, over an engine that takes its time: the status and the words, before and in a stream."""

import json
from typing import Any

import openai
import pytest
from fastapi.testclient import TestClient
from openai.types import CompletionUsage

from benchmarks import small_model
from serving_image.api import tokenizer
from serving_image.api.tokenizer import Tokenizer
from serving_image.app import make_app, make_monitoring_app, make_server
from serving_image.engine.fake import FakeEngine
from serving_image.settings import read
from serving_image.source import find

ASK = {"prompt": "Once upon a time", "max_tokens": 500}
SOURCE = find(read(["--model", str(small_model.folder())], {}))


@pytest.fixture(scope="module")
def tokens() -> Tokenizer:
    return tokenizer.load(SOURCE, None)


def served(tokens: Tokenizer, *flags: str, engine: FakeEngine | None = None) -> Any:
    server = make_server(read(["--model", str(small_model.folder()), *flags], {}), engine or FakeEngine())
    server.tokenizer = tokens
    return server


def test_a_first_token_that_comes_too_late_is_a_408_that_names_the_setting(tokens: Tokenizer):
    server = served(tokens, "--first-token-timeout", "0.2", engine=FakeEngine(pace_seconds=30))
    answer = TestClient(make_app(server)).post("/v1/completions", json={**ASK, "stream": True})
    assert answer.status_code == 408 and answer.json()["error"]["code"] == "first_token_timeout"
    assert "--first-token-timeout, 0.2 s" in answer.text


def test_a_stream_that_takes_too_long_ends_with_an_event_that_counts_what_there_was(tokens: Tokenizer):
    server = served(tokens, "--total-timeout", "1", engine=FakeEngine(pace_seconds=0.1))
    answer = TestClient(make_app(server)).post("/v1/completions", json={**ASK, "stream": True})
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    error, told = json.loads(events[-2])["error"], len(events) - 2
    assert answer.status_code == 200 and told > 0 and error["code"] == "total_timeout"
    assert f"--total-timeout, 1 s, after {told} tokens" in error["message"]


def asking(tokens: Tokenizer, engine: FakeEngine) -> openai.OpenAI:
    """OpenAI's client, which tries again where a server does not say that this helps nobody."""
    http = TestClient(make_app(served(tokens, "--total-timeout", "1", engine=engine)))
    return openai.OpenAI(base_url="http://testserver/v1", api_key="none", http_client=http, max_retries=2)


@pytest.fixture
def client(tokens: Tokenizer) -> openai.OpenAI:
    return asking(tokens, FakeEngine(pace_seconds=0.1))


@pytest.mark.parametrize("stream", [False, True])
def test_openais_client_finds_in_the_error_what_a_cut_answer_cost(client: openai.OpenAI, stream: bool):
    with pytest.raises(openai.APIError, match="--total-timeout, 1 s, after") as caught:
        list(client.completions.create(model="smollm2-135m-instruct", **ASK, stream=stream))
    assert isinstance(caught.value.body, dict)
    usage = CompletionUsage.model_validate(caught.value.body["usage"])
    assert (usage.prompt_tokens, 0 < usage.completion_tokens < 15) == (4, True)
    assert f"after {usage.completion_tokens} tokens" in caught.value.message


def test_a_request_that_waited_in_vain_cost_nothing(tokens: Tokenizer):
    server = served(tokens, "--queue-timeout", "0.2", engine=FakeEngine(slots=0))
    error = TestClient(make_app(server)).post("/v1/completions", json=ASK).json()["error"]
    assert error["code"] == "queue_timeout" and "usage" not in error


def test_a_failed_response_says_what_it_cost(client: openai.OpenAI):
    *_, last = client.responses.create(
        model="smollm2-135m-instruct", input="Hello there", max_output_tokens=500, stream=True
    )
    assert last.type == "response.failed" and 0 < last.response.usage.output_tokens < 15


def test_an_answer_that_takes_too_long_leaves_the_engine_and_is_not_asked_for_again(tokens: Tokenizer):
    engine = FakeEngine(pace_seconds=0.1)
    with pytest.raises(openai.APIStatusError, match="--total-timeout") as caught:
        asking(tokens, engine).completions.create(model="smollm2-135m-instruct", **ASK)
    assert caught.value.status_code == 408 and len(engine.cancelled) == 1


@pytest.mark.parametrize(("limit", "status"), [("60", 503), ("0", 200)])
def test_a_liveness_timeout_of_0_is_no_limit(tokens: Tokenizer, limit: str, status: int):
    engine = FakeEngine()
    engine.stalled_seconds = lambda: 61.0  # type: ignore[method-assign]
    app = make_app(served(tokens, "--liveness-timeout", limit, engine=engine))
    assert TestClient(app).get("/health/live").status_code == status


def test_health_and_metrics_may_have_a_port_of_their_own(tokens: Tokenizer):
    server = served(tokens, "--metrics-port", "9000")
    api, monitoring = TestClient(make_app(server)), TestClient(make_monitoring_app(server))
    paths = ("/health", "/health/live", "/metrics")
    assert [api.get(path).status_code for path in paths] == [404] * 3
    assert [monitoring.get(path).status_code for path in paths] == [200] * 3
    assert monitoring.post("/v1/completions", json=ASK).status_code == 404
