"""The type of numbers that a training takes, by hardware and wish."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import read

from tuning_image.training import model

V100, T4, A100 = ("Tesla V100", (7, 0)), ("Tesla T4", (7, 5)), ("NVIDIA A100", (8, 0))
TABLE = [
    (V100, "auto", "float16"),
    (V100, "bfloat16", "float16"),
    (V100, "float32", "float32"),
    (T4, "auto", "float16"),
    (T4, "bfloat16", "float16"),
    (A100, "auto", "bfloat16"),
    (A100, "bfloat16", "bfloat16"),
    (A100, "float16", "float16"),
    (A100, "float32", "float32"),
    (None, "auto", "float32"),
    (None, "float16", "float32"),
    (None, "bfloat16", "bfloat16"),
    (None, "float32", "float32"),
]


def has(monkeypatch: pytest.MonkeyPatch, gpu: Any) -> None:
    """PyTorch on a machine with this GPU; its own rule for bfloat16 is kept."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu is not None)
    if gpu:
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: gpu[0])
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda *_: SimpleNamespace(major=gpu[1][0]))


@pytest.mark.parametrize(("gpu", "asked", "expected"), TABLE)
def test_the_hardware_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: Any, asked: str, expected: str
) -> None:
    has(monkeypatch, gpu)
    found = model.choose_precision(read(tmp_path, "d", "--set", f"ModelConfig.torch_dtype={asked}").config)
    assert found.dtype == getattr(torch, expected) and found.reason


@pytest.mark.parametrize(("gpu", "expected"), [(V100, "float16"), (A100, "bfloat16")])
def test_four_bits_are_computed_in_what_the_gpu_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: Any, expected: str
) -> None:
    has(monkeypatch, gpu)
    flags = ("--method", "qlora", "--set", "QuantizationConfig.bnb_4bit_compute_dtype=bfloat16")
    config = read(tmp_path, "d", *flags).config
    made = model._quantization(config, model.choose_precision(config))
    assert made.bnb_4bit_compute_dtype == getattr(torch, expected)


def test_adapters_compute_in_the_models_type_and_learn_in_float32(tmp_path: Path, tiny_folder: Path) -> None:
    chosen = read(tmp_path, "d", "--set", "ModelConfig.torch_dtype=bfloat16", model=tiny_folder)
    layer = model.load(chosen, model.choose_precision(chosen.config)).base_model.model.model.layers[0].mlp.up_proj
    first, second = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    torch.nn.init.normal_(second, std=0.1)
    x = torch.randn(7, layer.in_features, dtype=torch.bfloat16)
    given = layer(x)
    wanted = x.float() @ layer.base_layer.weight.float().T + layer.scaling["default"] * (x.float() @ first.T @ second.T)
    assert given.dtype == torch.bfloat16 and torch.allclose(given.float(), wanted, rtol=0.02, atol=0.02)
    given.sum().backward()
    assert first.dtype == second.grad.dtype == torch.float32 and second.grad.abs().sum() > 0
