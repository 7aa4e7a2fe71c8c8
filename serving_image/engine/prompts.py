"""Attention of several short prompts at once: on GPUs, where starting their kernels takes longer than computing.

Called by forward.py, which lays out a step, and by attention.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from serving_image.engine.kv import Pool, Row
from serving_image.engine.scoring import LENGTH_STEP, Scoring, weigh, within

LONGEST_ROW = 1024  # of longer rows the padding and the copied keys would take more than the kernels
COPIED_TOKENS = 2**15  # keys and values of a layer, for the prompts of one group


@dataclass(frozen=True)
class Piece:
    """The last `count` tokens of a row, which stand in the line from `start` on."""

    row: Row
    count: int
    start: int


@dataclass(frozen=True)
class Prompts:
    """Pieces (n) of one pool, each padded to `count` tokens."""

    pool: Pool
    tokens: torch.Tensor  # (t,) where their tokens stand in the line
    places: torch.Tensor  # (t,) and among the padded ones, n x count
    rows: torch.Tensor  # (n,)
    count: int
    length: int
    mask: torch.Tensor  # (n, 1, count, length) additive
    last: torch.Tensor  # (n, 1, count, 1) position of each token
    windowed: dict[int, torch.Tensor] = field(default_factory=dict)

    def attend(self, layer: int, queries: torch.Tensor, scoring: Scoring) -> torch.Tensor:
        """Of the line's queries (T, heads, D) those of these prompts, (t, heads, D of the values)."""
        _, heads, dim = queries.shape
        keys = self.pool.keys.layers[layer][self.rows, : self.length].transpose(1, 2)
        values = self.pool.values.layers[layer][self.rows, : self.length].transpose(1, 2)
        count, groups = len(self.rows), heads // keys.shape[1]
        padded = queries.new_zeros((count * self.count, heads, dim))
        padded[self.places] = queries[self.tokens]
        packed = padded.view(count, self.count, keys.shape[1], groups, dim).permute(0, 2, 3, 1, 4)
        packed = packed.reshape(count, keys.shape[1], groups * self.count, dim)
        mask = within(self.mask, self.last, scoring.window, self.windowed).repeat(1, 1, groups, 1)
        output = weigh(packed, keys, values, mask, scoring)
        output = output.view(count, keys.shape[1], groups, self.count, values.shape[3]).permute(0, 3, 1, 2, 4)
        return output.reshape(count * self.count, heads, values.shape[3])[self.places]


def grouped(pieces: Sequence[Piece]) -> tuple[list[Piece], list[Prompts]]:
    """Those that stay alone, and the others by pool and size, so that at most half of what is computed is padding."""
    alone: list[Piece] = []
    alike: dict[tuple[Pool, int], list[Piece]] = {}
    for piece in pieces:
        if piece.row.pool.length > LONGEST_ROW:
            alone.append(piece)
        else:
            alike.setdefault((piece.row.pool, piece.count.bit_length()), []).append(piece)
    together = []
    for (pool, _), found in alike.items():
        most = COPIED_TOKENS // pool.length
        for group in [found[start : start + most] for start in range(0, len(found), most)]:
            if len(group) == 1:
                alone += group
            else:
                together.append(_prompts(pool, group))
    return alone, together


def _prompts(pool: Pool, pieces: Sequence[Piece]) -> Prompts:
    device, count = pool.shape.device, max(piece.count for piece in pieces)
    longest = max(len(piece.row.tokens) for piece in pieces)
    length = min(pool.length, -(-longest // LENGTH_STEP) * LENGTH_STEP)
    tokens: list[int] = []
    places: list[int] = []
    positions: list[list[int]] = []
    for number, piece in enumerate(pieces):
        end = len(piece.row.tokens)
        tokens += range(piece.start, piece.start + piece.count)
        places += range(number * count, number * count + piece.count)
        positions.append([*range(end - piece.count, end), *[0] * (count - piece.count)])
    last = torch.tensor(positions, device=device)[:, None, :, None]
    hidden = torch.arange(length, device=device) > last
    mask = torch.zeros(hidden.shape, dtype=pool.shape.dtype, device=device).masked_fill_(hidden, float("-inf"))
    rows = torch.tensor([piece.row.index for piece in pieces], device=device)
    line = torch.tensor([tokens, places], device=device)
    return Prompts(pool, line[0], line[1], rows, count, length, mask, last)
