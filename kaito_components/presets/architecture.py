"""The numbers of a model's architecture, from its config.json alone. Pure; called by adding.

Source of the keys: KAITO 0.12 presets/workspace/generator/generator.go; beyond it, multi-head latent attention's
parts, layers without a cache (`layers`) and packed weights (`quantization`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from kaito_components.errors import KaitoError
from kaito_components.presets.layers import Layers, layers_of
from kaito_components.presets.quantization import Quantization, quantization_of

_KEYS = {
    "context_length": (
        "max_position_embeddings", "n_ctx", "seq_length", "max_seq_len", "max_sequence_length", "model_max_length",
        "n_positions",
    ),
    "hidden_size": ("hidden_size", "n_embd", "d_model", "dim"),
    "layers": ("num_hidden_layers", "n_layer", "n_layers"),
    "heads": ("num_attention_heads", "n_head", "n_heads"),
}  # fmt: skip
_KV_HEADS = ("num_key_value_heads", "n_head_kv", "n_kv_heads", "num_kv_heads")
_NESTED = ("text_config", "llm_config", "language_config")  # of models that also see or hear
# What a config may leave out because its class has it. Source: transformers models/gemma3/configuration_gemma3.py.
_DEFAULTS = {
    "gemma3_text": {
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 262208,
        "max_position_embeddings": 131072,
    },
}  # fmt: skip
_NAMES = TypeAdapter(tuple[str, ...])


@dataclass(frozen=True)
class Architecture:
    """What config.json says. `dtype` is of the weights; what it does not say is None."""

    names: tuple[str, ...]
    context_length: int
    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int | None
    kept: Layers
    kv_lora_rank: int | None = None
    rope_head_size: int | None = None
    intermediate_size: int | None = None
    vocabulary_size: int | None = None
    dtype: str | None = None
    quantization: Quantization | None = None
    has_own_code: bool = False  # the repository brings Python that must run

    @property
    def kv_bytes_per_token(self) -> int:
        """Keys and values of a token in every layer, two bytes a value: KAITO's figure, too high for hybrid models."""
        values = (self.kv_lora_rank or 0) + (self.rope_head_size or 0)
        return 2 * self.layers * (values or 2 * self.kv_heads * (self.head_size or 0))


def architecture_of(config: Mapping[str, Any]) -> Architecture:
    """Reads a config.json (or Mistral's params.json) that was parsed already.

    Raises:
        KaitoError: a number without which nothing can be planned is not there; the message names its keys.
    """
    try:
        return _architecture(config, _language(config))
    except ValidationError as problem:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problem.errors())
        raise KaitoError(f"config.json is not as a model's: {told}") from None


def _architecture(config: Mapping[str, Any], inner: Mapping[str, Any]) -> Architecture:
    numbers = {field: _count(inner, keys) for field, keys in _KEYS.items()}
    if missing := [f"{field} ({' or '.join(_KEYS[field])})" for field, value in numbers.items() if not value]:
        raise KaitoError(f"config.json does not say {', '.join(missing)}; add it to the file that you give --config")
    context, hidden, layers, heads = (value or 0 for value in numbers.values())
    is_latent = bool(inner.get("kv_lora_rank"))
    return Architecture(
        names=_NAMES.validate_python(config.get("architectures") or inner.get("architectures") or ()),
        context_length=context,
        hidden_size=hidden,
        layers=layers,
        heads=heads,
        kv_heads=_count(inner, _KV_HEADS) or (1 if inner.get("multi_query") else heads),
        head_size=_count(inner, ("head_dim", "attention_head_dim")) or (None if is_latent else hidden // heads),
        kept=layers_of(inner, layers, context),
        kv_lora_rank=_count(inner, ("kv_lora_rank",)),
        rope_head_size=_count(inner, ("qk_rope_head_dim",)) if is_latent else None,
        intermediate_size=_count(inner, ("intermediate_size", "n_inner", "ffn_dim", "hidden_dim")),
        vocabulary_size=_count(inner, ("vocab_size",)),
        dtype=_dtype(inner.get("dtype") or inner.get("torch_dtype")),
        quantization=quantization_of(config) or quantization_of(inner),
        has_own_code="auto_map" in config,
    )


def _language(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part about the language model, over what stands beside it, over what its class would add."""
    nested = [config[key] for key in _NESTED if isinstance(config.get(key), Mapping)]
    whole = {**config, **{key: value for key, value in (nested[0].items() if nested else ()) if value is not None}}
    return {**_DEFAULTS.get(str(whole.get("model_type")), {}), **whole}


def _count(config: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    """The first of these keys that holds a number above zero."""
    for key in keys:
        value = config.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def _dtype(value: object) -> str | None:
    return str(value).removeprefix("torch.") if value else None
