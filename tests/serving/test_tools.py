"""Tool calls: forced ones from the real model, free ones in each model's format."""

import json

import openai
import pytest
import yaml

from serving_image.api.tool_formats import FORMATS
from serving_image.api.tools import Reader, Wanted
from serving_image.settings import REASONING_FORMATS, TOOL_FORMATS
from tests.serving.servers import ROOT, Running

MODEL = "smollm2-135m-instruct"
QUESTION = [{"role": "user", "content": "What is the weather in Paris?"}]
CITY = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "Today's weather", "parameters": CITY}}
HERMES = 'Let me look. <tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>'
WRITTEN = {
    "hermes": HERMES,
    "granite4": HERMES,
    "qwen3_coder": "<tool_call>\n<function=weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>",
    "deepseek_v3": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n"
    '{"city": "Paris"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    "functiongemma": "<start_function_call>call:weather{city:<escape>Paris<escape>}<end_function_call>",
    "mistral": '[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Paris"}}]',
    "llama3_json": '{"name": "weather", "parameters": {"city": "Paris"}}',
    "phi4_mini_json": 'functools[{"name": "weather", "arguments": {"city": "Paris"}}]',
}


def ask(server: Running, **options: object) -> openai.types.chat.ChatCompletion:
    more = {"messages": QUESTION, "max_tokens": 80, "temperature": 0, "tools": [WEATHER], **options}
    return server.openai().chat.completions.create(model=MODEL, **more)


def reader(name: str) -> Reader:
    return Reader(Wanted(format=FORMATS[name], parameters={"weather": CITY}))


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
def test_a_forced_call_keeps_to_its_schema(tooled: Running, choice: object):
    made = ask(tooled, tool_choice=choice, parallel_tool_calls=False).choices[0]
    assert made.finish_reason == "tool_calls" and made.message.content is None
    [call] = made.message.tool_calls
    assert call.function.name == "weather" and json.loads(call.function.arguments)["city"] in ("Paris", "Rome")


def test_a_call_of_the_models_own_is_read_in_its_format(tooled: Running):
    made = ask(tooled, extra_body={"guided_choice": [HERMES]}).choices[0]
    assert made.message.content == "Let me look. " and made.finish_reason == "tool_calls"
    assert made.message.tool_calls[0].function.arguments == '{"city": "Paris"}'


def test_a_stream_gives_the_text_and_then_the_call(tooled: Running):
    chunks = list(ask(tooled, stream=True, extra_body={"guided_choice": [HERMES]}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Let me look. "
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert [(call.index, call.function.name) for call in calls] == [(0, "weather")]


def test_a_tools_answer_may_be_sent_back(tooled: Running):
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
    turn = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c1", "content": "sunny"}]
    answer = ask(tooled, messages=[*QUESTION, *turn], tool_choice="none").choices[0]
    assert answer.message.content and not answer.message.tool_calls


def test_a_template_without_tools_is_a_400_that_says_so(server: Running):
    with pytest.raises(openai.BadRequestError, match="chat template does not know them"):
        ask(server)


def test_a_name_that_is_no_tool_is_a_400(tooled: Running):
    with pytest.raises(openai.BadRequestError, match="'nothing' is none of the tools: weather"):
        ask(tooled, tool_choice={"type": "function", "function": {"name": "nothing"}})


def test_every_format_of_the_flag_is_read_however_the_text_is_cut():
    assert set(WRITTEN) == set(FORMATS) == set(TOOL_FORMATS) - {"openai"}  # which has channels: test_reasoning.py
    for name, text in WRITTEN.items():
        for size in (1, 3, 1000):
            reading = reader(name)
            pieces = [text[place : place + size] for place in range(0, len(text), size)]
            out = [reading.push(piece, last=False) for piece in pieces] + [reading.push("", last=True)]
            calls = [call["function"] for _, found in out for call in found]
            assert calls == [{"name": "weather", "arguments": '{"city": "Paris"}'}], (name, size)


@pytest.mark.parametrize(
    ("kind", "known"), [("tool_call_parser", TOOL_FORMATS), ("reasoning_parser", REASONING_FORMATS)]
)
def test_every_format_of_a_preset_of_this_runtime_is_read(kind: str, known: tuple[str, ...]):
    presets = [yaml.safe_load(path.read_text()) for path in (ROOT / "presets").glob("*.yaml")]
    wanted = {preset.get(kind) for preset in presets if "transformers" in preset["runtimes"]} - {None}
    assert len(wanted) >= 3 and wanted <= set(known)


def test_values_of_gemmas_calls_keep_their_kinds():
    text = "call:f{a:<escape>x: {1}<escape>,b:2,c:{d:true},e:[1,<escape>y<escape>]}"
    assert FORMATS["functiongemma"].read(text, {}) == [("f", {"a": "x: {1}", "b": 2, "c": {"d": True}, "e": [1, "y"]})]


def test_several_calls_of_deepseek_are_read():
    one = WRITTEN["deepseek_v3"].removesuffix("<｜tool▁calls▁end｜>")
    other = one.removeprefix("<｜tool▁calls▁begin｜>").replace("Paris", "Rome")
    text, calls = reader("deepseek_v3").push(f"Let me see. {one}\n{other}<｜tool▁calls▁end｜>", last=True)
    assert text == "Let me see. "
    assert [call["function"]["arguments"] for call in calls] == ['{"city": "Paris"}', '{"city": "Rome"}']


@pytest.mark.parametrize("name", sorted(WRITTEN))
@pytest.mark.parametrize("text", ["2 < 3 and [1] { }", '<tool_call>{"name": "unknown"}</tool_call>', '{"name": 1}'])
def test_what_is_no_call_stays_text(name: str, text: str):
    reading = reader(name)
    out = [reading.push(letter, last=False) for letter in text] + [reading.push("", last=True)]
    assert ("".join(part for part, _ in out), sum(len(found) for _, found in out)) == (text, 0)
