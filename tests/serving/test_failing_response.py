"""A response whose engine fails in mid-stream ends with OpenAI's event for it; one that is not streamed is a 500."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from fastapi.testclient import TestClient

from benchmarks import small_model
from serving_image.api import tokenizer
from serving_image.app import make_app, make_server
from serving_image.engine.fake import FakeEngine
from serving_image.requests import Progress, Request
from serving_image.settings import read
from serving_image.source import find

PROBLEM = "the model failed on this request: RuntimeError: bad token"


class FailingEngine(FakeEngine):
    """Fails after three tokens."""

    async def submit(self, request: Request) -> AsyncIterator[Progress]:
        """As in protocol.Engine."""
        count = 0
        async for progress in super().submit(request):
            count += len(progress.tokens)
            if count > 3:
                yield Progress(request.id, finish="error", message=PROBLEM)
                return
            yield progress


@pytest.fixture(scope="module")
def client() -> openai.OpenAI:
    chosen = read(["--model", str(small_model.folder())], {})
    server = make_server(chosen, FailingEngine())
    server.tokenizer = tokenizer.load(find(chosen), None)
    http = TestClient(make_app(server))
    return openai.OpenAI(base_url="http://testserver/v1", api_key="none", http_client=http, max_retries=0)


def ask(client: openai.OpenAI, **more: Any) -> Any:
    return client.responses.create(model="smollm2-135m-instruct", input="Hello there", max_output_tokens=9, **more)


def test_the_last_event_is_response_failed_with_the_reason(client: openai.OpenAI) -> None:
    events = list(ask(client, stream=True))
    last = events[-1]
    assert (last.type, last.response.status) == ("response.failed", "failed")
    assert (last.response.error.code, last.response.error.message) == ("server_error", PROBLEM)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "response.output_text.delta" in [event.type for event in events]


def test_without_a_stream_it_is_a_500_with_the_reason(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError, match="bad token"):
        ask(client)
