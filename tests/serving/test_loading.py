"""While the model loads: every route of the API says so; alive, not ready. An engine without a model."""

import pytest
from fastapi.testclient import TestClient

from serving_image.app import make_app, make_server
from serving_image.engine.fake import FakeEngine
from serving_image.settings import read

BODIES = {
    "/chat": {"prompt": "a"},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "a"}]},
    "/v1/completions": {"prompt": "a"},
    "/v1/responses": {"input": "a"},
    "/tokenize": {"prompt": "a"},
    "/detokenize": {"tokens": [1]},
}


@pytest.fixture(scope="module")
def loading() -> TestClient:
    engine = FakeEngine()
    engine.state, engine.info = "loading", None
    return TestClient(make_app(make_server(read(["--model", "x"], {}), engine)))


@pytest.mark.parametrize("path", BODIES)
def test_a_route_of_the_api_is_a_503_that_says_when_to_come_back(loading: TestClient, path: str):
    answer = loading.post(path, json=BODIES[path])
    assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
    assert answer.json()["error"]["code"] == "loading" and "loading" in answer.json()["error"]["message"]


def test_a_loading_server_is_alive_and_not_ready(loading: TestClient):
    assert loading.get("/health").status_code == 503
    live = loading.get("/health/live")
    assert live.status_code == 200 and live.json()["last_token_age_seconds"] is None
    assert loading.get("/metrics").status_code == 200
