"""The lean forward pass says what transformers' own layers say, for each kind of model that takes it."""

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

from serving_image import settings
from serving_image.engine import fast_linear, memory, packed_layers
from serving_image.engine.build import build
from serving_image.engine.decoder import understands
from serving_image.engine.lora import Adapter
from serving_image.engine.packed_layers import PackedLayers
from serving_image.engine.stepper import Stepper
from serving_image.requests import Request, Sampling
from serving_image.source import Source

PROMPT = tuple(range(5, 45))
SIZES = {
    "vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 256, "initializer_range": 0.3,
}  # fmt: skip
KINDS = [LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config]


def made(config: Any, folder: Path) -> Any:
    """A model of random weights, saved in `folder`; its norms and biases are random too."""
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(config(**SIZES, sliding_window=None)).eval()
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data.uniform_(0.5, 1.5)
    model.save_pretrained(folder)
    return model


def test_packing_for_the_cpu_lets_each_weight_go_before_the_next_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    model = AutoModelForCausalLM.from_config(LlamaConfig(**SIZES)).to(torch.bfloat16)
    seen: list[weakref.ref[Any]] = []
    alive: list[int] = []
    pack = fast_linear._packed

    def noting(linear: torch.nn.Linear) -> torch.nn.Module:
        seen.append(weakref.ref(linear))
        alive.append(sum(each() is not None for each in seen))
        return pack(linear)

    monkeypatch.setattr(fast_linear, "_packed", noting)
    fast_linear.speed_up(model)
    assert len(seen) > 8 and max(alive) <= 2


@pytest.mark.parametrize(("files", "copied"), [(torch.bfloat16, True), (torch.float32, False)])
def test_packing_copies_what_lies_in_its_file_and_nothing_that_was_cast_on_loading(
    tmp_path: Path, files: torch.dtype, copied: bool
) -> None:
    AutoModelForCausalLM.from_config(LlamaConfig(**SIZES)).to(files).save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    embedding = model.get_input_embeddings().weight
    before = embedding.data_ptr()
    assert any(before in each for each in memory.mapped()) == copied
    fast_linear.speed_up(model)
    assert (embedding.data_ptr() != before) == copied
    assert not any(parameter.data_ptr() in each for parameter in model.parameters() for each in memory.mapped())


def engine(folder: Path, dtype: str) -> Stepper:
    return build(settings.read(["--model", str(folder), "--dtype", dtype], {}), Source(folder))[0]


def answer(stepper: Stepper, adapter: str | None = None) -> list[int]:
    stepper.add(Request("one", PROMPT, 20, Sampling(temperature=0), adapter=adapter))
    tokens = []
    while stepper.has_work:
        tokens += [token.id for batch in stepper.step() for progress in batch for token in progress.tokens]
    return tokens


def first_logits(stepper: Stepper, monkeypatch: pytest.MonkeyPatch, adapter: str | None = None) -> torch.Tensor:
    """What the engine's first step makes of the prompt."""
    seen, forward = [], stepper.forward
    monkeypatch.setattr(stepper, "forward", lambda plan: seen.append(forward(plan)) or seen[-1])
    answer(stepper, adapter)
    return seen[0][-1].float()


def reference(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([PROMPT])).logits[0, -1].float()


@pytest.mark.parametrize("config", KINDS)
def test_greedy_tokens_in_float32_are_those_of_generate(config: Any, tmp_path: Path) -> None:
    model = made(config, tmp_path)
    ids = torch.tensor([PROMPT])
    limits = {"max_new_tokens": 20, "min_new_tokens": 20, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    stepper = engine(tmp_path, "float32")
    assert understands(stepper.model)
    assert answer(stepper) == model.generate(ids, attention_mask=torch.ones_like(ids), **limits)[0, 40:].tolist()


@pytest.mark.parametrize("config", KINDS)
def test_logits_in_bfloat16_are_the_models_but_for_rounding(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made(config, tmp_path)
    found = first_logits(engine(tmp_path, "bfloat16"), monkeypatch)
    assert torch.cosine_similarity(found, reference(model), dim=0) > 0.995


@pytest.mark.parametrize("config", KINDS)
def test_packed_layers_say_what_the_others_say_of_prompts_and_of_rows_of_any_length(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(config, tmp_path)
    seen: dict[bool, list[torch.Tensor]] = {True: [], False: []}
    for packed in seen:
        with monkeypatch.context() as patch:
            if not packed:
                patch.setattr(packed_layers, "are_packed", lambda _: False)
            stepper = engine(tmp_path, "bfloat16")
        forward, logits = stepper.forward, seen[packed]
        monkeypatch.setattr(stepper, "forward", lambda plan, f=forward, into=logits: into.append(f(plan)) or into[-1])
        for step in range(4):  # a prompt beside rows, and from 9 rows on the line is filled
            for count in range(7 if step == 0 else 4 if step == 2 else 0):
                stepper.add(Request(f"{step}-{count}", PROMPT[count : 20 + 2 * count], 9, Sampling(temperature=0)))
            list(stepper.step())
    assert [len(each) for each in seen[True]] == [7, 7, 11, 11]
    for ours, others in zip(seen[True], seen[False], strict=True):
        same = torch.cosine_similarity(ours.float(), others.float())
        assert same.median() > 0.999 and (same > 0.99).sum() >= len(same) - 1  # a token may differ by rounding


def test_compiled_layers_do_what_python_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(Qwen3Config, tmp_path)
    answers = [answer(engine(tmp_path, "bfloat16"))]
    monkeypatch.setattr(torch.jit, "script", lambda module: module)
    answers.append(answer(engine(tmp_path, "bfloat16")))
    assert answers[0] == answers[1]


def test_lines_in_bfloat16_have_few_lengths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(LlamaConfig, tmp_path)
    stepper, seen = engine(tmp_path, "bfloat16"), []
    before = PackedLayers.__call__

    def noting(layers: PackedLayers, x: torch.Tensor, *rest: Any) -> torch.Tensor:
        seen.append(len(x))
        return before(layers, x, *rest)

    monkeypatch.setattr(PackedLayers, "__call__", noting)
    for count in (3, 7, 11, 17, 23, 30, 35, 37, 39):
        stepper.add(Request(f"{count}", PROMPT[:count], 5 if count < 20 else 3, Sampling(temperature=0)))
    while stepper.has_work:
        list(stepper.step())
    assert set(seen) == {208, 16, 4}


@pytest.mark.parametrize("layers", ["qkvogud", "qvod", "k", "u"])
def test_an_adapter_counts_in_bfloat16_beside_another_one(
    layers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made(LlamaConfig, tmp_path)
    stepper, matrices = engine(tmp_path, "bfloat16"), {}
    plain = reference(model)
    for name, layer in model.named_modules():
        if name.endswith("_proj") and name.split(".")[-1][0] in layers:
            down, up = torch.randn(4, layer.in_features) * 0.4, torch.randn(layer.out_features, 4) * 0.4
            layer.weight.data += up @ down
            matrices[name] = (down.bfloat16(), up.bfloat16())
    query = "model.layers.0.self_attn.q_proj"
    other = {query: (torch.randn(3, 64).bfloat16(), torch.randn(64, 3).bfloat16())}
    stepper.adapters.add(Adapter("other", "other#1", other))
    stepper.add(Request("two", PROMPT[:2:-1], 1, Sampling(temperature=0), adapter="other"))
    stepper.adapters.add(Adapter("tuned", "tuned#1", matrices))
    found = first_logits(stepper, monkeypatch, "tuned")
    assert torch.cosine_similarity(found, reference(model), dim=0) > 0.995
    assert torch.cosine_similarity(found, plain, dim=0) < 0.95
