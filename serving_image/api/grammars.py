"""Structured output: from response_format and the guided_ fields to a grammar. Called by jobs.py."""

import asyncio
import json
from typing import Any

from llguidance import LLMatcher

from serving_image.api.refusals import Refusal, bad
from serving_image.api.schema import SamplingBody

MAX_CHARACTERS = 200_000
SECONDS = 10  # for the check of one grammar


async def grammar_of(body: SamplingBody, forced_call: dict[str, Any] | None = None) -> str | None:
    """What the answer must match, in llguidance's form; checked in a thread. `forced_call` is a schema.

    Raises:
        Refusal: 400, for a schema or pattern that is wrong.
    """
    wanted = _wanted(body)
    if forced_call is not None:
        wanted.append(("tool_choice", "json", json.dumps(forced_call)))
    if not wanted:
        return None
    if len(wanted) > 1:
        raise bad(wanted[1][0], f"cannot be combined with {wanted[0][0]}")
    field, kind, text = wanted[0]
    if len(text) > MAX_CHARACTERS:
        raise bad(field, f"has {len(text)} characters, more than {MAX_CHARACTERS}")
    try:
        async with asyncio.timeout(SECONDS):
            return await asyncio.to_thread(_checked, field, kind, text)
    except TimeoutError:
        raise bad(field, f"takes longer than {SECONDS} s to check; make it simpler") from None


def _wanted(body: SamplingBody) -> list[tuple[str, str, str]]:
    """(field, kind, text) of everything that was asked for."""
    wanted = []
    form = body.response_format
    if form and form.type == "json_object":
        wanted.append(("response_format", "json", '{"type": "object"}'))
    if form and form.type == "json_schema":
        if not form.json_schema:
            raise bad("response_format.json_schema", "is missing")
        wanted.append(("response_format.json_schema.schema", "json", json.dumps(form.json_schema.schema_)))
    if form and form.type == "regex":
        if not form.pattern:
            raise bad("response_format.pattern", "is missing")
        wanted.append(("response_format.pattern", "regex", form.pattern))
    if body.guided_json is not None:
        schema = body.guided_json
        wanted.append(("guided_json", "json", schema if isinstance(schema, str) else json.dumps(schema)))
    if body.guided_regex is not None:
        wanted.append(("guided_regex", "regex", body.guided_regex))
    if body.guided_choice is not None:
        choices = " | ".join(json.dumps(choice) for choice in body.guided_choice)
        wanted.append(("guided_choice", "lark", f"start: {choices}"))
    return wanted


def _checked(field: str, kind: str, text: str) -> str:
    makers = {
        "json": LLMatcher.grammar_from_json_schema,
        "regex": LLMatcher.grammar_from_regex,
        "lark": LLMatcher.grammar_from_lark,
    }
    try:
        grammar: str = makers[kind](text)
    except ValueError as error:
        raise bad(field, str(error)) from None
    if problem := LLMatcher.validate_grammar(grammar, None):
        raise Refusal(400, f"{field}: {problem}", code="invalid_grammar", param=field)
    return grammar
