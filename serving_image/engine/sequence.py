"""A request that runs, and what one step does with it. Called by the batch and the stepper."""

from dataclasses import dataclass, field
from random import Random

from serving_image.engine.grammar import Matcher
from serving_image.engine.kv import Row
from serving_image.engine.lora import Adapter
from serving_image.requests import Request


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

    @classmethod
    def of(cls, request: Request, matcher: Matcher | None = None, adapter: Adapter | None = None) -> "Sequence":
        """A new one; without a seed the tokens differ every time."""
        return cls(request, list(request.prompt), Random(request.sampling.seed), matcher, adapter)

    @property
    def computed(self) -> int:
        """Tokens whose keys and values are stored."""
        return len(self.row.tokens) if self.row else 0

    @property
    def owner(self) -> str | None:
        """Whose keys and values its own may be shared with."""
        return self.adapter.key if self.adapter else None

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
