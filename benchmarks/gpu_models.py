"""Models of random weights for the checks on a GPU, of known shapes, with a real tokenizer. Called by gpu_run.

Random weights are as good as others to compare two ways to compute them, and need no download.
"""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

VOCABULARY = 49152  # of the tokenizer
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
SHAPES = {
    "tiny": (64, 96, 2, 4, 2, 16),  # for a CPU
    "135m": (576, 1536, 30, 9, 3, 64),  # SmolLM2-135M
    "1b": (2048, 8192, 16, 32, 8, 64),  # Llama 3.2 1B
}  # hidden, feed-forward, layers, heads, key-value heads, head size
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclasses.dataclass(frozen=True)
class Place:
    """Where and on what a check runs."""

    device: str
    models: Path
    output: Path  # of this check alone

    @property
    def small(self) -> Path:
        """The model on which steps cost what it costs to start them."""
        return self.models / ("135m" if self.device == "cuda" else "tiny")

    @property
    def large(self) -> Path:
        """The model on which they cost what it costs to compute them."""
        return self.models / ("1b" if self.device == "cuda" else "tiny")

    @property
    def dtype(self) -> str:
        """Of speed."""
        return "bfloat16" if self.device == "cuda" else "float32"


def make(folder: Path, shape: str, tokenizer: Path, device: str) -> None:
    """config.json, weights in bfloat16, tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    hidden, wide, layers, heads, key_heads, size = SHAPES[shape]
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=hidden, intermediate_size=wide, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=key_heads, head_dim=size, max_position_embeddings=8192,
        bos_token_id=1, eos_token_id=2, pad_token_id=2, tie_word_embeddings=True, initializer_range=0.04,
    )  # fmt: skip
    torch.manual_seed(5)
    with torch.device(device):
        model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    for name in TOKENIZER_FILES:
        shutil.copy(tokenizer / name, folder / name)


def adapter(model: Path, folder: Path, seed: int) -> Path:
    """A LoRA adapter on all linear layers that changes what the model says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    adapted: Any = get_peft_model(base, LoraConfig(r=8, lora_alpha=16, target_modules=list(LINEAR)))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    adapted.save_pretrained(folder)
    return folder
