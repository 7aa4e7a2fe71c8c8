"""POST /v1/responses: OpenAI's newer form of a chat, for text and functions. Nothing of it is stored."""

import itertools
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import APIRouter, Request

from serving_image.api import jobs, logprobs, reading, respond
from serving_image.api.answers import Job, Usage, answer, charge
from serving_image.api.output import Event, Output
from serving_image.api.refusals import Refusal, crashed
from serving_image.api.state import Server, server_of
from serving_image.api.turns import LOGPROBS, ResponsesBody, chat_of

router = APIRouter()
NAMES = {  # what a chat calls the fields of this body
    "messages": "input",
    "prompt": "input",
    "max_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
    "response_format.json_schema.schema": "text.format.schema",
}


@router.post("/v1/responses")
async def responses(body: ResponsesBody, request: Request) -> Any:
    """OpenAI's response."""
    server = server_of(request)
    response_id = f"resp_{uuid.uuid4().hex}"
    with _own_names():
        job, form = await jobs.chat(server, chat_of(body), response_id)
    charge(request.state.key, [job])
    usage = Usage()
    events = _events(server, body, job, form, _head(server, body, job, response_id), usage)
    if body.stream:
        return await respond.stream(request, _numbered(events, usage), server.settings.write_timeout, named=True)
    return await respond.while_connected(request, lambda: _last(events))


@contextmanager
def _own_names() -> Iterator[None]:
    """Refusals of the chat name the fields of this body."""
    try:
        yield
    except Refusal as refusal:
        if refusal.param in NAMES:
            refusal.message = refusal.message.replace(refusal.param, NAMES[refusal.param], 1)
            refusal.param = NAMES[refusal.param]
        raise


def _head(server: Server, body: ResponsesBody, job: Job, response_id: str) -> dict[str, Any]:
    """The response before its answer: what was asked for, with the values that count."""
    request = job.requests[0]
    choice = body.tool_choice
    return {
        "id": response_id,
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "metadata": body.metadata or {},
        "model": body.model or server.settings.model_name,
        "output": [],
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {"effort": body.reasoning.effort if body.reasoning else None, "summary": None},
        "store": False,
        "temperature": request.sampling.temperature,
        "text": {"format": body.text.format.model_dump(by_alias=True, exclude_none=True)},
        "tool_choice": (choice if isinstance(choice, str) else choice.model_dump()) if choice else "auto",
        "tools": [tool.model_dump() for tool in body.tools],
        "top_logprobs": body.top_logprobs or 0,
        "top_p": request.sampling.top_p,
        "truncation": "disabled",
        "usage": None,
    }


async def _events(
    server: Server, body: ResponsesBody, job: Job, form: reading.Form, head: dict[str, Any], usage: Usage
) -> AsyncIterator[Event]:
    """The stream's events; the last one has the whole response."""
    output, reader = Output(), form.answer()
    begun, finish = False, None
    with_logprobs = LOGPROBS in (body.include or ())
    async for piece in answer(server, [job], usage):
        if not begun:
            begun = True
            yield {"type": "response.created", "response": head}
            yield {"type": "response.in_progress", "response": head}
        finish = piece.finish
        new = reader.push(piece.text, len(piece.tokens), last=finish is not None)
        found = logprobs.chat(server.loaded(), piece.tokens)["content"] if with_logprobs else []
        for event in output.add(new, found):
            yield event
    usage.reasoning_tokens = reader.reasoning_tokens
    status = "completed" if finish == "stop" else "incomplete"
    for event in output.end(status):
        yield event
    why = {"reason": "max_output_tokens"} if status == "incomplete" else None
    more = {"status": status, "incomplete_details": why, "output": output.items, "usage": _usage(usage)}
    yield {"type": f"response.{status}", "response": {**head, **more, "completed_at": int(time.time())}}


async def _last(events: AsyncIterator[Event]) -> dict[str, Any]:
    last: Event = {}
    async for event in events:
        last = event
    response: dict[str, Any] = last["response"]
    return response


async def _numbered(events: AsyncIterator[Event], usage: Usage) -> AsyncIterator[respond.Event]:
    """The events as they go out; an error after the first is one of them."""
    numbers = itertools.count()
    head: dict[str, Any] | None = None
    try:
        async for event in events:
            head = head or event["response"]
            yield {**event, "sequence_number": next(numbers)}
    except Exception as problem:
        if head is None:
            raise
        refusal = problem if isinstance(problem, Refusal) else crashed(problem)
        error = {"code": "server_error", "message": refusal.message}
        failed = {**head, "status": "failed", "error": error, "usage": _usage(usage)}
        yield {"type": "response.failed", "response": failed, "sequence_number": next(numbers)}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.prompt_tokens - usage.cached_tokens,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
