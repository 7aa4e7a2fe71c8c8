"""Runs the model: one forward pass a step for all sequences. Called by the engine's loop, in its own process."""

import logging
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import torch

from serving_image.engine import longrope, sampling
from serving_image.engine.batch import Batch
from serving_image.engine.forward import Forward
from serving_image.engine.grammar import Matcher
from serving_image.engine.graphs import Record
from serving_image.engine.lora import Adapters
from serving_image.engine.sequence import Plan, Sequence, Work, pool_of, take
from serving_image.errors import EngineError
from serving_image.requests import Progress, Request, Stats, Token

log = logging.getLogger("serving.engine")


class Stepper:
    """The model and its batch."""

    def __init__(self, model: Any, batch: Batch, adapters: Adapters, record: Record | None = None) -> None:
        self.model = model
        self.adapters = adapters
        self._rope = longrope.install(model)
        self.batch = batch
        self._by_id: dict[str, Sequence] = {}
        self.forward = Forward(model, None if self._rope else record)

    @property
    def has_work(self) -> bool:
        """A step would do something."""
        return bool(self.batch.running or self.batch.waiting)

    def add(self, request: Request, matcher: Matcher | None = None) -> None:
        """Queue a request.

        Raises:
            EngineError: Its adapter is gone.
        """
        sequence = Sequence.of(request, matcher, self.adapters.of(request.adapter))
        self._by_id[request.id] = sequence
        sequence.short_tokens = longrope.boundary(self.model.config)
        self.batch.add(sequence)

    def cancel(self, request_id: str) -> None:
        """Forget a request, if it is still there."""
        if sequence := self._by_id.pop(request_id, None):
            self.batch.remove(sequence)

    def stats(self) -> Stats:
        """The state after the last step."""
        batch = self.batch
        return Stats(
            running=len(batch.running),
            waiting=len(batch.waiting),
            cache_tokens=batch.store.used_tokens(),
            cache_budget_tokens=batch.store.budget_tokens,
            preemptions=batch.preemptions,
            prefix_queries_tokens=batch.prefix_queries,
            prefix_hits_tokens=batch.prefix_hits,
        )

    def step(self) -> Iterator[list[Progress]]:
        """Compute one step: first who leaves the queue, before it takes its time, then what came of it."""
        plan = self.batch.plan()
        if not plan.all:
            return
        if plan.started:
            yield [Progress(each.request.id, started=True, cached_tokens=cached) for each, cached in plan.started]
        plan.decoding.sort(key=lambda work: (pool_of(work).length, _row_index(work)))
        yield self._compute(plan)

    @torch.inference_mode()
    def _compute(self, plan: Plan) -> list[Progress]:
        try:
            return self._run(plan)
        except Exception:
            return [progress for work in plan.all for progress in self._run_alone(work)]

    def _run(self, plan: Plan) -> list[Progress]:
        sequences = [work.sequence for work in plan.all if work.complete]
        self.adapters.select([work.sequence.adapter for work in plan.all for _ in range(work.count)])
        if self._rope:
            self._rope.select([work.sequence.long for work in plan.all for _ in range(work.count)])
        logits = self.forward(plan)
        tokens = sampling.choose(logits, sequences) if sequences else []
        for work in plan.all:
            assert work.sequence.row
            work.sequence.row.ready = len(work.sequence.row.tokens)
        return [self._postprocess(sequence, token) for sequence, token in zip(sequences, tokens, strict=True)]

    def _run_alone(self, work: Work) -> list[Progress]:
        """After a step that failed: find who made it fail, and let the others go on."""
        try:
            return self._run(Plan([work]) if work.count == 1 else Plan(prefill=[work]))
        except Exception as error:
            log.exception("the model failed on a request")
            self._forget(work.sequence)
            message = f"the model failed on this request: {type(error).__name__}: {error}"
            return [Progress(work.sequence.request.id, finish="error", message=message)]

    def _postprocess(self, sequence: Sequence, token: Token | EngineError) -> Progress:
        """Take the token over, and end the sequence where it is complete or cannot go on."""
        progress = take(sequence, token)
        if progress.finish:
            self._forget(sequence)
        return progress

    def _forget(self, sequence: Sequence) -> None:
        self._by_id.pop(sequence.request.id, None)
        self.batch.remove(sequence)


_row_index = attrgetter("sequence.row.index")
