"""Where keys and values lie: rows of preallocated tensors, in pools of equal row length. Called by batch and attention.

A sequence owns one row of the first pool that holds it, and moves to the next pool when it outgrows its row. In each
pool the rows in use come first, so that attention reads them as one view without a copy; behind them lie rows
of finished sequences, kept for prompts that begin alike until their space is needed.
"""

from dataclasses import dataclass, field

import torch

from serving_image.engine.kv_memory import Size, memory_of

SMALLEST_ROW_TOKENS = 128
KEPT_SHARE = 0.25  # of the budget that may be filled only to keep rows of finished sequences
KEPT_CPU_BYTES = 2**28  # the same on a CPU, where memory is not the engine's alone


class NoRoom(Exception):
    """The budget is spent on rows in use."""


@dataclass(frozen=True)
class Shape:
    """Of the cache: `layers` x (keys, values) x tokens x `heads` x `head_dim`."""

    layers: int
    heads: int
    key_dim: int
    value_dim: int
    dtype: torch.dtype
    device: torch.device

    @property
    def token_bytes(self) -> int:
        """Memory of one token over all layers."""
        return self.layers * self.heads * (self.key_dim + self.value_dim) * int(self.dtype.itemsize)


@dataclass(eq=False)
class Row:
    """One sequence's place. `tokens` names what its first positions hold, so that others can share it."""

    pool: "Pool"
    index: int
    tokens: list[int] = field(default_factory=list)
    ready: int = 0  # of these, computed: the others are of the step that is being planned
    owner: str | None = None  # the adapter under which the values were computed
    finished: int = 0  # when its sequence ended, in sequences

    @property
    def room(self) -> int:
        """Tokens that fit."""
        return self.pool.length


class Pool:
    """All rows of one length, `most` at most. `rows[:used]` are in use, the rest are kept for reuse."""

    def __init__(self, shape: Shape, length: int, most: int) -> None:
        self.shape = shape
        self.length = length
        self.rows: list[Row] = []
        self.used = 0
        self.capacity = 0
        self.version = 0  # of the tensors: a new one whenever they may lie elsewhere
        self.ended = 0
        self.keys, self.values = (
            memory_of(Size(shape.layers, most, length, shape.heads, dim, shape.dtype, shape.device))
            for dim in (shape.key_dim, shape.value_dim)
        )

    @property
    def tokens(self) -> int:
        """What this pool takes of the budget."""
        return self.capacity * self.length

    def place(self, row: int, token: int) -> int:
        """Where a token's keys and values lie among all `lines` of a layer."""
        return row * self.keys.stride + token

    def resize(self, capacity: int) -> None:
        """Make room for so many rows, and keep what the first ones hold.

        Raises:
            torch.OutOfMemoryError: On a GPU; the rows that were there can be used as before.
        """
        self.version += 1
        del self.rows[capacity:]
        held = [max(1, len(row.tokens)) for row in self.rows]
        for memory in (self.keys, self.values):
            memory.resize(capacity, held)
        self.capacity = capacity

    def take(self) -> Row | None:
        """A free row, or the kept row that was finished first; None where all are in use."""
        if len(self.rows) < self.capacity:
            self.rows.append(Row(self, len(self.rows)))
        elif self.used == self.capacity:
            return None
        row = min(self.rows[self.used :], key=lambda kept: (bool(kept.tokens), kept.finished))
        row.tokens, row.ready = [], 0
        self.revive(row)
        return row

    def revive(self, row: Row) -> None:
        """Use a kept row again, with what it holds."""
        self._swap(row.index, self.used)
        self.used += 1

    def give_back(self, row: Row) -> None:
        """The sequence is done; its row is kept until somebody needs it."""
        self.used -= 1
        self._swap(row.index, self.used)
        self.ended += 1
        row.finished = self.ended

    def _swap(self, first: int, second: int) -> None:
        if first == second:
            return
        one, other = self.rows[first], self.rows[second]
        for memory in (self.keys, self.values):
            for here, there in zip(memory.row(first), memory.row(second), strict=True):
                saved = _begin(here, len(one.tokens)).clone()
                _begin(here, len(other.tokens)).copy_(_begin(there, len(other.tokens)))
                _begin(there, len(one.tokens)).copy_(saved)
        self.rows[first], self.rows[second] = other, one
        one.index, other.index = second, first


def _begin(states: torch.Tensor, tokens: int) -> torch.Tensor:
    """The first tokens of all layers of a row, (..., length, heads, dim)."""
    return states.narrow(-3, 0, tokens)


class Store:
    """All pools under one budget of tokens."""

    def __init__(self, shape: Shape, budget_tokens: int, context_tokens: int) -> None:
        self.shape = shape
        self.budget_tokens = budget_tokens
        self.kept_tokens = int(budget_tokens * KEPT_SHARE)
        self._ample_tokens = budget_tokens  # up to here rows that are only kept need not make room for others
        if shape.device.type == "cpu":
            self.kept_tokens = min(self.kept_tokens, KEPT_CPU_BYTES // shape.token_bytes)
            self._ample_tokens = self.kept_tokens
        self.pools = [Pool(shape, length, budget_tokens // length) for length in row_lengths(context_tokens)]

    def allocate(self, length: int) -> Row:
        """A row that holds `length` tokens.

        Raises:
            NoRoom: Only by ending a running sequence would there be room.
        """
        pool = next(pool for pool in self.pools if pool.length >= length)
        if len(pool.rows) == pool.capacity:
            self._grow(pool, required=pool.used == pool.capacity)
        row = pool.take()
        if row is None:
            raise NoRoom
        return row

    def move(self, row: Row, length: int) -> Row:
        """The same sequence in a row with room for `length` tokens."""
        new = self.allocate(length)
        copy_prefix(row, new, len(row.tokens))
        row.tokens = []
        row.pool.give_back(row)
        return new

    def used_tokens(self) -> int:
        """Tokens of rows in use."""
        return sum(len(row.tokens) for pool in self.pools for row in pool.rows[: pool.used])

    def kept(self) -> list[Row]:
        """Rows of finished sequences, and of running ones: whatever a new prompt may begin with."""
        return [row for pool in self.pools for row in pool.rows]

    def _grow(self, pool: Pool, *, required: bool) -> None:
        wanted = max(1, pool.capacity)  # twice as many
        budget = self.budget_tokens if required else self.kept_tokens
        taken = sum(each.tokens for each in self.pools)
        if required and taken + pool.length > self._ample_tokens:
            taken -= self._shrink_others(pool)
        free = budget - taken
        added = min(wanted, free // pool.length)
        if added > 0:
            try:
                pool.resize(pool.capacity + added)
            except torch.OutOfMemoryError:  # another program took of this GPU: on with what there is
                if not pool.capacity:
                    pool.resize(0)
                self.budget_tokens = sum(each.tokens for each in self.pools)

    def _shrink_others(self, pool: Pool) -> int:
        freed = 0
        for other in self.pools:
            if other is not pool and other.capacity > other.used:
                freed += (other.capacity - other.used) * other.length
                other.resize(other.used)
        return freed


def row_lengths(context_tokens: int) -> list[int]:
    """Doubling, up to the context."""
    lengths = []
    length = SMALLEST_ROW_TOKENS
    while length < context_tokens:
        lengths.append(length)
        length *= 2
    return [*lengths, context_tokens]


def copy_prefix(source: Row, target: Row, length: int) -> None:
    """The first `length` tokens' keys and values, with their names."""
    memories = ((source.pool.keys, target.pool.keys), (source.pool.values, target.pool.values))
    for origin, destination in memories:
        for held, new in zip(origin.row(source.index), destination.row(target.index), strict=True):
            _begin(new, length).copy_(_begin(held, length))
    target.tokens = source.tokens[:length]
    target.ready = min(source.ready, length)
    target.owner = source.owner
