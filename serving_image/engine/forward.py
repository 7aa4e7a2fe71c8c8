"""From a planned step to logits: one forward pass over the rows of all its sequences. Called by the stepper."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import torch

from serving_image.engine.attention import Decoding, Step, Writing, chunk_of, decoding_of
from serving_image.engine.decoder import Decoder, understands
from serving_image.engine.graphs import Graphs, Record
from serving_image.engine.kv import Pool
from serving_image.engine.prompts import Piece, grouped
from serving_image.engine.sequence import Plan, Work, pool_of


class Forward:
    """The model over one line of tokens: the decoding sequences' one each, then the chunks of prompts."""

    def __init__(self, model: Any, record: Record | None = None) -> None:
        self._model = model
        self._device = model.device
        self.prompts_together = self._device.type == "cuda"
        self._decoder = Decoder(model) if understands(model) else None
        self._graphs = Graphs(self._decoder, record) if self._decoder and record else None

    def __call__(self, plan: Plan) -> torch.Tensor:
        """Logits (n, V) of the last position of each work that is complete, in the order of the line."""
        if self._graphs and (replayed := self._graphs.logits(plan)) is not None:
            return replayed
        ids: list[int] = []
        positions: list[int] = []
        ends: list[int] = []
        for work in plan.all:
            assert work.sequence.row
            last = len(work.sequence.row.tokens)
            ids += work.sequence.row.tokens[last - work.count :]
            positions += range(last - work.count, last)
            if work.complete:
                ends.append(len(ids) - 1)
        return self._run(self._tensor(ids), self._tensor(positions), self._tensor(ends or [0]), self._layout(plan))

    def _run(self, ids: torch.Tensor, positions: torch.Tensor, ends: torch.Tensor, step: Step) -> torch.Tensor:
        if self._decoder:
            return self._decoder(ids, positions, ends, step)
        output = self._model(
            input_ids=ids[None], position_ids=positions[None], use_cache=False, logits_to_keep=ends, step=step
        )
        logits: torch.Tensor = output.logits[0]
        return logits

    def _tensor(self, numbers: list[int]) -> torch.Tensor:
        return torch.tensor(numbers, device=self._device)

    def _layout(self, plan: Plan) -> Step:
        decodings: list[Decoding] = []
        start = 0
        for _, works in groupby(plan.decoding, key=pool_of):
            rows = [work.sequence.row for work in works if work.sequence.row]
            decodings.append(decoding_of(rows[0].pool, rows, start))
            start += len(rows)
        pieces: list[Piece] = []
        for work in plan.prefill:
            assert work.sequence.row
            pieces.append(Piece(work.sequence.row, work.count, start))
            start += work.count
        alone, together = grouped(pieces) if self.prompts_together else (pieces, [])
        chunks = [chunk_of(piece.row, piece.count, piece.start) for piece in alone]
        return Step(self._writings(plan.all), decodings, chunks, together)

    def _writings(self, works: Iterable[Work]) -> list[Writing]:
        where: dict[Pool, tuple[list[int], list[int]]] = {}
        start = 0
        for work in works:
            row = work.sequence.row
            assert row
            tokens, places = where.setdefault(row.pool, ([], []))
            first = row.pool.place(row.index, len(row.tokens) - work.count)
            tokens += range(start, start + work.count)
            places += range(first, first + work.count)
            start += work.count
        alone = len(where) == 1
        return [
            Writing(pool, None if alone else self._tensor(tokens), self._tensor(places))
            for pool, (tokens, places) in where.items()
        ]
