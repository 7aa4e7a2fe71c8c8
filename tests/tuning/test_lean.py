"""Layers computed in fewer passes give the loss and the gradients of transformers' and peft's own."""

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tuning_image.data.tokens import Tokens
from tuning_image.training import adapted, batches, lean, losses, segments, short_rows

SIZES = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "head_dim": 16,
}
KINDS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "llama": (LlamaForCausalLM, LlamaConfig, {"attention_bias": True, "mlp_bias": True}),
    "mistral, which sees 8 tokens": (MistralForCausalLM, MistralConfig, {"sliding_window": 8}),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, {}),
    "qwen2, a layer of which sees 8 tokens": (
        Qwen2ForCausalLM,
        Qwen2Config,
        {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1},
    ),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, {}),
    "phi3, whose layers are its own": (Phi3ForCausalLM, Phi3Config, {}),
}
ALL = "all-linear"


def model(name: str = "llama", dtype: torch.dtype = torch.float32, **lora: Any) -> Any:
    """A small PeftModel whose adapter already does something."""
    kind, config, more = KINDS[name]
    torch.manual_seed(0)
    segments.register()
    base = kind(config(**SIZES, **more, attn_implementation=segments.NAME)).to(dtype)
    made = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **({"target_modules": ALL, "r": 4} | lora)))
    for key, parameter in made.named_parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn_like(parameter, dtype=torch.float32) * (0.1 if "lora_" in key else 1)
    return made.train()


def batch() -> dict[str, Any]:
    """Rows of 1, 20, 7 and 33 tokens end to end."""
    generator = torch.Generator().manual_seed(1)
    rows = [torch.randint(0, 300, (n,), generator=generator).tolist() for n in (1, 20, 7, 33)]
    return batches.collate([tuple(Tokens(ids, ids) for ids in rows)])


def learned(of: Any) -> dict[str, torch.Tensor]:
    """The loss of each token, and the gradient of each matrix."""
    of.zero_grad()
    found = losses.token_losses(of, batch())
    found.mean().backward()
    return {"loss": found.detach(), **{n: p.grad.clone() for n, p in of.named_parameters() if p.grad is not None}}


def both(of: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """As lean layers compute it, and as the model's and peft's own do with PyTorch's attention."""
    with monkeypatch.context() as patched:
        patched.setattr(short_rows, "LONGEST", 0)
        own = learned(of)
    lean.make(of)
    return learned(of), own


@pytest.mark.parametrize("name", KINDS)
def test_loss_and_gradients_are_those_of_the_models_own_layers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, own = both(model(name), monkeypatch)
    assert set(found) == set(own) and len(own) > 8
    for key, expected in own.items():
        assert torch.allclose(found[key], expected, rtol=1e-4, atol=1e-6), key


@pytest.mark.parametrize(
    "lora",
    [
        {"target_modules": ["q_proj", "down_proj"]},
        {"target_modules": ["up_proj"], "layers_to_transform": [1]},
        {"use_rslora": True, "lora_alpha": 3},
        {"use_dora": True},
        {"bias": "all"},
        {"modules_to_save": ["input_layernorm"]},
    ],
    ids=str,
)
def test_other_adapters_learn_the_same(lora: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    found, own = both(model(**lora), monkeypatch)
    assert set(found) == set(own)
    for key, expected in own.items():
        assert torch.allclose(found[key], expected, rtol=1e-4, atol=1e-6), key


def test_in_bfloat16_the_gradients_are_as_near_to_float32_as_those_of_the_models_own_layers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exact = learned(model())
    found, own = both(model(dtype=torch.bfloat16), monkeypatch)

    def far(these: dict[str, torch.Tensor]) -> float:
        return sum(float((these[key].float() - value).norm() / value.norm()) for key, value in exact.items())

    assert far(found) < 1.1 * far(own) < 0.1 * len(exact)


def test_checkpointing_and_dropout_go_on_working(monkeypatch: pytest.MonkeyPatch) -> None:
    of = model()
    plain = learned(of)
    lean.make(of)
    of.activation_checkpointing_enable({"use_reentrant": False})
    assert torch.allclose(learned(of)["loss"], plain["loss"], atol=1e-5)
    dropping = model(lora_dropout=0.5)
    lean.make(dropping)
    assert not torch.equal(learned(dropping)["loss"], learned(dropping)["loss"])
    assert torch.equal(learned(dropping.eval())["loss"], learned(dropping)["loss"])


def test_without_its_adapter_the_model_is_the_base() -> None:
    of = model()
    with torch.no_grad(), of.disable_adapter():
        expected = losses.token_losses(of, batch())
    lean.make(of)
    with torch.no_grad(), of.disable_adapter():
        assert torch.allclose(losses.token_losses(of, batch()), expected, atol=1e-5)
    assert not torch.allclose(learned(of)["loss"], expected, atol=1e-2)


def test_answers_are_generated_as_before() -> None:
    of, asked = model().eval(), {"input_ids": torch.arange(5, 15)[None], "max_new_tokens": 8, "do_sample": False}
    of.get_base_model().set_attn_implementation("sdpa")
    expected = of.generate(**asked)
    lean.make(of)
    assert torch.equal(of.generate(**asked), expected)


def test_all_layers_of_the_known_models_take_the_short_way() -> None:
    of = model()
    lean.make(of)
    parts = [adapted.part_of(each) for each in of.modules() if isinstance(each, adapted.Adapted)]
    assert len(parts) == 14 and all(part and part.first is not None for part in parts)
