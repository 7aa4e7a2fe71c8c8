"""What /openapi.json says is so: wrong values of every kind are refused in OpenAI's error shape, and nothing breaks.

In this process with an engine without a model, so that a request that turns out right costs nothing.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis.generation import GenerationMode

from benchmarks import small_model
from serving_image.api import tokenizer
from serving_image.api.refusals import ErrorBody
from serving_image.app import make_app, make_server
from serving_image.engine.fake import FakeEngine
from serving_image.settings import read
from serving_image.source import find

PATHS = ["/chat", "/v1/chat/completions", "/v1/completions", "/v1/responses", "/tokenize", "/detokenize"]
LISTS = ["/v1/models", "/v1/models/{name}", "/v1/adapters", "/version", "/health", "/health/live", "/metrics"]


ADMIN = {"Authorization": "Bearer admin-secret"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    keys = tmp_path_factory.mktemp("keys") / "admin"
    keys.write_text("admin-secret\n")
    chosen = read(["--model", str(small_model.folder()), "--admin-key-file", str(keys)], {})
    server = make_server(chosen, FakeEngine(context_tokens=260))  # the quick start's default length is 200
    server.tokenizer = tokenizer.load(find(chosen), None)
    return make_app(server)


def tried(operation: Any, mode: GenerationMode, times: int) -> Callable[..., Any]:
    """Decorates what is done with each of so many requests that fit the document, or do not."""
    given_times = settings(
        max_examples=times, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    return lambda ask: given_times(given(case=operation.as_strategy(generation_mode=mode))(ask))


@pytest.mark.parametrize("path", PATHS)
def test_wrong_values_are_refused_in_openais_shape_and_nothing_breaks(path: str, app: Any):
    operation = schemathesis.openapi.from_asgi("/openapi.json", app)[path]["POST"]

    @tried(operation, GenerationMode.NEGATIVE, 40)
    def ask(case: schemathesis.Case) -> None:
        answer = case.call()
        assert 400 <= answer.status_code < 500, answer.text
        assert ErrorBody.model_validate(answer.json()).error.message

    ask()


def test_right_values_of_the_quick_start_reach_the_model_and_break_nothing(app: Any):
    operation = schemathesis.openapi.from_asgi("/openapi.json", app)["/chat"]["POST"]
    statuses: list[int] = []

    @tried(operation, GenerationMode.POSITIVE, 30)
    def ask(case: schemathesis.Case) -> None:
        statuses.append(case.call().status_code)
        assert statuses[-1] < 500

    ask()
    assert statuses.count(200) >= 5


@pytest.mark.parametrize("path", LISTS)
def test_what_a_route_answers_is_as_its_document_says(path: str, app: Any):
    operation = schemathesis.openapi.from_asgi("/openapi.json", app)[path]["GET"]

    @tried(operation, GenerationMode.POSITIVE, 15)
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=ADMIN)

    ask()


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [("POST", "/v1/adapters", mode) for mode in GenerationMode]
    + [("DELETE", "/v1/adapters/{name}", GenerationMode.POSITIVE)],
)
def test_the_admin_api_answers_as_its_document_says(method: str, path: str, mode: GenerationMode, app: Any):
    operation = schemathesis.openapi.from_asgi("/openapi.json", app)[path][method]

    @tried(operation, mode, 30)
    def ask(case: schemathesis.Case) -> None:
        answer = case.call(headers=ADMIN)
        case.validate_response(answer)
        assert answer.status_code < 500

    ask()


def test_an_adapter_that_is_added_is_listed_until_it_is_removed(app: Any):
    client = TestClient(app, headers=ADMIN)
    client.post("/v1/adapters", json={"name": "mine", "folder": "/adapters/mine"})
    assert {"name": "mine", "folder": "/adapters/mine"} in client.get("/v1/adapters").json()["data"]
    assert client.get("/v1/models/mine").json()["parent"] == "smollm2-135m-instruct"
    assert client.delete("/v1/adapters/mine").json() == {"name": "mine", "deleted": True}
    assert client.get("/v1/models/mine").status_code == 404 == client.delete("/v1/adapters/mine").status_code


def test_every_route_documents_its_refusals_and_no_other_shape(app: Any):
    document = app.openapi()
    for path in PATHS:
        assert {"200", "4XX", "5XX"} == set(document["paths"][path]["post"]["responses"])


def test_a_key_is_in_the_document_where_one_is_needed(tmp_path: Path):
    (tmp_path / "keys").write_text("secret\n")
    chosen = read(["--model", "x", "--api-key-file", str(tmp_path / "keys")], {})
    document = make_app(make_server(chosen, FakeEngine())).openapi()
    assert document["paths"]["/v1/responses"]["post"]["security"] == [{"HTTPBearer": []}]
