"""Makes small LoRA adapters: for the small model with peft itself, for the tiny one by hand. Used by tests."""

import json
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from benchmarks import small_model

ALL_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def make(folder: Path, seed: int, rank: int = 8, targets: tuple[str, ...] = ALL_LAYERS, size: float = 0.05) -> Path:
    """An adapter whose random matrices change what the model says."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(small_model.folder(), dtype=torch.float32)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(targets), task_type="CAUSAL_LM")
    adapted = get_peft_model(model, config)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=size)
    adapted.save_pretrained(folder)
    return folder


def make_tiny(folder: Path, base: str, rank: int = 2) -> Path:
    """An adapter of one layer of the tiny model, written by hand; `base` is the model that it says it is for."""
    folder.mkdir()
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base, "r": rank}
    config |= {"lora_alpha": 2 * rank, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    layer = "base_model.model.model.layers.0.self_attn.q_proj"
    matrices = {f"{layer}.lora_A.weight": torch.ones(rank, 64), f"{layer}.lora_B.weight": torch.ones(64, rank)}
    save_file(matrices, folder / "adapter_model.safetensors")
    return folder
