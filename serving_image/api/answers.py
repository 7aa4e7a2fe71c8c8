"""From a prompt to pieces of text: admission, deadlines, cancellation, stop strings. Called by the routes."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from serving_image.api import traces
from serving_image.api.admission import Ticket
from serving_image.api.keys import Key
from serving_image.api.refusals import Refusal, bad
from serving_image.api.state import Server
from serving_image.api.text import Detokenizer, Stops
from serving_image.requests import Progress, Request, Token


@dataclass(frozen=True)
class Job:
    """One prompt and what is wanted of it; `requests` differ only in id and seed."""

    requests: Sequence[Request]
    stops: tuple[str, ...] = ()
    include_stop: bool = False
    skip_special: bool = True


@dataclass(frozen=True)
class Piece:
    """What is new of one answer."""

    index: int
    text: str = ""
    tokens: tuple[Token, ...] = ()
    finish: str | None = None


@dataclass
class Usage:
    """What an answer cost."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int | None = None  # None: not told apart

    def body(self) -> dict[str, object]:
        """OpenAI's usage object."""
        told = self.reasoning_tokens is not None
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
            **({"completion_tokens_details": {"reasoning_tokens": self.reasoning_tokens}} if told else {}),
        }


@dataclass
class Times:
    """Of one answer, on the monotonic clock."""

    arrived: float = field(default_factory=time.monotonic)
    started: float = 0.0
    first: float = 0.0
    last: float = 0.0
    tokens: int = 0


def check_length(server: Server, prompt: Sequence[int], max_tokens: int | None) -> int:
    """How long the answer may be.

    Raises:
        Refusal: 400, where the prompt or the two together are longer than the context.
    """
    assert server.engine.info
    context = server.engine.info.context_tokens
    if not prompt:
        raise bad("prompt", "is empty")
    if len(prompt) >= context:
        raise Refusal(
            400,
            f"the prompt has {len(prompt)} tokens and the context {context}, which must hold the answer too",
            code="context_length_exceeded",
            param="prompt",
        )
    if max_tokens and len(prompt) + max_tokens > context:
        raise Refusal(
            400,
            f"the prompt has {len(prompt)} tokens and max_tokens is {max_tokens}: together more than the context of "
            f"{context}; ask for {context - len(prompt)} at most",
            code="context_length_exceeded",
            param="max_tokens",
        )
    return max_tokens or context - len(prompt)


def charge(key: Key | None, jobs: Sequence[Job]) -> None:
    """Count the jobs against the limits of the key that asks.

    Raises:
        Refusal: 429.
    """
    if key:
        requests = [request for job in jobs for request in job.requests]
        key.spend(sum(len(request.prompt) + request.max_tokens for request in requests))


async def answer(server: Server, jobs: Sequence[Job], usage: Usage) -> AsyncIterator[Piece]:
    """Pieces of all answers as they come; `usage` is filled on the way.

    Raises:
        Refusal: 429 at once; 408 at a deadline; 500 and 503 where the engine fails.
    """
    requests = [(job, request) for job in jobs for request in job.requests]
    tokens = max(len(request.prompt) for _, request in requests)
    usage.prompt_tokens += sum(len(job.requests[0].prompt) for job in jobs)
    asked = [request for _, request in requests]
    with traces.noting(asked, usage), server.gate.admit(tokens, len(requests), server.free_places) as tickets:
        for job in jobs:
            server.metrics.params_n.observe(len(job.requests))
        streams = [
            _one(server, index, job, request, ticket, usage)
            for index, ((job, request), ticket) in enumerate(zip(requests, tickets, strict=True))
        ]
        if len(streams) == 1:
            async for piece in streams[0]:
                yield piece
        else:
            async for piece in _merge(streams):
                yield piece


async def _merge(streams: Sequence[AsyncIterator[Piece]]) -> AsyncIterator[Piece]:
    """Pieces of several answers in the order they come."""
    queue: asyncio.Queue[Piece | BaseException | None] = asyncio.Queue()

    async def pump(stream: AsyncIterator[Piece]) -> None:
        try:
            async for piece in stream:
                queue.put_nowait(piece)
            queue.put_nowait(None)
        except Exception as error:
            queue.put_nowait(error)

    tasks = [asyncio.create_task(pump(stream)) for stream in streams]
    try:
        left = len(tasks)
        while left:
            item = await queue.get()
            if item is None:
                left -= 1
            elif isinstance(item, BaseException):
                raise item
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _one(
    server: Server, index: int, job: Job, request: Request, ticket: Ticket, usage: Usage
) -> AsyncIterator[Piece]:
    tokenizer = server.loaded()
    detokenizer, stops = Detokenizer(tokenizer, job.skip_special), Stops(job.stops, job.include_stop)
    times = Times()
    count = 0
    stream = server.engine.submit(request)
    try:
        async for progress in _with_deadlines(server, stream, times):
            _note(server, request, progress, ticket, times, usage)
            count += len(progress.tokens)
            piece = _piece(index, progress, request, detokenizer, stops)
            if piece.finish:
                _finished(server, request, piece.finish, count, times)
            if piece.text or piece.tokens or piece.finish:
                yield piece
            if piece.finish:
                return
    except Refusal as refusal:
        if times.started:
            refusal.usage = replace(usage, reasoning_tokens=None).body()  # which is not told apart yet
        raise
    finally:
        await stream.aclose()  # type: ignore[attr-defined]


def _piece(index: int, progress: Progress, request: Request, detokenizer: Detokenizer, stops: Stops) -> Piece:
    shown = tuple(token for token in progress.tokens if token.id not in request.stop_tokens)
    over = progress.finish is not None
    text = stops.push(detokenizer.push([token.id for token in shown], last=over), last=over)
    return Piece(index, text, shown, "stop" if stops.found else progress.finish)


async def _with_deadlines(server: Server, stream: AsyncIterator[Progress], times: Times) -> AsyncIterator[Progress]:
    settings = server.settings
    while True:
        limits = {
            "queue": 0.0 if times.started else settings.queue_timeout,
            "first_token": 0.0 if times.first else settings.first_token_timeout,
            "total": settings.total_timeout,
        }
        open_limits = {name: limit for name, limit in limits.items() if limit}
        name = min(open_limits, key=lambda each: open_limits[each], default="")
        left = times.arrived + open_limits[name] - time.monotonic() if name else None
        try:
            async with asyncio.timeout(left):
                progress = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            server.metrics.refused(f"{name}_timeout")
            message = f"the request took longer than --{name.replace('_', '-')}-timeout, {open_limits[name]:g} s"
            message += f", after {times.tokens} tokens" if times.tokens else ""
            raise Refusal(408, message, code=f"{name}_timeout") from None
        if progress.finish == "error":
            raise Refusal(503 if server.engine.state == "failed" else 500, progress.message, code="engine_error")
        if progress.finish == "cancelled":
            raise Refusal(503, "the request was cancelled: the server is stopping", code="cancelled")
        yield progress


def _note(server: Server, request: Request, progress: Progress, ticket: Ticket, times: Times, usage: Usage) -> None:
    """Times, counters and usage of one step."""
    now, metrics = time.monotonic(), server.metrics
    if progress.started:
        times.started = now
        server.gate.started(ticket)
        usage.cached_tokens = max(usage.cached_tokens, progress.cached_tokens)
        metrics.queued.observe(now - times.arrived)
        metrics.prompt_tokens.inc(len(request.prompt))
    if not progress.tokens:
        return
    if times.first:
        metrics.between_tokens.observe(now - times.last)
    else:
        times.first = now
        metrics.first_token.observe(now - times.arrived)
        metrics.prefill.observe(now - times.started)
    times.last = now
    times.tokens += len(progress.tokens)
    metrics.generation_tokens.inc(len(progress.tokens))
    usage.completion_tokens += len(progress.tokens)


def _finished(server: Server, request: Request, reason: str, count: int, times: Times) -> None:
    metrics = server.metrics
    traces.answered(reason, times)
    metrics.finished(reason)
    metrics.whole.observe(times.last - times.arrived)
    metrics.decode.observe(times.last - times.first)
    metrics.inference.observe(times.last - times.started)
    metrics.per_token.observe((times.last - times.first) / max(1, count - 1))
    metrics.request_prompt.observe(len(request.prompt))
    metrics.request_answer.observe(count)
    metrics.request_max.observe(request.max_tokens)
    metrics.params_max.observe(request.max_tokens)
