"""The layers of models built like Llama in fewer passes over memory, for training on a CPU. Called by model.

A small model's step on a CPU is bound by memory: of the time of transformers' and peft's layers a third is matrix
products. The parts of a layer whose gradients are written by hand are put in place of the module's own; residuals,
checkpointing and all else stay transformers'. Other models get the linear layers alone.
"""

from types import MethodType
from typing import Any

import torch
from peft.tuners.lora import layer as peft_layer
from transformers import LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM

from tuning_image.training import segments as attention
from tuning_image.training.adapted import Adapted, together
from tuning_image.training.pointwise import gated, normed, turned

KNOWN = (LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM)


def understands(base: Any) -> bool:
    """Whether its layers are exactly those below."""
    return type(base) in KNOWN and base.config.hidden_act == "silu"


def make(model: Any) -> None:
    """Changes how a PeftModel computes, not what."""
    for module in model.modules():
        if type(module) is peft_layer.Linear:
            module.__class__ = Adapted
    inner = model.get_base_model()
    if not understands(inner):
        return
    _replace(inner.model.norm, _norm)
    for layer in inner.model.layers:
        _replace(layer.self_attn, _attention)
        _replace(layer.mlp, _network)
        for name in ("input_layernorm", "post_attention_layernorm"):
            _replace(getattr(layer, name), _norm)


def _replace(module: Any, forward: Any) -> None:
    module.forward = MethodType(forward, module)


def _norm(module: Any, hidden_states: torch.Tensor) -> torch.Tensor:
    if module.weight.requires_grad or module.weight.dtype != hidden_states.dtype:
        found: torch.Tensor = type(module).forward(module, hidden_states)
        return found
    return normed(hidden_states, module.weight, module.variance_epsilon)


def _network(module: Any, x: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = module.down_proj(gated(*together(x, module.gate_proj, module.up_proj)))
    return found


def _attention(
    module: Any,
    hidden_states: torch.Tensor,
    position_embeddings: tuple[torch.Tensor, torch.Tensor],
    attention_mask: torch.Tensor | None = None,
    past_key_values: Any = None,
    **more: Any,
) -> tuple[torch.Tensor, Any]:
    """Rows end to end (1, T, H) → (1, T, H); with a cache, or rows side by side, the module's own way."""
    if past_key_values is not None or more.get("segments") is None:
        found: tuple[torch.Tensor, Any] = type(module).forward(
            module, hidden_states, position_embeddings, attention_mask, past_key_values, **more
        )
        return found
    states = together(hidden_states[0], module.q_proj, module.k_proj, module.v_proj)
    query, key, value = (each.view(len(each), -1, module.head_dim) for each in states)
    if hasattr(module, "q_norm"):
        query, key = _norm(module.q_norm, query), _norm(module.k_norm, key)
    cos, sin = position_embeddings[0][0], position_embeddings[1][0]
    done, _ = attention.attention(
        module,
        turned(query, cos, sin)[None],
        turned(key, cos, sin)[None],
        value.transpose(0, 1)[None],
        attention_mask,
        segments=more["segments"],
        scaling=module.scaling,
        dropout=module.attention_dropout if module.training else 0.0,
        sliding_window=getattr(module, "sliding_window", getattr(module.config, "sliding_window", None)),
    )
    return module.o_proj(done.flatten(2)), None
