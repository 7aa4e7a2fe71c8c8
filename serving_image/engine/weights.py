"""Loads the model so that it runs over the rows of the KV store. Called by the engine's process at start."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface, AutoModelForCausalLM

from serving_image.engine import attention, kv
from serving_image.engine.fast_linear import speed_up
from serving_image.settings import Settings


@dataclass(frozen=True)
class Loaded:
    """A model ready to run."""

    model: Any
    shape: kv.Shape
    context_tokens: int


def load(folder: str, settings: Settings) -> Loaded:
    """The model on its device."""
    AttentionInterface.register(attention.NAME, attention.attend)
    device = torch.device(
        settings.device if settings.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    )
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=_dtype(settings.dtype), attn_implementation=attention.NAME, device_map=device
    ).eval()
    speed_up(model)
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    shape = kv.Shape(config.num_hidden_layers, heads, dim, dim, model.dtype, device)
    return Loaded(model, shape, min(settings.max_model_len or 2**31, config.max_position_embeddings))


def _dtype(name: str) -> Any:
    return "auto" if name == "auto" else getattr(torch, name)
