"""Tiny models of random weights, one of each kind of attention and state, and their tokens by `generate` or the engine.

Made by the tests of what is served.
"""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from serving_image.engine.stepper import Stepper
from serving_image.engine.stock import Stock

VOCABULARY = 300
WINDOW = 16
SIZES = {
    "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 256,
    "initializer_range": 0.3, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    "tie_word_embeddings": False,
}  # fmt: skip
EXPERTS = {"num_local_experts": 4, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LATENT = {
    "q_lora_rank": 24, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 12,
    "n_routed_experts": 4, "n_group": 2, "topk_group": 1, "first_k_dense_replace": 1, "num_key_value_heads": 4,
    "head_dim": 8,
}  # fmt: skip
WINDOWED = {"sliding_window": WINDOW}
STATE = {
    "mamba_d_ssm": 64, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_n_groups": 1, "mamba_d_state": 8,
    "mamba_chunk_size": 8,
}  # fmt: skip
TWO_ROPES = {
    "rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 32,
    "short_factor": [1.0] * 8, "long_factor": [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 8.0],
}  # fmt: skip
OLD = {
    "vocab_size": VOCABULARY, "initializer_range": 0.5, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    "tie_word_embeddings": False,
}  # fmt: skip
GEMMA3 = {**SIZES, **WINDOWED, "query_pre_attn_scalar": 16, "sliding_window_pattern": 2}
VISION = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}

KINDS: dict[str, dict[str, Any]] = {
    "llama": SIZES,
    "mistral": {**SIZES, **WINDOWED},
    "qwen2": {**SIZES, **WINDOWED, "use_sliding_window": True, "max_window_layers": 1},
    "phi3": {**SIZES, **WINDOWED},
    "phi3 of two ropes": {**SIZES, "original_max_position_embeddings": 32, "rope_parameters": TWO_ROPES},
    "gemma2": {**SIZES, **WINDOWED, "query_pre_attn_scalar": 16, "attn_logit_softcapping": 2.0},
    "gemma3_text": GEMMA3,
    "gemma3": {"text_config": GEMMA3, "vision_config": VISION, "image_token_id": 299, "tie_word_embeddings": False},
    "gpt_oss": {**SIZES, **EXPERTS, **WINDOWED},
    "deepseek_v3": {**SIZES, **EXPERTS, **LATENT},
    "qwen3_moe": {**SIZES, **EXPERTS},
    "mixtral": {**SIZES, **EXPERTS, "sliding_window": None},
    "gpt2": {**OLD, "n_embd": 64, "n_head": 4, "n_layer": 2, "n_positions": 256},
    "falcon": {**OLD, "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2, "alibi": True},
    "bloom": {**OLD, "hidden_size": 64, "n_head": 4, "n_layer": 2},
    "mamba": {**SIZES, "state_size": 8},
    "mamba2": {**SIZES, "state_size": 8, "num_heads": 8, "head_dim": 16, "n_groups": 1, "chunk_size": 8},
    "falcon_h1": {**SIZES, **STATE},
    "qwen3_next": {
        **SIZES, **EXPERTS, "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 16,
        "linear_value_head_dim": 16, "shared_expert_intermediate_size": 32,
        "layer_types": ["linear_attention", "full_attention"],
    },
}  # fmt: skip


def made(kind: str, folder: Path, **more: Any) -> Any:
    """A model in float32, saved in `folder`; its norms, biases and sinks are random too."""
    torch.manual_seed(3)
    config = AutoConfig.for_model(kind.partition(" ")[0], **{**KINDS[kind], **more})
    model = AutoModelForCausalLM.from_config(config).eval()
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1 and "A_log" not in name and "dt_bias" not in name:
            parameter.data.uniform_(*(-0.2, 0.2) if name.endswith("bias") else (0.5, 1.5))
    model.save_pretrained(folder)
    return model


def prompt(seed: int, length: int) -> tuple[int, ...]:
    """Random tokens."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(3, VOCABULARY - 1, (length,), generator=generator).tolist())


def generated(model: Any, tokens: tuple[int, ...], count: int) -> list[int]:
    """What transformers' generate adds, greedily."""
    ids = torch.tensor([tokens])
    limits = {"max_new_tokens": count, "min_new_tokens": count, "do_sample": False}
    output = model.generate(ids, attention_mask=torch.ones_like(ids), pad_token_id=0, eos_token_id=None, **limits)
    found: list[int] = output[0, len(tokens) :].tolist()
    return found


def run(stepper: Stepper | Stock, steps: int = 10_000) -> dict[str, list[int]]:
    """The tokens of every request, by its id."""
    answers: dict[str, list[int]] = {}
    while stepper.has_work and steps:
        steps -= 1
        for progress in (each for batch in stepper.step() for each in batch):
            assert progress.finish != "error", progress.message
            answers.setdefault(progress.request, []).extend(token.id for token in progress.tokens)
    return answers
