"""Structured output: JSON, schemas, patterns and choices."""

import json
import re

import openai
import pytest

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
    answer = server.openai().chat.completions.create(model=MODEL, messages=PERSON, max_tokens=60, seed=1, **options)
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


def test_a_wrong_schema_is_a_400(server: Running):
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}
    with pytest.raises(openai.BadRequestError, match=r"response_format\.json_schema\.schema"):
        ask(server, response_format=form)


def test_two_grammars_at_once_are_a_400(server: Running):
    with pytest.raises(openai.BadRequestError, match="cannot be combined"):
        ask(server, extra_body={"guided_regex": "a", "guided_choice": ["b"]})
