"""Attention inside each row of a batch whose rows lie end to end. Registered by training.model; called by transformers.

No padding and no mask: rows are sliced apart, so no row sees another one, whatever device and kernel.
"""

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from tuning_image.training import short_rows

NAME = "segments"


def register() -> None:
    """Makes `attn_implementation="segments"` known to transformers, which then builds no mask for it.

    cuDNN's attention is turned off: it makes itself ready for each new shape, and each length of a row is one. It was
    on when LoRA ran at a third of TRL's speed on an H100 (benchmarks/README.md); that it was the cause is not measured.
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
    rows = zip(query.split(segments, 2), key.split(segments, 2), value.split(segments, 2), strict=True)
    done = [_row(q, k, v, scaling, dropout, sliding_window) for q, k, v in rows]
    return torch.cat(done, dim=2).transpose(1, 2).contiguous(), None


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
