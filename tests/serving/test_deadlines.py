"""Deadlines of a request, over an engine that takes its time: the status and the words, before and in a stream."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

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


def test_a_request_that_is_over_its_time_leaves_the_engine(tokens: Tokenizer):
    engine = FakeEngine(pace_seconds=0.1)
    answer = TestClient(make_app(served(tokens, "--total-timeout", "1", engine=engine))).post(
        "/v1/completions", json=ASK
    )
    assert answer.status_code == 408 and len(engine.cancelled) == 1


def test_health_and_metrics_may_have_a_port_of_their_own(tokens: Tokenizer):
    server = served(tokens, "--metrics-port", "9000")
    api, monitoring = TestClient(make_app(server)), TestClient(make_monitoring_app(server))
    paths = ("/health", "/health/live", "/metrics")
    assert [api.get(path).status_code for path in paths] == [404] * 3
    assert [monitoring.get(path).status_code for path in paths] == [200] * 3
    assert monitoring.post("/v1/completions", json=ASK).status_code == 404
