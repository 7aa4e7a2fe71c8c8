"""A Llama of random weights with the small model's tokenizer: it starts and steps fast, and means nothing.

For tests of what the server does around a model. Answers never end by themselves where `ignore_eos` is sent.
"""

import shutil
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks import small_model

VOCABULARY = 49152  # of the tokenizer
CONTEXT = 8192


def make(folder: Path, shards: int = 1, **changes: int) -> Path:
    """Two layers, 12.6 MB of weights in float32, where no other sizes are asked for."""
    torch.manual_seed(5)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"num_key_value_heads": 2, "head_dim": 16, **changes}
    config = LlamaConfig(
        vocab_size=VOCABULARY, max_position_embeddings=CONTEXT,
        bos_token_id=1, eos_token_id=2, pad_token_id=2, tie_word_embeddings=True, **sizes,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    model.save_pretrained(folder, max_shard_size="50GB" if shards == 1 else size // shards)
    add_tokenizer(folder)
    return folder


def add_tokenizer(folder: Path) -> None:
    """The small model's, with its chat template."""
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(small_model.folder() / name, folder / name)
