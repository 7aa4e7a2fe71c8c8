"""Attention of short rows on a CPU by plain multiplications, with a gradient written by hand. Called by segments.

PyTorch's kernel for CPUs is made for long rows: the way back took a fifth of a training's time. Queries that share a
key are multiplied together, and the weights of a row are computed again on the way back instead of kept.
"""

from collections.abc import Iterator
from typing import Any

import torch

LONGEST = 1024  # tokens of a row: (H, L, L) numbers of one row are there at a time


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    segments: tuple[int, ...],
    scale: float,
    window: int | None,
) -> torch.Tensor:
    """query (H, T, D), key and value (G, T, D), segments the lengths that add up to T → (T, H, D)."""
    found: torch.Tensor = _Attention.apply(query, key, value, segments, scale, window)
    return found


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any, segments: Any, scale: float, window: Any) -> torch.Tensor:
        ctx.save_for_backward(query, key, value)
        ctx.given = segments, scale, window
        heads, tokens, width = query.shape
        hidden, found = _hidden(max(segments), window, query), query.new_empty(tokens, heads, width)
        for at in _rows(segments):
            weights = _weights(_grouped(query[:, at], len(key)), key[:, at], hidden, scale)
            found[at] = (weights @ value[:, at]).view(heads, -1, width).transpose(0, 1)
        return found

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> Any:
        query, key, value = ctx.saved_tensors
        segments, scale, window = ctx.given
        heads, groups, width = len(query), len(key), query.shape[2]
        hidden = _hidden(max(segments), window, query)
        of_query, of_key, of_value = torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
        for at in _rows(segments):
            q, gradient = _grouped(query[:, at], groups), _grouped(upstream[0][at].transpose(0, 1), groups)
            weights = _weights(q, key[:, at], hidden, scale)
            of_value[:, at] = weights.mT @ gradient
            scores = torch._softmax_backward_data(gradient @ value[:, at].mT, weights, -1, weights.dtype)
            of_query[:, at] = (scores @ key[:, at]).mul_(scale).view(heads, -1, width)
            of_key[:, at] = (scores.mT @ q).mul_(scale)
        return of_query, of_key, of_value, None, None, None


def _rows(segments: tuple[int, ...]) -> Iterator[slice]:
    start = 0
    for length in segments:
        yield slice(start, start + length)
        start += length


def _grouped(row: torch.Tensor, groups: int) -> torch.Tensor:
    """(H, L, D) → (G, H / G * L, D): the queries of one key, one after the other."""
    return row.reshape(groups, -1, row.shape[2])


def _hidden(longest: int, window: int | None, like: torch.Tensor) -> torch.Tensor:
    """What is added to scores: nothing where a token sees another, minus infinity elsewhere."""
    hidden = like.new_full((longest, longest), -torch.inf).triu_(1)
    return hidden if window is None else hidden.add_(torch.full_like(hidden, -torch.inf).tril_(-window))


def _weights(query: torch.Tensor, key: torch.Tensor, hidden: torch.Tensor, scale: float) -> torch.Tensor:
    """(G, n L, D) and (G, L, D) → (G, n L, L), each row of which adds up to 1."""
    groups, length = len(key), key.shape[1]
    scores = (query @ key.mT).mul_(scale)
    scores.view(groups, -1, length, length).add_(hidden[:length, :length])
    return torch.softmax(scores, -1)
