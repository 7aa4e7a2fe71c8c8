"""What POST /v1/responses accepts, and how it becomes a chat. Called by responses.py.

Nothing is stored between two requests, so whatever would refer to something stored is refused with that reason.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, StrictBool, StrictStr, Tag

from serving_image.api.refusals import bad
from serving_image.api.schema import (
    MAX_LOGPROBS,
    MAX_STOPS,
    MAX_TOP_K,
    Body,
    ChatBody,
    Count,
    Function,
    FunctionCall,
    FunctionName,
    JsonSchema,
    Message,
    NamedFunction,
    NamedTool,
    Number,
    ResponseFormat,
    Seed,
    Tool,
    ToolCall,
)

LOGPROBS = "message.output_text.logprobs"


def _nothing_is_stored(value: object) -> object:
    if value not in (None, False):
        raise ValueError("nothing is stored here; send the whole conversation as input, and store: false or no store")
    return value


NotStored = Annotated[None, BeforeValidator(_nothing_is_stored)]


class Part(Body):
    """A piece of text: the user's, or the model's sent back."""

    HARMLESS = ("annotations", "logprobs")
    type: Literal["input_text", "output_text"]
    text: StrictStr
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None


class MessageItem(Body):
    """One turn."""

    HARMLESS = ("id", "status")
    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: StrictStr | Annotated[list[Part], Field(max_length=1000)]
    id: StrictStr | None = None
    status: StrictStr | None = None


class CallItem(Body):
    """A call that the model made, sent back."""

    HARMLESS = ("id", "status")
    type: Literal["function_call"]
    call_id: StrictStr
    name: StrictStr
    arguments: StrictStr
    id: StrictStr | None = None
    status: StrictStr | None = None


class CallOutputItem(Body):
    """What the function answered."""

    HARMLESS = ("id", "status")
    type: Literal["function_call_output"]
    call_id: StrictStr
    output: StrictStr | Annotated[list[Part], Field(max_length=1000)]
    id: StrictStr | None = None
    status: StrictStr | None = None


class ReasoningPart(Body):
    """A piece of the model's reasoning, sent back."""

    type: Literal["reasoning_text"]
    text: StrictStr


class ReasoningItem(Body):
    """The model's reasoning, sent back; it belongs to the turn that follows."""

    HARMLESS = ("id", "status", "summary", "encrypted_content")
    type: Literal["reasoning"]
    content: Annotated[list[ReasoningPart], Field(max_length=1000)] | None = None
    id: StrictStr | None = None
    status: StrictStr | None = None
    summary: Annotated[tuple[Any, ...], Field(max_length=0)] = ()
    encrypted_content: None = None


def _kind(item: object) -> str:
    kind = item.get("type", "message") if isinstance(item, dict) else getattr(item, "type", "")
    return kind if isinstance(kind, str) else ""


KINDS = (
    "type must be message, reasoning, function_call or function_call_output; nothing is stored that an item could "
    "refer to"
)
Item = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[ReasoningItem, Tag("reasoning")]
    | Annotated[CallItem, Tag("function_call")]
    | Annotated[CallOutputItem, Tag("function_call_output")],
    Discriminator(_kind, custom_error_type="item_type", custom_error_message=KINDS),
]


class TextFormat(Body):
    """What form the answer takes; the schema stands beside its name here."""

    type: Literal["text", "json_object", "json_schema"]
    name: StrictStr | None = None
    description: StrictStr | None = None
    strict: StrictBool | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")


class TextOptions(Body):
    """The wrapper of the format."""

    format: TextFormat = Field(default_factory=lambda: TextFormat.model_validate({"type": "text"}))
    verbosity: Literal["medium", None] = None


class FunctionTool(Body):
    """A function; there are no tools of the server's own."""

    type: Literal["function"]
    name: FunctionName
    description: StrictStr | None = None
    parameters: dict[str, Any] | None = None
    strict: StrictBool | None = None


class FunctionChoice(Body):
    """tool_choice that names one."""

    type: Literal["function"]
    name: StrictStr


class StreamOptions(Body):
    """Of a stream, whose events are never padded here."""

    include_obfuscation: Literal[False] = False


class ReasoningOptions(Body):
    """How much the model thinks, where its chat template knows that; nothing is summed up here."""

    effort: Literal["low", "medium", "high"] | None = None
    summary: None = None
    generate_summary: None = None


class ResponsesBody(Body):
    """POST /v1/responses: OpenAI's fields, then vLLM's."""

    HARMLESS = ("user", "safety_identifier", "prompt_cache_key", "service_tier")
    input: StrictStr | Annotated[list[Item], Field(min_length=1, max_length=9_999)]
    model: StrictStr | None = None
    instructions: StrictStr | None = None
    max_output_tokens: Annotated[Count, Field(ge=1)] | None = None
    temperature: Annotated[Number, Field(ge=0, le=100)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    text: TextOptions = Field(default_factory=TextOptions)
    tools: Annotated[tuple[FunctionTool, ...], Field(max_length=128)] = ()
    tool_choice: Literal["none", "auto", "required"] | FunctionChoice | None = None
    parallel_tool_calls: StrictBool | None = None
    include: list[Literal["message.output_text.logprobs", "reasoning.encrypted_content"]] | None = None
    top_logprobs: Annotated[Count, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    metadata: Annotated[dict[Annotated[StrictStr, Field(max_length=64)], StrictStr], Field(max_length=16)] | None = None
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    store: Annotated[Literal[False, None], BeforeValidator(_nothing_is_stored)] = None
    previous_response_id: NotStored = None
    conversation: NotStored = None
    prompt: NotStored = None
    background: Literal[False, None] = None
    truncation: Literal["disabled", None] = None
    reasoning: ReasoningOptions | None = None
    max_tool_calls: Literal[None] = None
    user: StrictStr | None = None
    safety_identifier: StrictStr | None = None
    prompt_cache_key: StrictStr | None = None
    service_tier: StrictStr | None = None
    top_k: Annotated[Count, Field(ge=-1, le=MAX_TOP_K)] | None = None
    min_p: Annotated[Number, Field(ge=0, le=1)] = 0.0
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] = 0.0
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] = 0.0
    repetition_penalty: Annotated[Number, Field(gt=0, le=100)] | None = None
    seed: Seed | None = None
    stop: StrictStr | Annotated[list[StrictStr], Field(max_length=MAX_STOPS)] | None = None
    ignore_eos: StrictBool = False
    chat_template_kwargs: dict[StrictStr, Any] | None = None


SAME = (  # in a chat
    *("model", "temperature", "top_p", "top_logprobs", "top_k", "min_p", "presence_penalty", "frequency_penalty"),
    *("repetition_penalty", "seed", "stop", "ignore_eos", "chat_template_kwargs"),
)


def chat_of(body: ResponsesBody) -> ChatBody:
    """The chat that a response is.

    Raises:
        Refusal: 400, for what does not fit together.
    """
    wants_logprobs = LOGPROBS in (body.include or ())
    if body.top_logprobs and not wants_logprobs:
        raise bad("top_logprobs", f'needs include: ["{LOGPROBS}"]')
    choice = body.tool_choice
    return ChatBody(
        messages=_messages(body),
        max_completion_tokens=body.max_output_tokens,
        response_format=_format(body.text.format),
        tools=[_tool(tool) for tool in body.tools] or None,
        tool_choice=_named(choice) if isinstance(choice, FunctionChoice) else choice,
        reasoning_effort=body.reasoning.effort if body.reasoning else None,
        parallel_tool_calls=body.parallel_tool_calls is not False,
        logprobs=wants_logprobs,
        **{name: getattr(body, name) for name in SAME},
    )


def _messages(body: ResponsesBody) -> list[Message]:
    messages = [Message(role="system", content=body.instructions)] if body.instructions else []
    if isinstance(body.input, str):
        return [*messages, Message(role="user", content=body.input)]
    calls: Mapping[str, str] = {item.call_id: item.name for item in body.input if isinstance(item, CallItem)}
    for item in body.input:
        match item:
            case MessageItem():
                _add_message(messages, item)
            case ReasoningItem():
                text = "".join(part.text for part in item.content or ())
                messages.append(Message(role="assistant", content=None, reasoning_content=text))
            case CallItem():
                _add_call(messages, item)
            case CallOutputItem():
                if item.call_id not in calls:
                    raise bad("input", f"there is no function_call with the call_id {item.call_id!r}")
                name, text = calls[item.call_id], _text(item.output)
                messages.append(Message(role="tool", tool_call_id=item.call_id, name=name, content=text))
    return messages


def _add_message(messages: list[Message], item: MessageItem) -> None:
    """The answer goes into the turn that its reasoning has begun."""
    last = messages[-1] if messages else None
    if item.role == "assistant" and last and last.reasoning_content is not None and last.content is None:
        last.content = _text(item.content)
    else:
        messages.append(Message(role=item.role, content=_text(item.content)))


def _add_call(messages: list[Message], item: CallItem) -> None:
    """To the model's turn, which text and other calls may have begun."""
    if not messages or messages[-1].role != "assistant":
        messages.append(Message(role="assistant", content=None))
    call = ToolCall(id=item.call_id, function=FunctionCall(name=item.name, arguments=item.arguments))
    messages[-1].tool_calls = [*(messages[-1].tool_calls or ()), call]


def _text(content: str | list[Part]) -> str:
    return content if isinstance(content, str) else "".join(part.text for part in content)


def _format(wanted: TextFormat) -> ResponseFormat:
    if wanted.type != "json_schema":
        return ResponseFormat(type=wanted.type)
    if wanted.schema_ is None:
        raise bad("text.format.schema", "is missing")
    return ResponseFormat(type="json_schema", json_schema=JsonSchema(schema=wanted.schema_))


def _tool(tool: FunctionTool) -> Tool:
    function = Function(**tool.model_dump(exclude={"type"}))
    return Tool(type="function", function=function)


def _named(choice: FunctionChoice) -> NamedTool:
    return NamedTool(type="function", function=NamedFunction(name=choice.name))
