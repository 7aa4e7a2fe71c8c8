"""/tokenize and /detokenize, with vLLM's fields and the chat template of generation. Included by the app."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field, StrictBool, StrictInt, StrictStr

from serving_image.api import jobs
from serving_image.api.refusals import Refusal, bad
from serving_image.api.schema import Body, Message, Tool
from serving_image.api.state import server_of
from serving_image.api.tokenizer import Tokenizer

router = APIRouter()
CHAT_FIELDS = {"tools", "add_generation_prompt", "continue_final_message", "chat_template", "chat_template_kwargs"}


class TokenizeBody(Body):
    """A text, or a conversation."""

    model: StrictStr | None = None
    prompt: StrictStr | None = None
    messages: Annotated[list[Message], Field(min_length=1, max_length=10_000)] | None = None
    add_special_tokens: StrictBool | None = None
    return_token_strs: StrictBool = False
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    add_generation_prompt: StrictBool = True
    continue_final_message: StrictBool = False
    chat_template: StrictStr | None = None
    chat_template_kwargs: dict[StrictStr, Any] | None = None


class DetokenizeBody(Body):
    """Tokens."""

    model: StrictStr | None = None
    tokens: list[StrictInt]


@router.post("/tokenize")
async def tokenize(body: TokenizeBody, request: Request) -> dict[str, Any]:
    """Tokens of a prompt."""
    server = server_of(request)
    tokenizer = server.loaded()
    template = server.template(body.model, body.chat_template)
    _check(body)
    if body.tools and not tokenizer.knows_tools(template):
        raise bad("tools", "the model's chat template does not know them")
    length = len(body.prompt or "") + sum(len(message.plain()["content"]) for message in body.messages or ())
    found = await jobs.tokenize(length, lambda: _encoded(tokenizer, body, template))
    answer: dict[str, Any] = {"count": len(found), "max_model_len": None, "tokens": found}
    if server.engine.info:
        answer["max_model_len"] = server.engine.info.context_tokens
    if body.return_token_strs:
        answer["token_strs"] = await asyncio.to_thread(tokenizer.inner.convert_ids_to_tokens, found)
    return answer


def _check(body: TokenizeBody) -> None:
    if (body.prompt is None) == (body.messages is None):
        raise Refusal(400, "send either prompt or messages", code="invalid_value", param="prompt")
    if body.messages and body.add_special_tokens:
        raise bad("add_special_tokens", "the chat template writes them; only false goes with messages")
    if body.prompt is not None and (given := sorted(CHAT_FIELDS & body.model_fields_set)):
        raise bad(given[0], "goes with messages, not with prompt")
    if body.continue_final_message and body.add_generation_prompt:
        raise bad("continue_final_message", "needs add_generation_prompt: false")


def _encoded(tokenizer: Tokenizer, body: TokenizeBody, template: str | None) -> tuple[int, ...]:
    if body.messages is None:
        return tokenizer.encode(body.prompt or "", special=body.add_special_tokens is not False)
    return tokenizer.chat(
        [message.plain() for message in body.messages],
        tools=[tool.model_dump(exclude_none=True) for tool in body.tools] if body.tools else None,
        template=template,
        add_generation_prompt=body.add_generation_prompt,
        continue_final_message=body.continue_final_message,
        variables=body.chat_template_kwargs,
    )


@router.post("/detokenize")
async def detokenize(body: DetokenizeBody, request: Request) -> dict[str, str]:
    """Text of tokens."""
    server = server_of(request)
    tokenizer = server.loaded()
    server.adapter(body.model)
    size = server.engine.info.vocabulary if server.engine.info else 0
    if wrong := next((token for token in body.tokens if not 0 <= token < size), None):
        raise bad("tokens", f"token {wrong} is not one of this model's {size}")
    return {"prompt": await asyncio.to_thread(tokenizer.decode, body.tokens, False)}
