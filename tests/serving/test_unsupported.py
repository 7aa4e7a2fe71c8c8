"""Every field that the tables call unsupported is a 400 that names it. An engine without a model."""

import openai
import pytest
from fastapi.testclient import TestClient

from serving_image.api.quick import GenerateKwargs, QuickBody
from serving_image.api.schema import Body, ChatBody
from serving_image.app import make_app, make_server
from serving_image.engine.fake import FakeEngine
from serving_image.field_tables import body_table
from serving_image.settings import read


def unsupported(body: type[Body]) -> list[str]:
    """Fields with one allowed value."""
    rows = [row.split("`") for row in body_table(body).splitlines() if "| only " in row]
    return [row[1] for row in rows]


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(make_app(make_server(read(["--model", "x"], {}), FakeEngine())))


@pytest.mark.parametrize("name", unsupported(ChatBody))
def test_openais_client_hears_which_field_of_a_chat_is_unsupported(client: TestClient, name: str):
    asked = openai.OpenAI(base_url="http://testserver/v1", api_key="none", http_client=client, max_retries=0)
    with pytest.raises(openai.BadRequestError) as refused:
        message = {"role": "user", "content": "a"}
        asked.chat.completions.create(model="x", messages=[message], extra_body={name: "other"})
    assert refused.value.param == name and name in refused.value.message


@pytest.mark.parametrize("name", unsupported(GenerateKwargs))
def test_a_generation_field_of_the_quick_start_that_is_unsupported_is_named(client: TestClient, name: str):
    answer = client.post("/chat", json={"prompt": "a", "generate_kwargs": {name: 7}})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == f"generate_kwargs.{name}"


@pytest.mark.parametrize("name", unsupported(QuickBody))
def test_a_field_of_the_quick_start_that_is_unsupported_is_named(client: TestClient, name: str):
    answer = client.post("/chat", json={"prompt": "a", name: "other"})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == name
