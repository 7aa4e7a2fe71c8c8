"""Makes small LoRA adapters for the small model, with peft itself. Used by the tests of adapters."""

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
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
