"""What a model writes as its reasoning is told apart from its answer: an engine with a given text, the real client."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import openai
import pytest
from fastapi.testclient import TestClient
from openai.types.responses import Response

from benchmarks import small_model
from serving_image.api import tokenizer
from serving_image.api.channels import Channels
from serving_image.api.tokenizer import Tokenizer
from serving_image.app import make_app, make_server
from serving_image.engine.fake import FakeEngine
from serving_image.requests import Progress, Request, Token
from serving_image.settings import read
from serving_image.source import find
from tests.serving.conftest import TEMPLATE
from tests.serving.test_tools import HERMES, WEATHER

MODEL = "smollm2-135m-instruct"
THOUGHT, SAID = "Paris is in France.", "It is Paris."
TAGGED = f"<think>\n{THOUGHT}</think>\n\n{SAID}"
BEGUN = TEMPLATE + "<think>\n"
CHANNELS = (
    f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>commentary to=functions.weather "
    '<|constrain|>json<|message|>{"city": "Paris"}<|call|>'
    f"<|start|>assistant<|channel|>final<|message|>{SAID}"
)


class Writing(FakeEngine):
    """Writes `text`, whatever it is asked."""

    def __init__(self, tokens: Tokenizer) -> None:
        super().__init__()
        self.text = ""
        self.asked: list[Request] = []
        self._tokens = tokens

    async def submit(self, request: Request) -> AsyncIterator[Progress]:
        """As in protocol.Engine."""
        self.asked.append(request)
        yield Progress(request.id, started=True)
        tokens = self._tokens.encode(self.text, special=False)
        for count, token in enumerate(tokens, start=1):
            finish = "stop" if count == len(tokens) else "length" if count == request.max_tokens else None
            yield Progress(request.id, (Token(token),), finish=finish)
            if finish:
                return


Ask = Callable[..., Any]
SOURCE = find(read(["--model", str(small_model.folder())], {}))


@pytest.fixture(scope="module")
def tokens() -> Tokenizer:
    return tokenizer.load(SOURCE, None)


@pytest.fixture
def engine(tokens: Tokenizer) -> Writing:
    return Writing(tokens)


@pytest.fixture
def client(engine: Writing, tokens: Tokenizer) -> Callable[..., openai.OpenAI]:
    def made(parser: str, tools: str = "hermes") -> openai.OpenAI:
        flags = ["--model", str(small_model.folder()), "--reasoning-parser", parser, "--tool-call-parser", tools]
        server = make_server(read(flags, {}), engine)
        server.tokenizer = tokens
        http = TestClient(make_app(server))
        return openai.OpenAI(base_url="http://testserver/v1", api_key="none", http_client=http, max_retries=0)

    return made


@pytest.fixture
def ask(engine: Writing, client: Callable[..., openai.OpenAI]) -> Ask:
    def asking(text: str, parser: str = "qwen3", calls: str = "hermes", template: str = TEMPLATE, **more: Any) -> Any:
        engine.text = text
        body = {"chat_template": template, **more.pop("extra_body", {})}
        messages = more.pop("messages", [{"role": "user", "content": "What is the capital of France?"}])
        return client(parser, calls).chat.completions.create(model=MODEL, messages=messages, extra_body=body, **more)

    return asking


@pytest.mark.parametrize("parser", ["deepseek_r1", "deepseek_v3", "qwen3"])
def test_reasoning_between_tags_stands_beside_the_answer(ask: Ask, parser: str):
    answer = ask(TAGGED, parser)
    message = answer.choices[0].message
    assert (message.content, message.reasoning_content, message.reasoning) == (SAID, THOUGHT, THOUGHT)
    assert 0 < answer.usage.completion_tokens_details.reasoning_tokens < answer.usage.completion_tokens


def test_reasoning_that_the_prompt_has_begun_is_found_by_its_end(ask: Ask):
    message = ask(f"{THOUGHT}</think>{SAID}", template=BEGUN).choices[0].message
    assert (message.content, message.reasoning_content) == (SAID, THOUGHT)


def test_a_stream_has_it_in_deltas_of_its_own(ask: Ask):
    deltas = [chunk.choices[0].delta for chunk in ask(TAGGED, stream=True)]
    told = [getattr(delta, "reasoning_content", None) or "" for delta in deltas]
    assert "".join(told) == THOUGHT and sum(map(bool, told)) > 3
    assert "".join(delta.content or "" for delta in deltas) == SAID


def test_an_answer_without_reasoning_is_an_answer(ask: Ask):
    message = ask(SAID).choices[0].message
    assert message.content == SAID and not hasattr(message, "reasoning_content")


def test_without_the_flag_the_text_stays_as_it_is(ask: Ask):
    assert ask(TAGGED, "none").choices[0].message.content == TAGGED


def test_an_answer_that_is_cut_while_it_reasons_has_no_content(ask: Ask):
    choice = ask(TAGGED, max_tokens=6).choices[0]
    assert choice.finish_reason == "length" and choice.message.content == ""
    assert THOUGHT.startswith(choice.message.reasoning_content)


def test_reasoning_that_is_not_wanted_is_left_out(ask: Ask):
    message = ask(TAGGED, extra_body={"include_reasoning": False}).choices[0].message
    assert message.content == SAID and not hasattr(message, "reasoning_content")


def test_a_call_after_reasoning_is_read(ask: Ask):
    choice = ask(f"<think>{THOUGHT}</think>{HERMES}", tools=[WEATHER]).choices[0]
    assert choice.message.reasoning_content == THOUGHT and choice.finish_reason == "tool_calls"
    assert [call.function.name for call in choice.message.tool_calls] == ["weather"]


def test_structured_output_has_no_reasoning_before_it(ask: Ask):
    message = ask('{"a": 1}', template=BEGUN, response_format={"type": "json_object"}).choices[0].message
    assert message.content == '{"a": 1}'


def test_reasoning_that_is_sent_back_reaches_the_template(ask: Ask, engine: Writing, tokens: Tokenizer):
    first = ask(TAGGED).choices[0].message
    template = "{{ messages[1].reasoning_content }}|{{ messages[1].content }}"
    ask(SAID, messages=[{"role": "user", "content": "Where?"}, first], template=template)
    assert tokens.decode(engine.asked[-1].prompt, False) == f"{THOUGHT}|{SAID}"


def test_the_effort_is_handed_to_a_template_that_knows_it_and_else_refused(
    ask: Ask, engine: Writing, tokens: Tokenizer
):
    ask(SAID, template="effort {{ reasoning_effort }}", reasoning_effort="high")
    assert tokens.decode(engine.asked[-1].prompt, False) == "effort high"
    with pytest.raises(openai.BadRequestError, match="reasoning_effort: this model's chat template does not know it"):
        ask(SAID, reasoning_effort="high")


def test_gpt_oss_channels_are_reasoning_calls_and_the_answer(ask: Ask):
    choice = ask(CHANNELS, "openai_gptoss", "openai", tools=[WEATHER]).choices[0]
    assert (choice.message.reasoning_content, choice.message.content) == (THOUGHT, SAID)
    assert [call.function.arguments for call in choice.message.tool_calls] == ['{"city": "Paris"}']
    assert choice.finish_reason == "tool_calls"


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_channels_are_read_however_the_text_is_cut(size: int):
    reading = Channels()
    pieces = [CHANNELS[place : place + size] for place in range(0, len(CHANNELS), size)]
    found = [reading.push(piece, last=False) for piece in pieces] + [reading.push("", last=True)]
    assert "".join(each.reasoning for each in found) == THOUGHT and "".join(each.text for each in found) == SAID
    assert [call for each in found for call in each.calls] == [("weather", '{"city": "Paris"}')]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SAID, SAID),  # no channel at all
        (f"<|channel|>final<|message|>{SAID}", SAID),
        (f"<|channel|>commentary<|message|>{SAID}<|end|>", SAID),  # said to the user before a call
        ('<|channel|>commentary to=functions.unknown<|message|>{"a": 1}<|call|>', '{"a": 1}'),
        (f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|chan", ""),  # cut within a head
    ],
)
def test_nothing_that_is_said_on_a_channel_is_lost(ask: Ask, text: str, said: str):
    assert ask(text, "openai_gptoss", "openai", tools=[WEATHER]).choices[0].message.content == said


def test_a_response_has_reasoning_as_an_item_that_may_be_sent_back(
    client: Callable[..., openai.OpenAI], engine: Writing
):
    engine.text, asked = f"<think>\n{THOUGHT}</think>{SAID}", {"model": MODEL}
    first = client("qwen3").responses.create(input="Where is it?", **asked)
    assert [item.type for item in first.output] == ["reasoning", "message"] and first.output_text == SAID
    assert first.output[0].content[0].text == THOUGHT and first.usage.output_tokens_details.reasoning_tokens > 0
    turns = [{"role": "user", "content": "Where?"}, *first.output, {"role": "user", "content": "And Rome?"}]
    assert client("qwen3").responses.create(input=turns, **asked).output_text == SAID


def test_a_responses_stream_tells_its_reasoning_before_the_message(
    client: Callable[..., openai.OpenAI], engine: Writing
):
    engine.text = TAGGED
    with client("qwen3").responses.stream(model=MODEL, input="Where is it?") as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert Response.model_validate(final.model_dump()).output_text == SAID
    assert "".join(each.delta for each in events if each.type == "response.reasoning_text.delta") == THOUGHT
    kinds = list(dict.fromkeys(event.type for event in events))
    assert kinds.index("response.reasoning_text.done") < kinds.index("response.output_text.delta")
