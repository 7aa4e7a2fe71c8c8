"""A request that runs, and what one step does with it. Called by the batch and the stepper."""

from dataclasses import dataclass, field
from random import Random

from serving_image.engine.grammar import Matcher
from serving_image.engine.kv import Pool, Row
from serving_image.engine.lora import Adapter
from serving_image.errors import EngineError
from serving_image.requests import Finish, Progress, Request, Token


@dataclass(eq=False)
class Sequence:
    """One request's state."""

    request: Request
    tokens: list[int]  # prompt and answer
    random: Random
    matcher: Matcher | None = None
    adapter: Adapter | None = None
    row: Row | None = None  # None while it waits
    started: bool = False
    short_tokens: int | None = None  # above so many, positions have other values: see longrope.py

    @classmethod
    def of(cls, request: Request, matcher: Matcher | None = None, adapter: Adapter | None = None) -> "Sequence":
        """A new one; without a seed the tokens differ every time."""
        return cls(request, list(request.prompt), Random(request.sampling.seed), matcher, adapter)

    @property
    def long(self) -> bool:
        """Its positions have the values of long texts."""
        return self.short_tokens is not None and len(self.tokens) > self.short_tokens

    @property
    def computed(self) -> int:
        """Tokens whose keys and values are stored."""
        return len(self.row.tokens) if self.row else 0

    @property
    def owner(self) -> str | None:
        """Whose keys and values its own may be shared with."""
        key = self.adapter.key if self.adapter else None
        return f"{key or ''}+long" if self.long else key

    @property
    def answer(self) -> list[int]:
        """The tokens given so far."""
        return self.tokens[len(self.request.prompt) :]

    @property
    def missing(self) -> int:
        """Tokens to compute before the next one can be chosen: 1 while decoding."""
        return len(self.tokens) - self.computed


@dataclass(frozen=True)
class Work:
    """The tokens of one sequence in a step: its last `count` named in the row, which the step computes."""

    sequence: Sequence
    count: int

    @property
    def complete(self) -> bool:
        """The next token can be chosen after this step."""
        return self.sequence.missing == 0


@dataclass
class Plan:
    """One step."""

    decoding: list[Work] = field(default_factory=list)
    prefill: list[Work] = field(default_factory=list)
    started: list[tuple[Sequence, int]] = field(default_factory=list)  # with the tokens found in the cache

    @property
    def all(self) -> list[Work]:
        """In the order of the line."""
        return self.decoding + self.prefill


def take(sequence: Sequence, token: Token | EngineError) -> Progress:
    """Take its next token over; says whether it is complete, or cannot go on."""
    try:
        if isinstance(token, EngineError):
            raise token
        return Progress(sequence.request.id, (token,), finish=_finish(sequence, token))
    except EngineError as error:
        return Progress(sequence.request.id, finish="error", message=str(error))


def _finish(sequence: Sequence, token: Token) -> Finish | None:
    request = sequence.request
    sequence.tokens.append(token.id)
    if token.id in request.stop_tokens or (sequence.matcher and not sequence.matcher.accept(token.id)):
        return "stop"
    return "length" if len(sequence.answer) >= request.max_tokens else None


def pool_of(work: Work) -> Pool:
    """Where its sequence's row lies."""
    assert work.sequence.row
    return work.sequence.row.pool
