"""Attention inside each row of a batch whose rows lie end to end. Registered by training.model; called by transformers.

No padding and no mask, and no row sees another one: GPUs with FlashAttention are told where rows end and compute all at
once, elsewhere rows are sliced apart.
"""

from functools import lru_cache
from itertools import accumulate
from typing import Any

import torch
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention

from tuning_image.training import short_rows

NAME = "segments"
FLASH_CAPABILITY, FLASH_LARGEST_HEAD = (8, 0), 256  # what PyTorch's FlashAttention asks for


def register() -> None:
    """Makes `attn_implementation="segments"` known to transformers, which then builds no mask for it.

    cuDNN's attention is turned off: it makes itself ready for each new shape, and each length of a row is one. On an
    H200 TRL ran 2.6 times as fast without it (benchmarks/README.md).
    """
    from transformers import AttentionInterface

    torch.backends.cuda.enable_cudnn_sdp(False)
    AttentionInterface.register(NAME, attention)


def attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    segments: tuple[int, ...] | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """query (1, H, T, D), key and value (1, G, T, D), segments the lengths that add up to T → (1, T, H, D).

    Raises:
        NotImplementedError: If the model does not hand the lengths on, or limits its attention logits.
    """
    if segments is None or softcap is not None:
        raise NotImplementedError("this architecture's attention cannot be tuned: no row lengths, or capped logits")
    if query.device.type == "cpu" and not dropout and max(segments) <= short_rows.LONGEST:
        scale = query.shape[3] ** -0.5 if scaling is None else scaling
        return short_rows.attend(query[0], key[0], value[0], segments, scale, sliding_window)[None], None
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    if not dropout and _has_flash(query):
        return _together(query, key, value, segments, scaling, sliding_window), None
    rows = zip(query.split(segments, 2), key.split(segments, 2), value.split(segments, 2), strict=True)
    done = [_row(q, k, v, scaling, dropout, sliding_window) for q, k, v in rows]
    return torch.cat(done, dim=2).transpose(1, 2).contiguous(), None


def _has_flash(query: torch.Tensor) -> bool:
    dim = query.shape[3]
    fits = query.dtype in (torch.bfloat16, torch.float16) and dim <= FLASH_LARGEST_HEAD and dim % 8 == 0
    return fits and query.is_cuda and torch.cuda.get_device_capability(query.device) >= FLASH_CAPABILITY


def _together(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    segments: tuple[int, ...],
    scaling: float | None,
    window: int | None,
) -> torch.Tensor:
    """One kernel instead of one for each row: starting them takes longer than computing."""
    queries, keys, values = (states[0].transpose(0, 1) for states in (query, key, value))
    ends, longest = _ends(segments, query.device), max(segments)
    seen = (window - 1 if window else -1, 0)  # tokens before and after
    found = varlen_attn(queries, keys, values, ends, ends, longest, longest, scale=scaling, window_size=seen)
    return found.unsqueeze(0)


@lru_cache(maxsize=8)
def _ends(segments: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Where each row begins and the last one ends, for all layers of a step."""
    return torch.tensor([0, *accumulate(segments)], dtype=torch.int32, device=device)


def _row(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float | None,
    dropout: float,
    window: int | None,
) -> torch.Tensor:
    length = query.shape[2]
    mask = None
    if window and window < length:
        at = torch.arange(length, device=query.device)
        distance = at[:, None] - at[None, :]
        mask = (distance >= 0) & (distance < window)
    return scaled_dot_product_attention(
        query, key, value, attn_mask=mask, dropout_p=dropout, is_causal=mask is None, scale=scaling
    )
