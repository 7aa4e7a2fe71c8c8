"""What /openapi.json says is so: wrong values of every kind are refused in OpenAI's error shape, and nothing breaks.

In this process with an engine without a model, so that a request that turns out right costs nothing.
"""

import functools
from pathlib import Path
from typing import Any

import pytest
import schemathesis
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


@functools.cache
def app() -> Any:
    chosen = read(["--model", str(small_model.folder())], {})
    server = make_server(chosen, FakeEngine(context_tokens=260))  # the quick start's default length is 200
    server.tokenizer = tokenizer.load(find(chosen), None)
    return make_app(server)


@pytest.mark.parametrize("path", PATHS)
def test_wrong_values_are_refused_in_openais_shape_and_nothing_breaks(path: str):
    operation = schemathesis.openapi.from_asgi("/openapi.json", app())[path]["POST"]

    @settings(max_examples=40, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def ask(case: schemathesis.Case) -> None:
        answer = case.call()
        assert 400 <= answer.status_code < 500, answer.text
        assert ErrorBody.model_validate(answer.json()).error.message

    ask()


def test_right_values_of_the_quick_start_reach_the_model_and_break_nothing():
    operation = schemathesis.openapi.from_asgi("/openapi.json", app())["/chat"]["POST"]
    statuses: list[int] = []

    @settings(max_examples=30, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    def ask(case: schemathesis.Case) -> None:
        statuses.append(case.call().status_code)
        assert statuses[-1] < 500

    ask()
    assert statuses.count(200) >= 5


def test_every_route_documents_its_refusals_and_no_other_shape():
    document = app().openapi()
    for path in PATHS:
        assert {"200", "4XX", "5XX"} == set(document["paths"][path]["post"]["responses"])


def test_a_key_is_in_the_document_where_one_is_needed(tmp_path: Path):
    (tmp_path / "keys").write_text("secret\n")
    chosen = read(["--model", "x", "--api-key-file", str(tmp_path / "keys")], {})
    document = make_app(make_server(chosen, FakeEngine())).openapi()
    assert document["paths"]["/v1/responses"]["post"]["security"] == [{"HTTPBearer": []}]
