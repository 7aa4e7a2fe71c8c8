"""POST /v1/chat/completions."""

import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request

from serving_image.api import jobs, logprobs, reading, respond
from serving_image.api.answers import Job, Piece, Usage, answer, charge
from serving_image.api.schema import ChatBody
from serving_image.api.state import Server, server_of

router = APIRouter()


@router.post("/v1/chat/completions")
async def chat_completions(body: ChatBody, request: Request) -> Any:
    """OpenAI's chat completion."""
    server = server_of(request)
    head = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "created": int(time.time()),
        "model": body.model or server.settings.model_name,
    }
    job, form = await jobs.chat(server, body, str(head["id"]))
    charge(request.state.key, [job])
    if body.stream:
        events = _events(server, body, job, form, head)
        return await respond.stream(request, events, server.settings.write_timeout)
    return await respond.while_connected(request, lambda: _whole(server, body, job, form, head))


async def _whole(server: Server, body: ChatBody, job: Job, form: reading.Form, head: dict[str, Any]) -> dict[str, Any]:
    usage = _usage(form)
    pieces: list[list[Piece]] = [[] for _ in range(body.n)]
    async for piece in answer(server, [job], usage):
        pieces[piece.index].append(piece)
    choices = [_choice(server, body, form, usage, index, parts) for index, parts in enumerate(pieces)]
    return {**head, "object": "chat.completion", "choices": choices, "usage": usage.body()}


def _usage(form: reading.Form) -> Usage:
    return Usage(reasoning_tokens=0 if form.kind else None)


def _choice(
    server: Server, body: ChatBody, form: reading.Form, usage: Usage, index: int, parts: list[Piece]
) -> dict[str, Any]:
    reader = form.answer()
    found = [reader.push(piece.text, len(piece.tokens), last=piece.finish is not None) for piece in parts]
    text, reasoning = "".join(each.text for each in found), "".join(each.reasoning for each in found)
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if calls := [call for each in found for call in each.calls]:
        message |= {"content": text or None, "tool_calls": calls}
    message |= _reasoning(reasoning)
    _count(usage, reader)
    return {
        "index": index,
        "message": message,
        "logprobs": _logprobs(server, body, parts),
        "finish_reason": reader.finish(parts[-1].finish),
    }


def _reasoning(text: str) -> dict[str, str]:
    """Under the name that DeepSeek gave it, and under the one that vLLM has since."""
    return {"reasoning_content": text, "reasoning": text} if text else {}


def _count(usage: Usage, reader: reading.Answer) -> None:
    if usage.reasoning_tokens is not None:
        usage.reasoning_tokens += reader.reasoning_tokens


def _logprobs(server: Server, body: ChatBody, parts: list[Piece]) -> dict[str, Any] | None:
    if not body.logprobs:
        return None
    return logprobs.chat(server.loaded(), [token for piece in parts for token in piece.tokens])


async def _events(
    server: Server, body: ChatBody, job: Job, form: reading.Form, head: dict[str, Any]
) -> AsyncIterator[respond.Event]:
    usage = _usage(form)
    chunk = {**head, "object": "chat.completion.chunk"}
    wants_usage = body.stream_options is not None and body.stream_options.include_usage
    none = {"usage": None} if wants_usage else {}
    readers: dict[int, reading.Answer] = {}
    async for piece in answer(server, [job], usage):
        delta: dict[str, Any] = {}
        if piece.index not in readers:
            readers[piece.index] = form.answer()
            delta = {"role": "assistant", "content": ""}
        reader = readers[piece.index]
        new = reader.push(piece.text, len(piece.tokens), last=piece.finish is not None)
        if new.text:
            delta["content"] = new.text
        if new.calls:
            delta["tool_calls"] = new.calls
        delta |= _reasoning(new.reasoning)
        choice = {
            "index": piece.index,
            "delta": delta,
            "logprobs": _logprobs(server, body, [piece]),
            "finish_reason": reader.finish(piece.finish),
        }
        yield {**chunk, "choices": [choice], **none}
    for reader in readers.values():
        _count(usage, reader)
    if wants_usage:
        yield {**chunk, "choices": [], "usage": usage.body()}
