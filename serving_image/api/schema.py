"""The bodies that are accepted: each field is honoured, listed as harmless, or refused by name. Called by the routes.

docs/serving.md has the table of these fields, made from here.
"""

import contextlib
import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from serving_image.requests import Sampling

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True)]
Seed = Annotated[Count, Field(ge=-(2**63), lt=2**63)]
MAX_STOPS = 16
MAX_ANSWERS = 16
MAX_LOGPROBS = 20
MAX_TOP_K = 2**31
FunctionName = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]


class Body(BaseModel):
    """Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")
    HARMLESS: ClassVar[tuple[str, ...]] = ()  # read by nobody, as nothing of the answer depends on them


class StreamOptions(Body):
    """Of a stream."""

    include_usage: StrictBool = False


class JsonSchema(Body):
    """OpenAI's wrapper of a schema."""

    HARMLESS = ("name", "description", "strict")
    name: StrictStr = ""
    description: StrictStr | None = None
    strict: StrictBool | None = None
    schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormat(Body):
    """What form the answer takes."""

    type: Literal["text", "json_object", "json_schema", "regex"]
    json_schema: JsonSchema | None = None
    pattern: StrictStr | None = None


class SamplingBody(Body):
    """Fields that chat and text completions share: OpenAI's and vLLM's."""

    HARMLESS = ("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key")
    model: StrictStr | None = None
    max_tokens: Annotated[Count, Field(ge=1)] | None = None
    temperature: Annotated[Number, Field(ge=0, le=100)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    top_k: Annotated[Count, Field(ge=-1, le=MAX_TOP_K)] | None = None
    min_p: Annotated[Number, Field(ge=0, le=1)] = 0.0
    repetition_penalty: Annotated[Number, Field(gt=0, le=100)] | None = None
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] = 0.0
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] = 0.0
    logit_bias: dict[StrictStr, Annotated[Number, Field(ge=-100, le=100)]] | None = None
    seed: Seed | None = None
    stop: StrictStr | Annotated[list[StrictStr], Field(max_length=MAX_STOPS)] | None = None
    stop_token_ids: Annotated[list[Count], Field(max_length=MAX_STOPS)] | None = None
    include_stop_str_in_output: StrictBool = False
    ignore_eos: StrictBool = False
    min_tokens: Annotated[Count, Field(ge=0)] = 0
    allowed_token_ids: Annotated[list[Count], Field(min_length=1)] | None = None
    skip_special_tokens: StrictBool = True
    n: Annotated[Count, Field(ge=1, le=MAX_ANSWERS)] = 1
    stream: StrictBool = False
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    guided_json: dict[str, Any] | StrictStr | None = None
    guided_regex: StrictStr | None = None
    guided_choice: Annotated[list[StrictStr], Field(min_length=1, max_length=1000)] | None = None
    user: StrictStr | None = None
    metadata: dict[StrictStr, StrictStr] | None = None
    store: StrictBool | None = None
    service_tier: StrictStr | None = None
    safety_identifier: StrictStr | None = None
    prompt_cache_key: StrictStr | None = None
    # neutral values only: anything else is refused, because it would have to do something
    use_beam_search: Literal[False] = False
    length_penalty: Literal[1] = 1
    early_stopping: Literal[False] = False
    spaces_between_special_tokens: Literal[True] = True
    prompt_logprobs: Literal[None] = None
    truncate_prompt_tokens: Literal[None] = None

    @property
    def stops(self) -> tuple[str, ...]:
        """Strings that end the answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class TextPart(Body):
    """A piece of a message's content."""

    type: Literal["text"]
    text: StrictStr


class FunctionCall(Body):
    """Of a tool call."""

    name: StrictStr
    arguments: StrictStr


class ToolCall(Body):
    """In an assistant's message."""

    id: StrictStr
    type: Literal["function"] = "function"
    function: FunctionCall

    def plain(self) -> dict[str, Any]:
        """As chat templates expect it: the arguments as an object where they are one."""
        call = self.model_dump()
        with contextlib.suppress(ValueError):
            call["function"]["arguments"] = json.loads(self.function.arguments)
        return call


class Message(Body):
    """One turn of a conversation."""

    HARMLESS = ("refusal", "annotations", "audio")
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: StrictStr | list[TextPart] | None = None
    name: StrictStr | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: StrictStr | None = None
    reasoning_content: StrictStr | None = None
    reasoning: StrictStr | None = None
    refusal: None = None
    annotations: list[Any] | None = None
    audio: None = None

    def plain(self) -> dict[str, Any]:
        """As chat templates expect it."""
        content = self.content
        if isinstance(content, list):
            content = "".join(part.text for part in content)
        message: dict[str, Any] = {"role": self.role, "content": content or ""}
        if self.tool_calls:
            message["tool_calls"] = [call.plain() for call in self.tool_calls]
        for name in ("name", "tool_call_id"):
            if value := getattr(self, name):
                message[name] = value
        if reasoning := self.reasoning_content or self.reasoning:
            message["reasoning_content"] = reasoning
            if self.tool_calls and not content:
                message["thinking"] = reasoning  # gpt-oss's word, whose template takes it nowhere else
        return message


class Function(Body):
    """What the model may call."""

    HARMLESS = ("strict",)  # arguments keep to the schema wherever a call is forced, and cannot where it is not
    name: FunctionName
    description: StrictStr | None = None
    parameters: dict[str, Any] | None = None
    strict: StrictBool | None = None


class Tool(Body):
    """OpenAI's wrapper of a function."""

    type: Literal["function"]
    function: Function


class NamedFunction(Body):
    """The name alone."""

    name: StrictStr


class NamedTool(Body):
    """tool_choice that names one."""

    type: Literal["function"]
    function: NamedFunction


class ChatBody(SamplingBody):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=10_000)]
    max_completion_tokens: Annotated[Count, Field(ge=1)] | None = None
    logprobs: StrictBool = False
    top_logprobs: Annotated[Count, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: StrictBool = True
    add_generation_prompt: StrictBool = True
    continue_final_message: StrictBool = False
    chat_template: StrictStr | None = None
    chat_template_kwargs: dict[StrictStr, Any] | None = None
    documents: Literal[None] = None
    echo: Literal[False] = False
    add_special_tokens: Literal[False] = False
    reasoning_effort: Literal["low", "medium", "high"] | None = None
    include_reasoning: StrictBool = True
    modalities: list[Literal["text"]] | None = None


class CompletionBody(SamplingBody):
    """POST /v1/completions."""

    prompt: StrictStr | list[StrictStr] | list[StrictInt] | list[list[StrictInt]]
    max_tokens: Annotated[Count, Field(ge=1)] | None = 16
    logprobs: Annotated[Count, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    echo: StrictBool = False
    add_special_tokens: StrictBool = True
    best_of: Annotated[Count, Field(ge=1)] | None = None
    suffix: Literal[None, ""] = None


def sampling(body: SamplingBody, defaults: Sampling, logprobs: int | None) -> Sampling:
    """The body's own values, over the model's defaults (generation_config.json)."""

    def given(value: Any, default: Any) -> Any:
        return default if value is None else value

    return Sampling(
        temperature=given(body.temperature, defaults.temperature),
        top_p=given(body.top_p, defaults.top_p),
        top_k=max(0, given(body.top_k, defaults.top_k)),
        min_p=body.min_p,
        repetition_penalty=given(body.repetition_penalty, defaults.repetition_penalty),
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        logit_bias={int(token): bias for token, bias in (body.logit_bias or {}).items()},
        allowed_tokens=tuple(body.allowed_token_ids or ()),
        seed=body.seed,
        logprobs=logprobs,
    )
