"""Which layers of a model keep keys and values, from its config.json. Pure; called by architecture.

Full attention keeps those of the whole context, a sliding window those of the last tokens, and linear attention,
state-space and feed-forward layers none. Each family of models says it with other keys.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, NonNegativeInt, PositiveInt

Kind = Literal["full", "window", "none"]

# Values of layer_types and layers_block_type in transformers, and the letters of Nemotron-H's pattern.
_FULL = {"full_attention", "attention", "hybrid", "*"}
_WINDOW = {"sliding_attention", "chunked_attention"}
# Families whose config may leave the pattern out. Source: their configuration_*.py in transformers.
_PATTERNS = {"gemma2": 2, "gemma3_text": 6, "cohere2": 4, "gpt_oss": 2}
_INTERVALS = {"qwen3_next": 4, "qwen3_5_text": 4, "qwen3_5_moe_text": 4}


@dataclass(frozen=True)
class Layers:
    """How many layers keep keys and values, and for how long."""

    full: int
    window: int = 0
    window_tokens: int | None = None


class _Linear(BaseModel):
    full_attn_layers: list[int] = []


class _Keys(BaseModel):
    """The keys of config.json that tell of layers, each with the family that has it."""

    model_type: str | None = None
    layer_types: list[str] | None = None  # transformers, most families
    layers_block_type: list[str] | None = None  # Zamba2, Nemotron-H
    hybrid_override_pattern: str | None = None  # Nemotron-H: a letter a layer
    attn_layer_indices: list[int] | None = None  # Bamba
    attn_type_list: list[int] | None = None  # MiniMax: 1 is softmax attention
    linear_attn_config: _Linear | None = None  # Kimi Linear
    attn_layer_period: PositiveInt | None = None  # Jamba
    attn_layer_offset: NonNegativeInt = 0
    full_attention_interval: PositiveInt | None = None  # Qwen3-Next and later
    sliding_window: int | list[int | None] | None = None
    use_sliding_window: bool | None = None  # Qwen2
    max_window_layers: NonNegativeInt | None = None  # Qwen2: the first ones have no window
    sliding_window_pattern: PositiveInt | None = None  # Gemma 3: the last of so many has no window
    attention_chunk_size: PositiveInt | None = None  # Llama 4
    num_kv_shared_layers: NonNegativeInt | None = None  # Gemma 3n: the last ones look into caches of earlier ones


def layers_of(config: Mapping[str, Any], count: int, context: int) -> Layers:
    """Counts the `count` layers of a model with that context; a window that holds all of it is no window.

    Raises:
        pydantic.ValidationError: a key holds something else than its family writes there.
    """
    keys = _Keys.model_validate(config)
    kinds = _kinds(keys, count)
    kinds = kinds[: max(0, len(kinds) - (keys.num_kv_shared_layers or 0))]
    tokens = keys.attention_chunk_size or keys.sliding_window
    full, window = kinds.count("full"), kinds.count("window")
    if window and isinstance(tokens, int) and 0 < tokens < context:
        return Layers(full, window, tokens)
    return Layers(full + window)


def _kinds(keys: _Keys, count: int) -> list[Kind]:
    """The kind of each layer, from whichever key tells."""
    if named := keys.layer_types or keys.layers_block_type or keys.hybrid_override_pattern:
        return [_kind(name) for name in named]
    if keys.attn_type_list:
        return ["full" if kind == 1 else "none" for kind in keys.attn_type_list]
    if keys.attn_layer_indices:
        return _full_where(index in keys.attn_layer_indices for index in range(count))
    if keys.linear_attn_config:
        return _full_where(index + 1 in keys.linear_attn_config.full_attn_layers for index in range(count))
    if period := keys.attn_layer_period:
        return _full_where(index % period == keys.attn_layer_offset for index in range(count))
    if interval := keys.full_attention_interval or _INTERVALS.get(keys.model_type or ""):
        return _full_where((index + 1) % interval == 0 for index in range(count))
    return _windows(keys, count)


def _full_where(attends: Iterable[bool]) -> list[Kind]:
    return ["full" if one else "none" for one in attends]


def _kind(name: str) -> Kind:
    return "full" if name in _FULL else "window" if name in _WINDOW else "none"


def _windows(keys: _Keys, count: int) -> list[Kind]:
    """Attention in all layers; in some or all of them with a window."""
    if not keys.sliding_window or keys.use_sliding_window is False:
        return ["full"] * count
    if keys.use_sliding_window:
        first = keys.max_window_layers or 0
        return ["full" if index < first else "window" for index in range(count)]
    pattern = keys.sliding_window_pattern or _PATTERNS.get(keys.model_type or "")
    if pattern:
        return ["full" if (index + 1) % pattern == 0 else "window" for index in range(count)]
    return ["window"] * count
