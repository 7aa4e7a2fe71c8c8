"""POST /v1/completions."""

import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request

from serving_image.api import jobs, logprobs, respond
from serving_image.api.answers import Job, Piece, Usage, answer, charge
from serving_image.api.grammars import grammar_of
from serving_image.api.refusals import bad
from serving_image.api.schema import CompletionBody
from serving_image.api.state import Server, server_of

router = APIRouter()


@router.post("/v1/completions")
async def completions(body: CompletionBody, request: Request) -> Any:
    """OpenAI's text completion."""
    server = server_of(request)
    head = {
        "id": f"cmpl-{uuid.uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": body.model or server.settings.model_name,
    }
    all_jobs, texts = await _jobs(server, body, str(head["id"]))
    charge(request.state.key, all_jobs)
    if body.stream:
        events = _events(server, body, all_jobs, texts, head)
        return await respond.stream(request, events, server.settings.write_timeout)
    return await respond.while_connected(request, lambda: _whole(server, body, all_jobs, texts, head))


async def _jobs(server: Server, body: CompletionBody, request_id: str) -> tuple[list[Job], list[str]]:
    """A job per prompt, and each prompt's text where it is to be echoed."""
    tokenizer = server.loaded()
    if body.best_of is not None and body.best_of != body.n:
        raise bad("best_of", "only the value of n is possible")
    if body.echo and body.logprobs is not None:
        raise bad("echo", "cannot be combined with logprobs: those of the prompt are not computed")
    grammar = await grammar_of(body)
    prompts = []
    for prompt in _prompts(body):
        if isinstance(prompt, str):
            work = lambda text=prompt: tokenizer.encode(text, special=body.add_special_tokens)  # noqa: E731
            prompts.append(await jobs.tokenize(len(prompt), work))
        else:
            prompts.append(tuple(prompt))
    made = [
        jobs.job(server, body, f"{request_id}-{index}", prompt, body.max_tokens, body.logprobs, grammar)
        for index, prompt in enumerate(prompts)
    ]
    return made, [tokenizer.decode(prompt, True) if body.echo else "" for prompt in prompts for _ in range(body.n)]


def _prompts(body: CompletionBody) -> Sequence[str | Sequence[int]]:
    prompt: Any = body.prompt
    if isinstance(prompt, str) or (prompt and isinstance(prompt[0], int)):
        return [prompt]
    if not prompt:
        raise bad("prompt", "is empty")
    if len(prompt) > 128:
        raise bad("prompt", f"{len(prompt)} prompts are more than 128")
    return list(prompt)


async def _whole(
    server: Server, body: CompletionBody, all_jobs: Sequence[Job], texts: Sequence[str], head: dict[str, Any]
) -> dict[str, Any]:
    usage = Usage()
    pieces: list[list[Piece]] = [[] for _ in texts]
    async for piece in answer(server, all_jobs, usage):
        pieces[piece.index].append(piece)
    choices = [
        {
            "index": index,
            "text": text + "".join(piece.text for piece in parts),
            "logprobs": _logprobs(server, body, parts, 0),
            "finish_reason": parts[-1].finish,
        }
        for index, (text, parts) in enumerate(zip(texts, pieces, strict=True))
    ]
    return {**head, "choices": choices, "usage": usage.body()}


def _logprobs(server: Server, body: CompletionBody, parts: Sequence[Piece], offset: int) -> dict[str, Any] | None:
    if body.logprobs is None:
        return None
    return logprobs.completion(server.loaded(), [token for piece in parts for token in piece.tokens], offset)


async def _events(
    server: Server, body: CompletionBody, all_jobs: Sequence[Job], texts: Sequence[str], head: dict[str, Any]
) -> AsyncIterator[respond.Event]:
    usage = Usage()
    wants_usage = body.stream_options is not None and body.stream_options.include_usage
    none = {"usage": None} if wants_usage else {}
    offsets = [0] * len(texts)
    echoed = list(texts)
    async for piece in answer(server, all_jobs, usage):
        text, echoed[piece.index] = echoed[piece.index] + piece.text, ""
        choice = {
            "index": piece.index,
            "text": text,
            "logprobs": _logprobs(server, body, [piece], offsets[piece.index]),
            "finish_reason": piece.finish,
        }
        offsets[piece.index] += len(text)
        yield {**head, "choices": [choice], **none}
    if wants_usage:
        yield {**head, "choices": [], "usage": usage.body()}
