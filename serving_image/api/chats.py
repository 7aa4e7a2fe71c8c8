"""POST /v1/chat/completions."""

import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request

from serving_image.api import jobs, logprobs, respond, tools
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
    job, wanted = await jobs.chat(server, body, str(head["id"]))
    charge(request.state.key, [job])
    if body.stream:
        events = _events(server, body, job, wanted, head)
        return await respond.stream(request, events, server.settings.write_timeout)
    return await respond.while_connected(request, lambda: _whole(server, body, job, wanted, head))


async def _whole(
    server: Server, body: ChatBody, job: Job, wanted: tools.Wanted, head: dict[str, Any]
) -> dict[str, Any]:
    usage = Usage()
    pieces: list[list[Piece]] = [[] for _ in range(body.n)]
    async for piece in answer(server, [job], usage):
        pieces[piece.index].append(piece)
    choices = [_choice(server, body, wanted, index, parts) for index, parts in enumerate(pieces)]
    return {**head, "object": "chat.completion", "choices": choices, "usage": usage.body()}


def _choice(server: Server, body: ChatBody, wanted: tools.Wanted, index: int, parts: list[Piece]) -> dict[str, Any]:
    reader = tools.Reader(wanted)
    text, calls = reader.push("".join(piece.text for piece in parts), last=True)
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if calls:
        message |= {"content": text or None, "tool_calls": calls}
    return {
        "index": index,
        "message": message,
        "logprobs": _logprobs(server, body, parts),
        "finish_reason": reader.finish(parts[-1].finish),
    }


def _logprobs(server: Server, body: ChatBody, parts: list[Piece]) -> dict[str, Any] | None:
    if not body.logprobs:
        return None
    return logprobs.chat(server.loaded(), [token for piece in parts for token in piece.tokens])


async def _events(
    server: Server, body: ChatBody, job: Job, wanted: tools.Wanted, head: dict[str, Any]
) -> AsyncIterator[respond.Event]:
    usage = Usage()
    chunk = {**head, "object": "chat.completion.chunk"}
    wants_usage = body.stream_options is not None and body.stream_options.include_usage
    none = {"usage": None} if wants_usage else {}
    readers: dict[int, tools.Reader] = {}
    async for piece in answer(server, [job], usage):
        delta: dict[str, Any] = {}
        if piece.index not in readers:
            readers[piece.index] = tools.Reader(wanted)
            delta = {"role": "assistant", "content": ""}
        reader = readers[piece.index]
        text, calls = reader.push(piece.text, last=piece.finish is not None)
        if text:
            delta["content"] = text
        if calls:
            delta["tool_calls"] = calls
        choice = {
            "index": piece.index,
            "delta": delta,
            "logprobs": _logprobs(server, body, [piece]),
            "finish_reason": reader.finish(piece.finish),
        }
        yield {**chunk, "choices": [choice], **none}
    if wants_usage:
        yield {**chunk, "choices": [], "usage": usage.body()}
