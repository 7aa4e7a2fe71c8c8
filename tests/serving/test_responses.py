"""POST /v1/responses, asked by OpenAI's client and held against its types."""

import json
from collections.abc import Sequence

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from serving_image.api.output import Output
from serving_image.api.reading import Piece
from tests.serving.servers import Running
from tests.serving.test_tools import CITY, MODEL

QUESTION = "What is the capital of France?"
WEATHER = {"type": "function", "name": "weather", "description": "Today's weather", "parameters": CITY}
EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
TEXT_EVENTS = ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"]
TEXT_ENDS = [
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]
CALL_ENDS = [
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
]


def ask(server: Running, **options: object) -> Response:
    more = {"model": MODEL, "input": QUESTION, "temperature": 0, **options}
    return server.openai().responses.create(**more)


def refused(server: Running, **body: object) -> tuple[str, str]:
    """What a 400 names and says."""
    with pytest.raises(openai.BadRequestError) as caught:
        ask(server, extra_body=body)
    return caught.value.param, caught.value.message


def test_a_question_is_answered_as_in_a_chat(server: Running):
    answer = ask(server, instructions="Be short.")
    messages = [{"role": "system", "content": "Be short."}, {"role": "user", "content": QUESTION}]
    chat = server.openai().chat.completions.create(model=MODEL, messages=messages, temperature=0)
    assert answer.output_text == chat.choices[0].message.content and answer.status == "completed"
    assert answer.usage.input_tokens == chat.usage.prompt_tokens


def test_the_whole_response_has_openais_types(server: Running):
    with server.http() as http:
        wanted = {"input": QUESTION, "metadata": {"team": "a"}, "store": False, "max_output_tokens": 3}
        body = http.post("/v1/responses", json=wanted).json()
    assert Response.model_validate(body).metadata == {"team": "a"}
    assert body["store"] is False and body["usage"]["input_tokens_details"]["cached_tokens"] >= 0


def test_all_kinds_of_turns_are_understood(server: Running):
    turns = [
        {"role": "developer", "content": [{"type": "input_text", "text": "Be "}, {"type": "input_text", "text": "x."}]},
        {"type": "message", "role": "user", "content": "Say A."},
        {"role": "assistant", "content": [{"type": "output_text", "text": "A", "annotations": []}]},
        {"role": "user", "content": QUESTION},
    ]
    plain = [{"role": "developer", "content": "Be x."}, turns[1], {"role": "assistant", "content": "A"}, turns[3]]
    assert ask(server, input=turns).output_text == ask(server, input=plain).output_text != ""


def test_an_answer_may_be_sent_back(server: Running):
    turns = [{"role": "user", "content": QUESTION}]
    first = ask(server, input=turns)
    again = ask(server, input=[*turns, *first.output, {"role": "user", "content": "And of Italy?"}])
    assert again.output_text and again.usage.input_tokens > first.usage.total_tokens


def test_a_stream_tells_every_step_in_openais_order_and_types(server: Running):
    with (
        server.http() as http,
        http.stream("POST", "/v1/responses", json={"input": QUESTION, "temperature": 0, "stream": True}) as answer,
    ):
        lines = [line for line in answer.iter_lines() if line]
    names = [line.removeprefix("event: ") for line in lines[::2]]
    events = [EVENT.validate_json(line.removeprefix("data: ")) for line in lines[1::2]]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert names == [event.type for event in events]
    assert names == [*TEXT_EVENTS, *["response.output_text.delta"] * len(deltas), *TEXT_ENDS] and len(deltas) > 3
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(deltas) == events[-1].response.output_text == "The capital of France is Paris."
    assert events[-1].response.usage.output_tokens == 8


def test_the_clients_own_stream_ends_with_the_response(server: Running):
    with server.openai().responses.stream(model=MODEL, input=QUESTION, temperature=0) as stream:
        assert stream.get_final_response().output_text == "The capital of France is Paris."


def test_an_answer_that_is_cut_is_incomplete_and_says_why(server: Running):
    answer = ask(server, max_output_tokens=3)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert answer.output[0].status == "incomplete" and answer.usage.output_tokens == 3
    assert list(ask(server, max_output_tokens=3, stream=True))[-1].type == "response.incomplete"


class Person(BaseModel):
    name: str
    age: int


def test_a_schema_is_kept_and_parsed_by_the_client(server: Running):
    options = {"input": "Invent a person.", "max_output_tokens": 100, "temperature": 0}
    person = server.openai().responses.parse(model=MODEL, text_format=Person, **options).output_parsed
    assert isinstance(person, Person)
    assert ask(server, text={"format": {"type": "json_object"}}, max_output_tokens=5).output_text.startswith("{")


def test_logprobs_come_if_they_are_included(server: Running):
    answer = ask(server, include=["message.output_text.logprobs"], top_logprobs=2)
    tokens = answer.output[0].content[0].logprobs
    assert "".join(token.token for token in tokens) == answer.output_text
    assert all(len(token.top_logprobs) == 2 for token in tokens)


def test_a_forced_call_is_an_item_whose_arguments_keep_to_the_schema(tooled: Running):
    choice = {"type": "function", "name": "weather"}
    answer = ask(tooled, tools=[WEATHER], tool_choice=choice, max_output_tokens=80)
    [call] = answer.output
    assert (call.type, call.name, call.status) == ("function_call", "weather", "completed")
    assert json.loads(call.arguments)["city"] in ("Paris", "Rome")


def test_a_streamed_call_is_told_in_openais_order(tooled: Running):
    choice = {"type": "function", "name": "weather"}
    events = list(ask(tooled, stream=True, tools=[WEATHER], tool_choice=choice))
    assert [event.type for event in events] == [*TEXT_EVENTS[:3], *CALL_ENDS, "response.completed"]
    assert events[-1].response.output[0].arguments == events[3].delta == events[4].arguments


def test_a_call_between_two_texts_is_an_item_of_its_own():
    output, call = Output(), {"id": "c1", "function": {"name": "weather", "arguments": "{}"}}
    events = (
        output.add(Piece(text="One"), [])
        + output.add(Piece(calls=[call]), [])
        + output.add(Piece(text="two"), [])
        + output.end("completed")
    )
    assert [item["type"] for item in output.items] == ["message", "function_call", "message"]
    places = [event["output_index"] for event in events]
    assert places == sorted(places) and {item["status"] for item in output.items} == {"completed"}


def test_a_calls_answer_may_be_sent_back(tooled: Running):
    turns: Sequence[object] = [{"role": "user", "content": "What is the weather in Paris?"}]
    call = ask(tooled, input=turns, tools=[WEATHER], tool_choice="required", parallel_tool_calls=False).output[0]
    answer = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    last = ask(tooled, input=[*turns, call, answer], tools=[WEATHER], tool_choice="none", max_output_tokens=20)
    assert last.output_text


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id", "nothing is stored here"),
        ({"store": True}, "store", "nothing is stored here"),
        ({"conversation": "c"}, "conversation", "nothing is stored here"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input.0", "nothing is stored that an item"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input.0.content.0.type", "input_text"),
        ({"input": []}, "input", "at least 1 item"),
        ({"input": 3}, "input", "valid string"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": ""}]}, "input", "no function_call"),
        ({"background": True}, "background", "False"),
        ({"truncation": "auto"}, "truncation", "disabled"),
        ({"reasoning": {"effort": "high"}}, "reasoning.effort", "chat template does not know it"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type", "function"),
        ({"tool_choice": "required"}, "tool_choice", "needs tools"),
        ({"top_logprobs": 2}, "top_logprobs", "include"),
        ({"max_output_tokens": 9000}, "max_output_tokens", "max_output_tokens is 9000"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema", "is missing"),
        ({"text": {"verbosity": "low"}}, "text.verbosity", "medium"),
        ({"moderation": {"model": "m"}}, "moderation", "no field of this API"),
    ],
)
def test_what_cannot_be_had_is_a_400_that_names_it(server: Running, body: dict[str, object], field: str, reason: str):
    param, message = refused(server, **body)
    assert param == field and reason in message


def test_a_model_that_is_not_served_is_a_404(server: Running):
    with pytest.raises(openai.NotFoundError, match="'gpt-5' is not served here"):
        ask(server, model="gpt-5")
