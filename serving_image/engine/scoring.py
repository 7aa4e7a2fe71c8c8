"""How a layer weighs values: softmax over scaled scores, with a cap or a sink if it has one. Called by attention.

PyTorch's fused attention knows neither soft caps (Gemma 2) nor sinks (gpt-oss): for such layers its sums stand here.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

LENGTH_STEP = 64  # attention reads a multiple of this: few shapes, little waste


@dataclass(frozen=True)
class Scoring:
    """Of one layer."""

    scale: float | None = None  # None: one over the root of the dimension
    window: int | None = None  # tokens that it sees, the last among them; None: all
    softcap: float | None = None
    sinks: torch.Tensor | None = None  # (heads,)


def weigh(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, scoring: Scoring
) -> torch.Tensor:
    """Attention of queries that stand packed by the head of their keys.

    Args:
        queries: (rows, key heads, N, D), N = query heads of each key head x positions, positions innermost.
        keys: (rows, key heads, length, D); `values` alike.
        mask: Additive, broadcast over (rows, key heads, N, length).
        scoring: The layer's.
    """
    if scoring.softcap is None and scoring.sinks is None:
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, scale=scoring.scale)
    scale = scoring.scale if scoring.scale is not None else queries.shape[-1] ** -0.5
    scores = (queries @ keys.transpose(2, 3)).float() * scale
    if scoring.softcap is not None:
        scores = torch.tanh(scores / scoring.softcap) * scoring.softcap
    scores = scores + mask
    if scoring.sinks is not None:
        scores = torch.cat((scores, _columns(scoring.sinks, scores)), -1)
    weights = scores.softmax(-1)[..., : keys.shape[2]]
    return weights.to(values.dtype) @ values


def within(mask: torch.Tensor, last: torch.Tensor, window: int | None, known: dict[int, torch.Tensor]) -> torch.Tensor:
    """The mask for layers that see the `window` tokens up to `last` alone; made once for all of them, in `known`."""
    if window is None or window >= mask.shape[-1]:
        return mask
    if window not in known:
        hidden = torch.arange(mask.shape[-1], device=mask.device) <= last - window
        known[window] = mask.masked_fill(hidden, float("-inf"))
    return known[window]


def _columns(sinks: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """(rows, key heads, N, 1): each query's own."""
    rows, heads, count, _ = scores.shape
    groups = sinks.float().view(heads, -1)
    per_query = groups.repeat_interleave(count // groups.shape[1], 1)
    return per_query[None, :, :, None].expand(rows, -1, -1, -1)
