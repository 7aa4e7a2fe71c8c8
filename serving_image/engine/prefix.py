"""Finds what is already computed of a prompt's beginning. Called by the batch when it admits a sequence."""

from itertools import takewhile

from serving_image.engine.kv import Row, Store, copy_prefix

SHORTEST_TOKENS = 16  # below that a copy saves nothing


def place(store: Store, tokens: list[int], owner: str | None, length: int) -> tuple[Row, int]:
    """A row for the sequence and how many of its tokens it holds already: never all, the last is always computed.

    Raises:
        NoRoom: As `Store.allocate`.
    """
    source, shared = _longest(store, tokens[:-1], owner)
    if source and source.index >= source.pool.used and source.room >= length:
        source.pool.revive(source)
        del source.tokens[shared:]
        source.ready = shared
        return source, shared
    saved = list(source.tokens[:shared]) if source else []
    row = store.allocate(length)
    if source and source is not row and source.tokens[:shared] == saved and source in source.pool.rows:
        copy_prefix(source, row, shared)
    row.owner = owner
    return row, len(row.tokens)


def _longest(store: Store, tokens: list[int], owner: str | None) -> tuple[Row | None, int]:
    best, most = None, SHORTEST_TOKENS - 1
    for row in store.kept():
        ready = row.tokens[: row.ready]
        if row.owner == owner and ready[: most + 1] == tokens[: most + 1]:
            shared = _common(ready, tokens)
            if shared > most:
                best, most = row, shared
    return best, most if best else 0


def _common(one: list[int], other: list[int]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
