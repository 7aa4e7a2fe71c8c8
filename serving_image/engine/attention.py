"""Attention over the rows of the KV store, one call per pool for all sequences. Called by the model's layers.

All tokens of a step stand in one line: first the one new token of each decoding sequence, in the order of its rows,
then the chunks of prompts. Registered with transformers' AttentionInterface, so the model's own code runs unchanged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from serving_image.engine.kv import Pool, Row
from serving_image.engine.prompts import Prompts
from serving_image.engine.scoring import LENGTH_STEP, Scoring, weigh, within

NAME = "kaito_rows"


@dataclass(frozen=True)
class Decoding:
    """The decoding sequences of one pool."""

    pool: Pool
    tokens: slice  # where they stand in the line
    rows: torch.Tensor | None  # (n,) row of each; None where they are rows 0 to n - 1
    row_count: int
    length: int
    mask: torch.Tensor  # (row_count, 1, 1, length) additive
    last: torch.Tensor  # (row_count, 1, 1, 1) position of each row's new token
    windowed: dict[int, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Chunk:
    """A piece of one prompt."""

    pool: Pool
    tokens: slice
    row: int
    length: int  # tokens before and in the chunk
    mask: torch.Tensor  # (chunk, length) additive
    last: torch.Tensor  # (chunk, 1) position of each token
    windowed: dict[int, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Writing:
    """Which tokens of the line go where in a pool: to the places of its `lines`."""

    pool: Pool
    tokens: torch.Tensor | slice | None  # (n,) places in the line; None for its first n
    places: torch.Tensor  # (n,)


@dataclass(frozen=True)
class Step:
    """What attention needs to know of a step; the same for all layers."""

    writings: Sequence[Writing]
    decodings: Sequence[Decoding]
    chunks: Sequence[Chunk]
    prompts: Sequence[Prompts] = ()


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    step: Step,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Store the step's keys and values, then attend.

    Args:
        module: The layer's attention; its `layer_idx` says which of the store's tensors are its own.
        query: (1, heads, T, D); `key` and `value` with their own head count.
        attention_mask: Not used: the step's masks say more.
        step: Where each token belongs.
        scaling: Of the scores.
        sliding_window: Tokens that the layer sees, its own among them.
        softcap: Of the scores.
        s_aux: (heads,) Score of each head's sink. More arguments than these, probe.py has seen, say nothing.

    Returns:
        (1, T, heads, D).
    """
    queries, keys, values = (states[0].transpose(0, 1) for states in (query, key, value))
    scoring = Scoring(scaling, sliding_window, softcap, s_aux)
    return attend_rows(module.layer_idx, queries, keys, values, step, scoring).unsqueeze(0), None


def attend_rows(
    layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, step: Step, scoring: Scoring
) -> torch.Tensor:
    """The same for one layer, over (T, heads, D); places behind the step's tokens come out as zeros."""
    for writing in step.writings:
        _write(writing.pool.keys.lines[layer], keys, writing)
        _write(writing.pool.values.lines[layer], values, writing)
    if len(step.decodings) == 1 and step.decodings[0].tokens.stop == len(queries):
        return _decode(layer, queries, step.decodings[0], scoring)
    output = queries.new_zeros((queries.shape[0], queries.shape[1], values.shape[2]))
    for decoding in step.decodings:
        output[decoding.tokens] = _decode(layer, queries[decoding.tokens], decoding, scoring)
    for chunk in step.chunks:
        output[chunk.tokens] = _prefill(layer, queries[chunk.tokens], chunk, scoring)
    for prompts in step.prompts:
        output[prompts.tokens] = prompts.attend(layer, queries, scoring)
    return output


def _write(lines: torch.Tensor, states: torch.Tensor, writing: Writing) -> None:
    chosen = states[: len(writing.places)] if writing.tokens is None else states[writing.tokens]
    lines.index_copy_(0, writing.places, chosen)


def _decode(layer: int, queries: torch.Tensor, decoding: Decoding, scoring: Scoring) -> torch.Tensor:
    """One new token per row. Queries that share keys stand as a query of several positions: keys are read once."""
    _, heads, dim = queries.shape
    if decoding.rows is not None:
        spread = queries.new_zeros((decoding.row_count, heads, dim))
        spread[decoding.rows] = queries
        queries = spread
    keys = decoding.pool.keys.layers[layer][: decoding.row_count, : decoding.length].transpose(1, 2)
    values = decoding.pool.values.layers[layer][: decoding.row_count, : decoding.length].transpose(1, 2)
    packed = queries.view(decoding.row_count, keys.shape[1], heads // keys.shape[1], dim)
    mask = within(decoding.mask, decoding.last, scoring.window, decoding.windowed)
    output = weigh(packed, keys, values, mask, scoring)
    output = output.reshape(decoding.row_count, heads, values.shape[3])
    return output if decoding.rows is None else output[decoding.rows]


def _prefill(layer: int, queries: torch.Tensor, chunk: Chunk, scoring: Scoring) -> torch.Tensor:
    count, heads, dim = queries.shape
    keys = chunk.pool.keys.layers[layer][chunk.row, : chunk.length].transpose(0, 1).unsqueeze(0)
    values = chunk.pool.values.layers[layer][chunk.row, : chunk.length].transpose(0, 1).unsqueeze(0)
    groups = heads // keys.shape[1]
    packed = queries.transpose(0, 1).reshape(1, keys.shape[1], groups * count, dim)
    mask = within(chunk.mask, chunk.last, scoring.window, chunk.windowed).repeat(groups, 1)
    output = weigh(packed, keys, values, mask, scoring)
    return output.reshape(heads, count, values.shape[3]).transpose(0, 1)


def decoding_of(pool: Pool, rows: Sequence[Row], start: int) -> Decoding:
    """The decoding sequences of one pool, whose tokens stand from `start` on; each row already names its new token."""
    device = pool.shape.device
    count = max(row.index for row in rows) + 1
    lengths = lengths_of(rows, count)
    length = min(pool.length, -(-max(lengths) // LENGTH_STEP) * LENGTH_STEP)
    ends = torch.tensor(lengths, device=device)
    complete = len(rows) == count
    return Decoding(
        pool,
        slice(start, start + len(rows)),
        None if complete else torch.tensor([row.index for row in rows], device=device),
        count,
        length,
        hiding(ends, length, pool.shape.dtype),
        (ends - 1)[:, None, None, None],
    )


def lengths_of(rows: Sequence[Row], count: int) -> list[int]:
    """How much each of the first `count` rows sees; one that takes no part a single token: no division by zero."""
    lengths = [1] * count
    for row in rows:
        lengths[row.index] = len(row.tokens)
    return lengths


def hiding(lengths: torch.Tensor, length: int, dtype: torch.dtype) -> torch.Tensor:
    """The mask (n, 1, 1, length) that shows each row its first tokens, made where the lengths (n,) are."""
    hidden = torch.arange(length, device=lengths.device) >= lengths[:, None]
    mask = torch.zeros(hidden.shape, dtype=dtype, device=lengths.device).masked_fill_(hidden, float("-inf"))
    return mask[:, None, None]


def chunk_of(row: Row, count: int, start: int) -> Chunk:
    """The last `count` tokens of a row, which stand from `start` on."""
    length, shape = len(row.tokens), row.pool.shape
    positions = torch.arange(length - count, length, device=shape.device)[:, None]
    hidden = torch.arange(length, device=shape.device) > positions
    mask = torch.zeros((count, length), dtype=shape.dtype, device=shape.device).masked_fill_(hidden, float("-inf"))
    return Chunk(row.pool, slice(start, start + count), row.index, length, mask, positions)
