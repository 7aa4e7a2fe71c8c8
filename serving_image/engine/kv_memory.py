"""The memory in which a pool's keys, or its values, lie: rows that become more and fewer. Called by kv.

Both kinds show each layer as (rows, length, heads, dim), and as `lines` (places, heads, dim) to write to: token t of
row r is place r * stride + t.
"""

import contextlib
import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch


@dataclass(frozen=True)
class Size:
    """Of all rows there may ever be."""

    layers: int
    rows: int
    length: int
    heads: int
    dim: int
    dtype: torch.dtype
    device: torch.device


class Memory(Protocol):
    """What attention and the store see."""

    layers: list[torch.Tensor]
    lines: list[torch.Tensor]
    stride: int

    def resize(self, rows: int, held: Sequence[int]) -> None:
        """Room for so many rows; `held` says how many tokens of each of the first ones are kept."""

    def row(self, index: int) -> list[torch.Tensor]:
        """All of a row, each (..., length, heads, dim)."""


class Reserved:
    """On CPUs: addresses for all rows, of which only what is written takes memory. Growing copies nothing.

    A row lies in one piece, all layers of it, in pages of 2 MiB, because every step reads all rows in use.
    """

    def __init__(self, size: Size) -> None:
        row = (size.layers, size.length, size.heads, size.dim)
        self._row_bytes = math.prod(row) * size.dtype.itemsize
        self._memory = mmap.mmap(-1, size.rows * self._row_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with contextlib.suppress(OSError):  # a kernel without them
                self._memory.madvise(mmap.MADV_HUGEPAGE)
        self._rows = torch.frombuffer(self._memory, dtype=size.dtype).view(size.rows, *row)
        lines = self._rows.view(-1, size.heads, size.dim)
        self.stride = size.layers * size.length
        self.layers = list(self._rows.unbind(1))
        self.lines = [lines[layer * size.length :] for layer in range(size.layers)]

    def resize(self, rows: int, held: Sequence[int]) -> None:
        """As in Memory. What lies behind the last row is given back; it reads as zeros when it is used again."""
        end = -(-rows * self._row_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        if end < len(self._memory):
            self._memory.madvise(mmap.MADV_DONTNEED, end, len(self._memory) - end)

    def row(self, index: int) -> list[torch.Tensor]:
        """As in Memory."""
        return [self._rows[index]]


class Moved:
    """On GPUs: a tensor for each layer, made anew and copied, one after the other, when the rows become more."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self.stride = size.length
        self.layers: list[torch.Tensor] = []
        self.lines: list[torch.Tensor] = []

    def resize(self, rows: int, held: Sequence[int]) -> None:
        """As in Memory.

        Raises:
            torch.OutOfMemoryError: The rows that were there can be used as before.
        """
        size = self._size
        if rows == 0:
            self.layers, self.lines = [], []
            return
        for layer in range(size.layers):
            # not `empty`: a NaN left in memory would survive a weight of 0
            new = torch.zeros((rows, size.length, size.heads, size.dim), dtype=size.dtype, device=size.device)
            if held:
                new[: len(held)] = self.layers[layer][: len(held)]
            self.layers[layer : layer + 1] = [new]
            self.lines[layer : layer + 1] = [new.view(-1, size.heads, size.dim)]

    def row(self, index: int) -> list[torch.Tensor]:
        """As in Memory."""
        return [layer[index] for layer in self.layers]


def memory_of(size: Size) -> Memory:
    """The kind for a device."""
    return Reserved(size) if size.device.type == "cpu" else Moved(size)
