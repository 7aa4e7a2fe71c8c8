"""Numbers of the weights: what the hardware has, what is quantized at load, which quantized checkpoints are read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from serving_image import settings
from serving_image.engine import weights
from serving_image.engine.build import build
from serving_image.engine.precision import precision
from serving_image.errors import WeightsError
from serving_image.requests import Request, Sampling
from serving_image.source import Source
from tests.serving import kinds

PROMPT, COUNT = kinds.prompt(1, 20), 15
BLOCK = 64  # of 8-bit weights that share a scale
FP4 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6])
CUDA, CPU = torch.device("cuda"), torch.device("cpu")


def read(folder: Path, *flags: str) -> settings.Settings:
    return settings.read(["--model", str(folder), *flags], {})


def served(folder: Path, *flags: str) -> tuple[list[int], tuple[str, ...]]:
    """Greedy tokens and what is lost."""
    stepper, _, info = build(read(folder, *flags), Source(folder))
    stepper.add(Request("r", PROMPT, COUNT, Sampling(temperature=0)))
    tokens = []
    while stepper.has_work:
        tokens += [token.id for batch in stepper.step() for progress in batch for token in progress.tokens]
    return tokens, info.losses


def rewrite(folder: Path, quantization: dict[str, Any], change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Make a checkpoint a quantized one."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": quantization}))


def test_a_checkpoint_in_fp8_is_unpacked_and_says_so(tmp_path: Path) -> None:
    model = kinds.made("llama", tmp_path, intermediate_size=128)
    layers = {f"{name}.weight": each for name, each in model.named_modules() if name.endswith("_proj")}

    def pack(tensors: dict[str, torch.Tensor]) -> None:
        for name, layer in layers.items():
            rows, columns = (-(-size // BLOCK) for size in layer.weight.shape)
            scales = torch.rand(rows, columns) * 0.01 + 0.001
            spread = scales.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
            spread = spread[: layer.weight.shape[0], : layer.weight.shape[1]]
            tensors[name] = (layer.weight.detach() / spread).to(torch.float8_e4m3fn)
            tensors[f"{name}_scale_inv"] = scales
            layer.weight.data = tensors[name].float() * spread

    method = {"quant_method": "fp8", "weight_block_size": [BLOCK, BLOCK], "activation_scheme": "dynamic"}
    rewrite(tmp_path, method, pack)
    tokens, losses = served(tmp_path, "--dtype", "float32")
    assert tokens == kinds.generated(model, PROMPT, COUNT)
    assert losses == (
        "quantization: the weights in fp8 are unpacked to 32 bits, as there are no kernels for them here",
    )


def test_experts_in_mxfp4_are_unpacked(tmp_path: Path) -> None:
    model = kinds.made("gpt_oss", tmp_path)
    experts = {f"model.layers.{index}.mlp.experts": layer.mlp.experts for index, layer in enumerate(model.model.layers)}

    def pack(tensors: dict[str, torch.Tensor]) -> None:
        for path, module in experts.items():
            for name in ("gate_up_proj", "down_proj"):
                count, columns, rows = getattr(module, name).shape  # stored the other way round, in blocks of 32
                halves = torch.randint(0, 16, (count, rows, columns // 32, 16, 2))
                scales = torch.randint(122, 126, (count, rows, columns // 32), dtype=torch.uint8)
                values = FP4[halves].flatten(3) * torch.exp2(scales[..., None].float() - 127)
                getattr(module, name).data = values.flatten(2).transpose(1, 2).contiguous()
                del tensors[f"{path}.{name}"]
                tensors[f"{path}.{name}_blocks"] = (halves[..., 0] | halves[..., 1] << 4).to(torch.uint8)
                tensors[f"{path}.{name}_scales"] = scales

    rewrite(tmp_path, {"quant_method": "mxfp4", "modules_to_not_convert": []}, pack)
    tokens, losses = served(tmp_path, "--dtype", "float32")
    assert tokens == kinds.generated(model, PROMPT, COUNT) and "mxfp4" in losses[0]


@pytest.mark.parametrize(("quantization", "least"), [("nf4", 0.999), ("int8", 0.98)])
def test_logits_are_those_of_the_quantized_weights(tmp_path: Path, quantization: str, least: float) -> None:
    """int8 quantizes the activations too, and nf4 rounds them on CPUs, so the logits are only near."""
    model = kinds.made("llama", tmp_path, hidden_size=256, head_dim=64, intermediate_size=512, initializer_range=0.1)
    quantized, unpacked = (weights.load(Source(tmp_path), read(tmp_path, "--quantization", quantization)) for _ in "ab")
    assert {"Linear4bit", "Linear8bitLt"} & {type(module).__name__ for module in quantized.model.modules()}
    models = (quantized.model, unpacked.model.dequantize(), model)
    with torch.no_grad():
        found, wanted, plain = (each(torch.tensor([PROMPT])).logits[0].float() for each in models)
    assert torch.cosine_similarity(found, wanted, dim=-1).min() > least
    assert torch.cosine_similarity(plain, wanted, dim=-1).min() < 0.9999


@pytest.mark.parametrize(("method", "package"), [("awq", "gptqmodel"), ("gptq", "gptqmodel"), ("hqq", "hqq")])
def test_a_checkpoint_that_needs_another_package_names_it(tmp_path: Path, method: str, package: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": method}}))
    with pytest.raises(WeightsError, match=f"weights in {method} need the package {package}, which is not in this"):
        precision(Source(tmp_path), read(tmp_path), CPU)


def test_quantizing_what_is_quantized_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": "fp8"}}))
    with pytest.raises(WeightsError, match="--quantization nf4: a checkpoint in fp8 has its own"):
        precision(Source(tmp_path), read(tmp_path, "--quantization", "nf4"), CPU)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("card", "capability", "wanted"),
    [
        ("V100", (7, 0), torch.float16),
        ("T4", (7, 5), torch.float16),
        ("A100", (8, 0), "auto"),
        ("A10", (8, 6), "auto"),
        ("H100", (9, 0), "auto"),
    ],
)
def test_bfloat16_is_chosen_only_where_it_is_native(
    plain: Path, monkeypatch: pytest.MonkeyPatch, card: str, capability: tuple[int, int], wanted: Any
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert precision(Source(plain), read(plain), CUDA).dtype == wanted, card
    if wanted == torch.float16:
        with pytest.raises(WeightsError, match=r"compute capability 7\.\d, and bfloat16 begins with 8\.0; use float16"):
            precision(Source(plain), read(plain, "--dtype", "bfloat16"), CUDA)


@pytest.mark.parametrize(
    ("flag", "dtype"), [("auto", torch.float32), ("bfloat16", torch.bfloat16), ("float16", torch.float16)]
)
def test_a_cpu_computes_in_float32_unless_told_otherwise(plain: Path, flag: str, dtype: torch.dtype) -> None:
    assert precision(Source(plain), read(plain, "--dtype", flag), CPU).dtype == dtype
