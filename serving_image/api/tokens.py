"""/tokenize and /detokenize, with vLLM's fields."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field, StrictBool, StrictInt, StrictStr

from serving_image.api import jobs
from serving_image.api.refusals import Refusal, bad
from serving_image.api.schema import Body, Message
from serving_image.api.state import server_of

router = APIRouter()


class TokenizeBody(Body):
    """A text, or a conversation."""

    model: StrictStr | None = None
    prompt: StrictStr | None = None
    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    add_special_tokens: StrictBool = True
    add_generation_prompt: StrictBool = True
    return_token_strs: StrictBool = False


class DetokenizeBody(Body):
    """Tokens."""

    model: StrictStr | None = None
    tokens: list[StrictInt]


@router.post("/tokenize")
async def tokenize(body: TokenizeBody, request: Request) -> dict[str, Any]:
    """Tokens of a prompt."""
    server = server_of(request)
    tokenizer = server.loaded()
    server.adapter(body.model)
    if (body.prompt is None) == (body.messages is None):
        raise Refusal(400, "send either prompt or messages", code="invalid_value", param="prompt")
    if body.messages:
        messages = [message.plain() for message in body.messages]
        length = sum(len(message["content"]) for message in messages)
        work = lambda: tokenizer.chat(messages, add_generation_prompt=body.add_generation_prompt)  # noqa: E731
    else:
        text = body.prompt or ""
        length = len(text)
        work = lambda: tokenizer.encode(text, special=body.add_special_tokens)  # noqa: E731
    found = list(await jobs.tokenize(length, work))
    context = server.engine.info.context_tokens if server.engine.info else None
    texts = {"token_strs": [tokenizer.decode([token], False) for token in found]} if body.return_token_strs else {}
    return {"count": len(found), "max_model_len": context, "tokens": found, **texts}


@router.post("/detokenize")
async def detokenize(body: DetokenizeBody, request: Request) -> dict[str, str]:
    """Text of tokens."""
    server = server_of(request)
    tokenizer = server.loaded()
    server.adapter(body.model)
    size = server.engine.info.vocabulary if server.engine.info else 0
    if wrong := [token for token in body.tokens if not 0 <= token < size]:
        raise bad("tokens", f"token {wrong[0]} is not one of this model's {size}")
    return {"prompt": tokenizer.decode(body.tokens, False)}
