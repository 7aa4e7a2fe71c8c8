"""Rotary positions of models with two sets of frequencies, for short texts and for long ones (Phi-3, "longrope").

transformers chooses one set for all tokens of a pass, by the largest position in it. Here each sequence has its own:
the long set as soon as it is longer than the model's first training, when the batch computes it anew. Called by the
stepper.
"""

from typing import Any

import torch
from torch import nn
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

KIND = "longrope"


def boundary(config: Any) -> int | None:
    """Tokens up to which a text is short; None where there is one set."""
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") != KIND:
        return None
    return int(rope["original_max_position_embeddings"])


def is_strange(model: Any) -> bool:
    """It has two sets in a place that `install` does not know."""
    config = model.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or {}
    nested = any(isinstance(each, dict) and each.get("rope_type") == KIND for each in rope.values())
    plain = config is model.config and hasattr(model.base_model, "rotary_emb")
    return nested or (boundary(config) is not None and not plain)


class LongRope(nn.Module):
    """Stands where the model's own rotary module was."""

    def __init__(self, inner: Any, limit: int) -> None:
        super().__init__()
        device = inner.inv_freq.device
        long, self._scaling = ROPE_INIT_FUNCTIONS[KIND](inner.config, device, seq_len=limit + 1)
        short, _ = ROPE_INIT_FUNCTIONS[KIND](inner.config, device, seq_len=1)
        self._frequencies = torch.stack((short, long)).float()
        self._long: torch.Tensor | None = None

    def select(self, per_token: list[bool]) -> None:
        """Whether each token of the line belongs to a long text."""
        self._long = torch.tensor(per_token, device=self._frequencies.device).long()

    def forward(self, x: torch.Tensor, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(cos, sin), each (1, T, D), for positions (1, T)."""
        assert self._long is not None
        angles = position_ids[0, :, None].float() * self._frequencies[self._long]
        both = torch.cat((angles, angles), -1)[None]
        return (both.cos() * self._scaling).to(x.dtype), (both.sin() * self._scaling).to(x.dtype)


def install(model: Any) -> LongRope | None:
    """Put it into a model that needs it."""
    limit = boundary(model.config)
    if limit is None:
        return None
    model.base_model.rotary_emb = rope = LongRope(model.base_model.rotary_emb, limit)
    return rope
