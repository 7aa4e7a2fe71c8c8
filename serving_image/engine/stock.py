"""Runs models whose layers do not run over rows: each request has transformers' own cache, and steps by itself.

Called by the engine's loop in place of the stepper. The requests take turns, one forward pass a step; what `generate`
would prepare for the model is prepared by `generate`.
"""

import logging
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from serving_image.engine import sampling
from serving_image.engine.grammar import Matcher
from serving_image.engine.lora import Adapters
from serving_image.engine.sequence import Sequence, take
from serving_image.requests import Progress, Request, Stats

log = logging.getLogger("serving.engine")
LOSSES = (
    "batching: requests take turns, and a long prompt holds up the others",
    "prefix reuse: every prompt is computed whole",
)
CACHES = ("past_key_values", "cache_params", "state")  # how models name what they keep
SHORT, LONG = 4, 36  # tokens whose caches are weighed


@dataclass(frozen=True)
class Cost:
    """Memory of one request."""

    fixed_bytes: int
    token_bytes: int

    def of(self, tokens: int) -> int:
        """For a prompt and its answer."""
        return self.fixed_bytes + self.token_bytes * tokens


@dataclass(eq=False)
class Running:
    """A request and its forward passes: each takes a token and gives the model's output."""

    sequence: Sequence
    passes: Generator[Any, torch.Tensor, None]
    begun: bool = False


class Stock:
    """As stepper.Stepper, without a batch."""

    def __init__(self, model: Any, adapters: Adapters, cost: Cost, room_bytes: int, most: int) -> None:
        self.model = model
        self.adapters = adapters
        self._cost = cost
        self._room = room_bytes
        self._most = most
        self._running: deque[Running] = deque()
        self._waiting: deque[Sequence] = deque()

    @property
    def has_work(self) -> bool:
        """A step would do something."""
        return bool(self._running or self._waiting)

    def add(self, request: Request, matcher: Matcher | None = None) -> None:
        """Queue a request.

        Raises:
            EngineError: Its adapter is gone.
        """
        self._waiting.append(Sequence.of(request, matcher, self.adapters.of(request.adapter)))

    def cancel(self, request_id: str) -> None:
        """Forget a request, if it is still there."""
        self._running = deque(each for each in self._running if each.sequence.request.id != request_id)
        self._waiting = deque(each for each in self._waiting if each.request.id != request_id)

    def stats(self) -> Stats:
        """The state after the last step."""
        return Stats(
            running=len(self._running),
            waiting=len(self._waiting),
            cache_tokens=sum(len(each.sequence.tokens) for each in self._running),
            cache_budget_tokens=max(1, self._room // max(1, self._cost.of(1))),
        )

    def step(self) -> Iterator[list[Progress]]:
        """One forward pass of the request whose turn it is; first who leaves the queue."""
        if started := list(self._admitted()):
            yield started
        if self._running:
            running = self._running.popleft()
            progress = self._compute(running)
            if not progress.finish:
                self._running.append(running)
            yield [progress]

    def _admitted(self) -> Iterator[Progress]:
        while self._waiting and len(self._running) < self._most:
            taken = sum(self._cost.of(_longest(each.sequence)) for each in self._running)
            if self._running and taken + self._cost.of(_longest(self._waiting[0])) > self._room:
                return
            sequence = self._waiting.popleft()
            self._running.append(Running(sequence, passes(self.model, sequence.tokens)))
            yield Progress(sequence.request.id, started=True)

    @torch.inference_mode()
    def _compute(self, running: Running) -> Progress:
        sequence = running.sequence
        try:
            self.adapters.select([sequence.adapter])
            if running.begun:
                output = running.passes.send(torch.tensor([sequence.tokens[-1:]], device=self.model.device))
            else:
                running.begun, output = True, next(running.passes)
            [token] = sampling.choose(output.logits[:, -1], [sequence])
        except Exception as error:
            log.exception("the model failed on a request")
            message = f"the model failed on this request: {type(error).__name__}: {error}"
            return Progress(sequence.request.id, finish="error", message=message)
        return take(sequence, token)


def _longest(sequence: Sequence) -> int:
    return len(sequence.request.prompt) + sequence.request.max_tokens


def passes(model: Any, tokens: list[int]) -> Generator[Any, torch.Tensor, None]:
    """The model's outputs, the first for the prompt, each next one for the token that was sent."""
    ids = torch.tensor([tokens], device=model.device)
    settings = GenerationConfig(max_new_tokens=1, use_cache=True, pad_token_id=0)
    made: Generator[Any, torch.Tensor, None] = model.generate(
        ids, attention_mask=torch.ones_like(ids), generation_config=settings, custom_generate=_passes
    )
    return made


def _passes(model: Any, input_ids: torch.Tensor, **options: Any) -> Generator[Any, torch.Tensor, None]:
    """The loop of `generate` without its choice of tokens; `options` is what it prepared."""
    for name in ("logits_processor", "stopping_criteria", "generation_config", "synced_gpus", "streamer"):
        options.pop(name, None)
    first = True
    while True:
        length = None if first else 1
        inputs = model.prepare_inputs_for_generation(
            input_ids, next_sequence_length=length, is_first_iteration=first, **options
        )
        output = model(**inputs, return_dict=True)
        options = model._update_model_kwargs_for_generation(output, options)
        input_ids = torch.cat([input_ids, (yield output)], -1)
        first = False


@torch.inference_mode()
def weigh(model: Any) -> Cost:
    """What a request takes, by two that are tried."""
    short, long = (_bytes(_cache(next(passes(model, [1] * count)))) for count in (SHORT, LONG))
    per_token = (long - short) // (LONG - SHORT)
    return Cost(max(0, short - SHORT * per_token), per_token)


def _cache(output: Any) -> Any:
    return next((output[name] for name in CACHES if output.get(name) is not None), None)


def _bytes(kept: Any) -> int:
    """Of all tensors in it."""
    if isinstance(kept, torch.Tensor):
        return kept.numel() * kept.element_size()
    if isinstance(kept, dict):
        return sum(_bytes(each) for each in kept.values())
    if isinstance(kept, list | tuple):
        return sum(_bytes(each) for each in kept)
    inside = type(kept).__name__.endswith(("Cache", "Layer", "State"))
    return _bytes(vars(kept)) if inside else 0
