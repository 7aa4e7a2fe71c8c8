"""Sends streaming requests to a server and notes when each piece came. Called by the bench command and benchmarks/.

Any server of OpenAI's chat API will do, so that two servers can be measured by the same code.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from serving_image.bench.wire import posted

REFUSED = 429
WORDS = ("river", "stone", "cloud", "field", "house", "light", "market", "song", "table", "north", "winter", "glass")


@dataclass(frozen=True)
class Ask:
    """One request: when it is sent, in seconds from the start, and its body."""

    at_seconds: float
    body: Mapping[str, Any]


@dataclass
class Answer:
    """What became of a request; times on the monotonic clock.

    Attributes:
        pieces: When each piece of text came.
        reported_tokens: What the server says the answer had; 0 where it says nothing.
        whole: The stream came to its proper end.
    """

    sent: float
    status: int = 0
    ended: float = 0.0
    pieces: list[float] = field(default_factory=list)
    reported_tokens: int = 0
    whole: bool = False

    @property
    def tokens(self) -> int:
        """Of the answer; a piece can hold several, so the server's own count goes first."""
        return self.reported_tokens or len(self.pieces)


def story(index: int, words: int) -> str:
    """A question of its own from the first word on, so that nothing is shared with another one's prompt."""
    listed = " ".join(WORDS[(index + place) % len(WORDS)] for place in range(words))
    return f"{index}: tell a very long story about {listed}"


def chat(text: str, answer_tokens: int, model: str | None = None, **fields: Any) -> dict[str, Any]:
    """A greedy, streaming chat request."""
    messages = [{"role": "user", "content": text}]
    body = {"messages": messages, "max_tokens": answer_tokens, "temperature": 0, "stream": True, **fields}
    return {"model": model, **body} if model else body


async def send(url: str, asks: Sequence[Ask], *, key: str = "", limit_seconds: float | None = None) -> list[Answer]:
    """Send all requests, each at its time, and read their answers.

    Args:
        url: Of the server, without /v1.
        asks: In any order.
        key: An API key, if the server wants one.
        limit_seconds: Stop reading then; what came until then counts.
    """
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answers = [Answer(0.0) for _ in asks]
    tasks = [asyncio.create_task(_one(url, headers, ask, answer)) for ask, answer in zip(asks, answers, strict=True)]
    _, late = await asyncio.wait(tasks, timeout=limit_seconds)
    for task in late:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome
    return answers


async def _one(url: str, headers: Mapping[str, str], ask: Ask, answer: Answer) -> None:
    body = json.dumps(ask.body).encode()
    await asyncio.sleep(ask.at_seconds)
    answer.sent = time.monotonic()
    try:
        async with posted(url, "/v1/chat/completions", body, headers) as reply:
            answer.status = reply.status
            if answer.status not in (200, REFUSED):
                text = "\n".join([line async for line in reply.lines()])
                raise RuntimeError(f"{url} answered {answer.status}: {text[:500]}")
            async for line in reply.lines():
                _note(answer, line)
    finally:
        answer.ended = time.monotonic()


def _note(answer: Answer, line: str) -> None:
    if not line.startswith("data: {"):
        answer.whole = answer.whole or line == "data: [DONE]"
        return
    event = json.loads(line.removeprefix("data: "))
    for choice in event.get("choices") or []:
        if choice["delta"].get("content"):
            answer.pieces.append(time.monotonic())
        answer.whole = answer.whole or bool(choice.get("finish_reason"))
    if usage := event.get("usage"):
        answer.reported_tokens = usage["completion_tokens"]
