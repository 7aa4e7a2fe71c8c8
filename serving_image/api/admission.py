"""How much may wait: bounded by requests and by tokens, refused at once beyond. Called by answers.py and the app."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from serving_image.api.refusals import Refusal


@dataclass(eq=False)
class Ticket:
    """One request's place in the queue."""

    tokens: int
    waiting: bool = True


class Gate:
    """Counts what waits and what runs; everything happens on the event loop, so nothing is locked."""

    def __init__(self, max_requests: int, max_tokens: int) -> None:
        self._max_requests = max_requests
        self._max_tokens = max_tokens
        self.waiting_requests = 0
        self.waiting_tokens = 0
        self.inside = 0
        self.draining = False
        self._empty = asyncio.Event()
        self._empty.set()

    @contextmanager
    def admit(self, tokens: int, answers: int, running: int) -> Iterator[list[Ticket]]:
        """Take a place for each answer.

        Args:
            tokens: Of the prompt.
            answers: Computed for it.
            running: Places that are free now, so that what fits at once is no queue.

        Raises:
            Refusal: 429, if the queue is full.
        """
        self.check(answers, running)
        if self.waiting_tokens and self.waiting_tokens + tokens * answers > self._max_tokens:
            raise self._full(f"{self.waiting_tokens} prompt tokens wait and {self._max_tokens} may")
        tickets = [Ticket(tokens) for _ in range(answers)]
        self.waiting_requests += answers
        self.waiting_tokens += tokens * answers
        self.inside += 1
        self._empty.clear()
        try:
            yield tickets
        finally:
            for ticket in tickets:
                self.started(ticket)
            self.inside -= 1
            if not self.inside:
                self._empty.set()

    def check(self, answers: int, running: int) -> None:
        """Whether so many answers find a place; before a body is read it is not known that it asks for more than one.

        Raises:
            Refusal: 429, if the queue is full.
        """
        if self.waiting_requests + answers - max(0, running) > self._max_requests:
            raise self._full(f"{self.waiting_requests} requests wait and {self._max_requests} may")

    def started(self, ticket: Ticket) -> None:
        """It waits no more."""
        if ticket.waiting:
            ticket.waiting = False
            self.waiting_requests -= 1
            self.waiting_tokens -= ticket.tokens

    async def empty(self, timeout: float) -> bool:
        """Wait until nobody is inside; False after `timeout` seconds."""
        try:
            await asyncio.wait_for(self._empty.wait(), timeout)
        except TimeoutError:
            return False
        return True

    def _full(self, message: str) -> Refusal:
        return Refusal(429, f"too many requests: {message}; try again later", code="queue_full", retry_after=2)
