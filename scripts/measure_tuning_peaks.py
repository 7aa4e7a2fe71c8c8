"""Prints the rows of tests/data/tuning_peaks.csv: peak bytes of LoRA training steps, by PyTorch's own account.

Needs torch and transformers, no GPU and no weights: fake tensors have shapes and no numbers. What an operation makes is
counted from then on until its last reference goes.
"""

import weakref
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoModelForCausalLM, LlamaConfig, Phi3Config, Qwen2Config

RANK = 8
FUSED = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
SPLIT = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# configuration class, (vocabulary, hidden, feed-forward, layers, heads, kv heads), tied embeddings, adapted layers
MODELS: dict[str, tuple[Any, tuple[int, ...], bool, tuple[str, ...]]] = {
    "phi-3-mini": (Phi3Config, (32064, 3072, 8192, 32, 32, 32), False, FUSED),
    "phi-4-mini": (Phi3Config, (200064, 3072, 8192, 32, 24, 8), True, ("qkv_proj", "o_proj")),
    "smollm2": (LlamaConfig, (49152, 576, 1536, 30, 9, 3), True, SPLIT),
    "qwen2.5-7b": (Qwen2Config, (152064, 3584, 18944, 28, 28, 4), False, SPLIT),
}
RUNS = {
    "smollm2": ((1, 1024, True), (1, 1024, False), (1, 256, False), (4, 512, True)),
    "phi-3-mini": ((1, 1024, True), (1, 1024, False), (2, 2048, True)),
    "phi-4-mini": ((1, 1024, True), (1, 1024, False), (4, 512, True)),
    "qwen2.5-7b": ((1, 1024, True), (1, 1024, False), (1, 4096, True)),
}


class Lora(nn.Module):
    """A frozen linear layer and its adapter, computed as peft does: the input is cast to the adapter's float32."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.a = nn.Linear(base.in_features, RANK, bias=False, dtype=torch.float32)
        self.b = nn.Linear(RANK, base.out_features, bias=False, dtype=torch.float32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.base(x)
        return y + self.b(self.a(x.to(torch.float32))).to(y.dtype)


class Peak(TorchDispatchMode):
    """Bytes of the storages that operations made and that still live."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {one.untyped_storage()._cdata for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)}
        out = func(*args, **(kwargs or {}))
        for one in tree_leaves(out):
            if isinstance(one, torch.Tensor) and one.untyped_storage()._cdata not in given:
                self._add(one.untyped_storage())
        return out

    def _add(self, storage: Any) -> None:
        key = storage._cdata
        if key not in self._seen:
            self._seen[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._drop, key)

    def _drop(self, key: int) -> None:
        self.now -= self._seen.pop(key, 0)


def model_of(name: str, checkpointing: bool) -> nn.Module:
    """The model with random weights in bfloat16, frozen, with adapters."""
    config, (vocabulary, hidden, wide, layers, heads, kv_heads), tied, targets = MODELS[name]
    torch.set_default_dtype(torch.bfloat16)
    model = AutoModelForCausalLM.from_config(
        config(
            vocab_size=vocabulary, hidden_size=hidden, intermediate_size=wide, num_hidden_layers=layers,
            num_attention_heads=heads, num_key_value_heads=kv_heads, tie_word_embeddings=tied,
            attn_implementation="sdpa", use_cache=False, pad_token_id=0,
        )
    )  # fmt: skip
    torch.set_default_dtype(torch.float32)
    model.requires_grad_(False)
    for parent in list(model.modules()):
        for key, child in list(parent.named_children()):
            if key in targets:
                setattr(parent, key, Lora(child))
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    return model.train()


def row(name: str, rows: int, row_tokens: int, checkpointing: bool) -> str:
    """One line of the table, from the second of two steps: the optimizer's states exist then."""
    model = model_of(name, checkpointing)
    parameters = list(model.parameters())
    adapter = [one for one in parameters if one.requires_grad]
    numbers = sum(one.numel() for one in adapter)
    optimizer = torch.optim.AdamW(adapter)
    tokens = torch.randint(0, 100, (rows, row_tokens))
    with Peak() as made:
        for _ in range(2):
            made.peak = made.now
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = model(input_ids=tokens, labels=tokens, attention_mask=torch.ones_like(tokens)).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            del loss
    total = sum(one.numel() for one in parameters) - numbers
    cells = (name, rows, row_tokens, str(checkpointing).lower(), total, numbers, made.now, made.peak)
    return ",".join(map(str, cells))


if __name__ == "__main__":
    for name, runs in RUNS.items():
        for run in runs:
            with FakeTensorMode():
                print(row(name, *run), flush=True)
