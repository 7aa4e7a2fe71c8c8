"""What the API asks of an engine and what it gets back. Pickled between the two processes; imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Finish = Literal["stop", "length", "cancelled", "error"]


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. The defaults change nothing: plain sampling from the model's distribution."""

    temperature: float = 1.0  # 0: the most likely token
    top_p: float = 1.0
    top_k: int = 0  # 0: all
    min_p: float = 0.0
    repetition_penalty: float = 1.0  # over prompt and answer
    presence_penalty: float = 0.0  # over the answer, as frequency_penalty
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    allowed_tokens: tuple[int, ...] = ()  # () allows all
    seed: int | None = None
    logprobs: int | None = None  # how many alternatives to report; None: no log probabilities at all


@dataclass(frozen=True)
class Request:
    """One answer to compute."""

    id: str
    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = Sampling()
    stop_tokens: frozenset[int] = frozenset()  # end the answer
    min_tokens: int = 0  # before a stop token may come
    adapter: str | None = None
    grammar: str | None = None  # what the answer must match, in llguidance's form


@dataclass(frozen=True)
class Token:
    """One token of an answer, with the log probabilities that were asked for."""

    id: int
    logprob: float | None = None
    alternatives: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Progress:
    """What one step did for one request.

    Attributes:
        started: The request left the queue in this step.
        cached_tokens: Of the prompt, not computed again; said with `started`.
        finish: Why the answer is over; None while it goes on.
        message: What went wrong, with finish "error".
    """

    request: str
    tokens: tuple[Token, ...] = ()
    started: bool = False
    cached_tokens: int = 0
    finish: Finish | None = None
    message: str = ""


@dataclass(frozen=True)
class Stats:
    """The engine's state after a step."""

    running: int = 0
    waiting: int = 0
    cache_tokens: int = 0  # in use
    cache_budget_tokens: int = 1
    preemptions: int = 0
    prefix_queries_tokens: int = 0
    prefix_hits_tokens: int = 0
    steps: int = 0
