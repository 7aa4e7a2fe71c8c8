"""Decoding steps that are recorded once and replayed: CUDA graphs. Called by forward.py.

A step of a small model takes the CPU several times longer to start, one kernel after the other, than the GPU to
compute. A recording starts all at once. It always works on the same memory, so each is for one shape: so many rows of
each pool, seen to such a length. Places in the line that the step does not fill repeat its first token, which
then is written twice with the same values.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch

from serving_image.engine.attention import Decoding, Step, Writing, hiding, lengths_of
from serving_image.engine.kv import Pool, Row
from serving_image.engine.scoring import LENGTH_STEP
from serving_image.engine.sequence import Plan, pool_of

log = logging.getLogger("serving.engine")
Record = Callable[[Callable[[], torch.Tensor]], Callable[[], torch.Tensor]]  # a computation to its replay
PATIENCE = 64  # times that a larger recording stands in before a step's own shape is recorded
KINDS_OF_NUMBERS = 5  # a token: its id, position, place in the pool, row, and the length of the row that stands there


class Recorder:
    """Makes CUDA graphs that share the memory of what they compute in between."""

    def __init__(self) -> None:
        self._first: Any = None  # kept: PyTorch takes the memory for gone when the last graph that uses it is

    def __call__(self, compute: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        """Record what `compute` starts; its result lies where each replay puts it anew."""
        graph = torch.cuda.CUDAGraph()
        memory = self._first.pool() if self._first else None
        with torch.cuda.graph(graph, pool=memory, capture_error_mode="thread_local"):
            output = compute()
        self._first = self._first or graph

        def replay() -> torch.Tensor:
            graph.replay()
            return output

        return replay


@dataclass(frozen=True)
class Part:
    """One pool in the shape of a step."""

    pool: Pool
    version: int
    rows: int
    length: int


Shape = tuple[Part, ...]


@dataclass
class Recording:
    """A recorded step: write `numbers` (5, T), then replay."""

    numbers: torch.Tensor
    replay: Callable[[], torch.Tensor]


class Graphs:
    """All recordings of a model."""

    def __init__(self, decoder: Callable[..., torch.Tensor], record: Record) -> None:
        self._decoder = decoder
        self._record: Record | None = record
        self._seen: dict[Shape, Recording | None] = {}
        self._asked: dict[Shape, int] = {}
        self._output: torch.Tensor | None = None  # of all recordings: each would keep logits of its own

    def logits(self, plan: Plan) -> torch.Tensor | None:
        """(n, V), valid until the next call; None for a step that is computed as it is.

        That is one with prompts or adapters in it, and the first of each shape: it makes ready what no recording may.
        """
        if plan.prefill or not self._record or any(work.sequence.adapter for work in plan.decoding):
            return None
        groups = [[work.sequence.row for work in works] for _, works in groupby(plan.decoding, key=pool_of)]
        rows = [[row for row in group if row] for group in groups]
        shape = self._recorded_for(tuple(_part(group) for group in rows))
        if shape not in self._seen:
            self._forget_moved()
            self._seen[shape] = None
            return None
        recording = self._seen[shape] or self._recorded(shape)
        if recording is None:
            return None
        recording.numbers.copy_(torch.tensor(_numbers(shape, rows)))
        output = recording.replay()
        starts = _starts(shape)
        return torch.cat([output[start : start + len(group)] for start, group in zip(starts, rows, strict=True)])

    def _recorded_for(self, wanted: Shape) -> Shape:
        """The shape itself, or for some time a recorded one with room for it: rows move on from pool to pool."""
        if self._seen.get(wanted):
            return wanted
        self._asked[wanted] = self._asked.get(wanted, 0) + 1
        if self._asked[wanted] > PATIENCE:
            return wanted
        larger = [shape for shape, found in self._seen.items() if found and _covers(shape, wanted)]
        return min(larger, key=_size, default=wanted)

    def _forget_moved(self) -> None:
        """Recordings that read memory where a pool's tensors no longer are."""

        def stays(shape: Shape) -> bool:
            return all(part.version == part.pool.version for part in shape)

        self._seen = {shape: found for shape, found in self._seen.items() if stays(shape)}
        self._asked = {shape: count for shape, count in self._asked.items() if stays(shape)}

    def _recorded(self, shape: Shape) -> Recording | None:
        assert self._record
        size = (KINDS_OF_NUMBERS, sum(part.rows for part in shape))
        numbers = torch.zeros(size, dtype=torch.long, device=shape[0].pool.shape.device)
        try:
            recording = Recording(numbers, self._record(lambda: self._compute(shape, numbers)))
        except RuntimeError as error:
            log.warning("steps are not recorded as CUDA graphs: %s: %s", type(error).__name__, error)
            self._record = None
            return None
        self._seen[shape] = recording
        return recording

    def _compute(self, shape: Shape, numbers: torch.Tensor) -> torch.Tensor:
        """All places of the line, (T, V)."""
        ids, positions, places, rows, lengths = numbers
        writings, decodings = [], []
        for part, start in zip(shape, _starts(shape), strict=True):
            here = slice(start, start + part.rows)
            writings.append(Writing(part.pool, None if len(shape) == 1 else here, places[here]))
            mask = hiding(lengths[here], part.length, part.pool.shape.dtype)
            last = (lengths[here] - 1)[:, None, None, None]
            decodings.append(Decoding(part.pool, here, rows[here], part.rows, part.length, mask, last))
        logits = self._decoder(ids, positions, slice(None), Step(writings, decodings, ()))
        if self._output is None or len(self._output) < len(logits):
            self._output = torch.empty_like(logits)
        return self._output[: len(logits)].copy_(logits)


def _size(shape: Shape) -> int:
    return sum(part.rows * part.length for part in shape)


def _covers(shape: Shape, wanted: Shape) -> bool:
    """Whether a step fits into a recording, and does not take twice as long in it."""
    if [(one.pool, one.version) for one in shape] != [(one.pool, one.version) for one in wanted]:
        return False
    pairs = zip(shape, wanted, strict=True)
    fits = all(one.rows >= other.rows and one.length >= other.length for one, other in pairs)
    return fits and _size(shape) <= 2 * _size(wanted)


def _part(rows: Sequence[Row]) -> Part:
    """Few shapes: twice as many rows, and a quarter of the pool's length more, from one to the next."""
    pool = rows[0].pool
    count = max(row.index for row in rows) + 1
    wanted = 1 << (count - 1).bit_length() if count <= 64 else -(-count // 32) * 32
    step = -(-pool.length // 4 // LENGTH_STEP) * LENGTH_STEP
    length = -(-max(len(row.tokens) for row in rows) // step) * step
    return Part(pool, pool.version, min(wanted, pool.capacity), min(length, pool.length))


def _starts(shape: Shape) -> list[int]:
    return [sum(part.rows for part in shape[:place]) for place in range(len(shape))]


def _numbers(shape: Shape, groups: Sequence[Sequence[Row]]) -> list[list[int]]:
    ids: list[int] = []
    positions: list[int] = []
    places: list[int] = []
    indices: list[int] = []
    lengths: list[int] = []
    for part, rows in zip(shape, groups, strict=True):
        for row in (*rows, *[rows[0]] * (part.rows - len(rows))):
            last = len(row.tokens) - 1
            ids.append(row.tokens[last])
            positions.append(last)
            places.append(part.pool.place(row.index, last))
            indices.append(row.index)
        lengths += lengths_of(rows, part.rows)
    return [ids, positions, places, indices, lengths]
