"""Finds out whether a model can run over the rows of the KV store: in one pass it says what it asks of attention.

Called when the model is loaded. What cannot run over rows runs with transformers' own caches, see stock.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface

from serving_image.engine import attention, kv, longrope

NAME = "kaito_probe"
TOKENS = 3
KNOWN_KINDS = {"full_attention", "sliding_attention"}
UNDERSTOOD = {"scaling", "sliding_window", "softcap", "s_aux", "step"}
HARMLESS = {"dropout", "use_cache", "position_ids", "cache_position", "output_attentions", "output_router_logits"}


class NotOverRows(Exception):
    """Why the model cannot run over rows."""


@dataclass(frozen=True)
class Asked:
    """What one layer asked of attention."""

    layer: int
    heads: int
    key_dim: int
    value_dim: int


@torch.inference_mode()
def prepare(model: Any) -> kv.Shape:
    """Let the model's attention run over rows, and say what the store must hold.

    Raises:
        NotOverRows: It stays as it was.
    """
    _check_kind(model)
    before = model.config._attn_implementation
    AttentionInterface.register(NAME, _note)
    AttentionInterface.register(attention.NAME, attention.attend)
    model.set_attn_implementation(NAME)
    try:
        shape = _shape(model, _asked(model))
    except NotOverRows:
        model.set_attn_implementation(before)
        raise
    model.set_attn_implementation(attention.NAME)
    return shape


def _check_kind(model: Any) -> None:
    if not getattr(model, "_supports_attention_backend", False):
        raise NotOverRows("its attention cannot be exchanged")
    if model._is_stateful:
        raise NotOverRows("it has layers that keep a state instead of keys and values")
    kinds = set(getattr(model.config.get_text_config(), "layer_types", None) or ())
    if strange := sorted(kinds - KNOWN_KINDS):
        raise NotOverRows(f"it has layers of kind {', '.join(strange)}")
    if longrope.is_strange(model):
        raise NotOverRows("its rotary frequencies change with the length in a way that is not known")


def _asked(model: Any) -> list[Asked]:
    asked: list[Asked] = []
    ids = torch.arange(TOKENS, device=model.device)[None]
    try:
        model(input_ids=ids, position_ids=ids, use_cache=False, logits_to_keep=ids[0, :1], step=asked)
    except NotOverRows:
        raise
    except Exception as error:  # models raise what they like
        raise NotOverRows(f"it does not run without a cache of its own ({type(error).__name__}: {error})") from None
    return asked


def _note(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, **more: Any
) -> tuple[torch.Tensor, None]:
    """Stands in for attention."""
    _check_arguments(mask, more, causal=getattr(module, "is_causal", True))
    more["step"].append(Asked(module.layer_idx, key.shape[1], key.shape[3], value.shape[3]))
    return query.new_zeros((1, query.shape[2], query.shape[1], value.shape[3])), None


def _check_arguments(mask: Any, more: Mapping[str, Any], *, causal: bool) -> None:
    if mask is not None:
        raise NotOverRows("it makes attention masks of its own")
    if not causal or more.get("is_causal") is False:
        raise NotOverRows("its tokens see those after them")
    strange = [name for name, value in more.items() if value is not None and name not in UNDERSTOOD | HARMLESS]
    if strange := [name for name in strange if name != "is_causal"]:
        raise NotOverRows(f"its attention asks for {', '.join(strange)}")


def _shape(model: Any, asked: list[Asked]) -> kv.Shape:
    layers = model.config.get_text_config().num_hidden_layers
    if [each.layer for each in asked] != list(range(layers)):
        raise NotOverRows("not each of its layers has attention of its own")
    sizes = {(each.heads, each.key_dim, each.value_dim) for each in asked}
    if len(sizes) > 1:
        raise NotOverRows("its layers have keys of different sizes")
    [(heads, key_dim, value_dim)] = sizes
    return kv.Shape(layers, heads, key_dim, value_dim, model.dtype, model.device)
