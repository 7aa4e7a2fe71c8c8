"""Structured output: JSON, schemas, patterns and choices."""

import asyncio
import json
import re
from threading import Event

import openai
import pytest
from llguidance import LLMatcher

from benchmarks import small_model
from serving_image.api import grammars
from serving_image.api.schema import SamplingBody
from serving_image.engine.grammar import Grammars
from serving_image.source import Source
from tests.serving.servers import Running

MODEL = "smollm2-135m-instruct"
PERSON = [{"role": "user", "content": "Invent a person. Answer in JSON."}]
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 10},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}


def ask(server: Running, **options: object) -> str:
    more = {"messages": PERSON, "max_tokens": 60, "seed": 1, **options}
    answer = server.openai().chat.completions.create(model=MODEL, **more)
    return answer.choices[0].message.content


def test_a_json_schema_is_kept(server: Running):
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
    person = json.loads(ask(server, response_format=form))
    assert person.keys() == {"name", "age"} and 0 <= person["age"] <= 99


def test_a_pattern_is_kept(server: Running):
    pattern = r"[A-Z]{3}-\d{4}"
    assert re.fullmatch(pattern, ask(server, extra_body={"guided_regex": pattern}))


def test_a_choice_is_one_of_the_given(server: Running):
    assert ask(server, extra_body={"guided_choice": ["red", "green"]}) in ("red", "green")


def test_a_json_object_is_one(server: Running):
    assert isinstance(json.loads(ask(server, response_format={"type": "json_object"}, max_tokens=300)), dict)


def test_vllms_field_for_a_schema_is_kept_as_an_object_and_as_text(server: Running):
    for schema in (SCHEMA, json.dumps(SCHEMA)):
        assert json.loads(ask(server, extra_body={"guided_json": schema})).keys() == {"name", "age"}


def test_a_pattern_of_response_format_is_kept(server: Running):
    form = {"type": "regex", "pattern": "(yes|no)!"}
    assert ask(server, response_format=form) in ("yes!", "no!")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"guided_regex": "(unclosed"}, "guided_regex"),
        ({"guided_json": "{not json"}, "guided_json"),
        ({"guided_json": {"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}}}, "guided_json"),
        ({"response_format": {"type": "regex", "pattern": "[z-a]"}}, "response_format.pattern"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"guided_choice": []}, "guided_choice"),
    ],
)
def test_what_is_no_grammar_is_a_400_that_names_its_field(server: Running, body: dict[str, object], field: str):
    with server.http() as http:
        answer = http.post("/v1/chat/completions", json={"messages": PERSON, **body})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)


def test_a_grammar_that_is_long_to_check_holds_up_nobody(monkeypatch: pytest.MonkeyPatch):
    begun, may_end = Event(), Event()

    def slow(*_: str) -> str:
        begun.set()
        assert may_end.wait(60)
        return "checked"

    async def both() -> str | None:
        body = SamplingBody(guided_regex="a")
        waiting = asyncio.create_task(grammars.grammar_of(body))
        await asyncio.to_thread(begun.wait, 60)
        assert await grammars.grammar_of(SamplingBody()) is None and not waiting.done()
        may_end.set()
        return await waiting

    monkeypatch.setattr(grammars, "_checked", slow)
    assert asyncio.run(both()) == "checked"


def test_compiling_is_begun_and_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    may_end = Event()
    compiler = Grammars(Source(small_model.folder()), 49152)
    ready = compiler._ready
    monkeypatch.setattr(compiler, "_ready", lambda: may_end.wait(60) and ready())
    compiled = compiler.compile(LLMatcher.grammar_from_regex("a+"))
    assert not compiled.done()
    may_end.set()
    assert compiled.result(60).accept(compiler._ready().tokenize_str("a")[0])


def test_a_wrong_schema_is_a_400(server: Running):
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}
    with pytest.raises(openai.BadRequestError, match=r"response_format\.json_schema\.schema"):
        ask(server, response_format=form)


def test_two_grammars_at_once_are_a_400(server: Running):
    with pytest.raises(openai.BadRequestError, match="cannot be combined"):
        ask(server, extra_body={"guided_regex": "a", "guided_choice": ["b"]})
