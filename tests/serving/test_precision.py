"""Numbers of the weights: what the hardware has, what is quantized at load, which quantized checkpoints are read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks import small_model
from serving_image import settings
from serving_image.engine import weights
from serving_image.engine.build import build
from serving_image.engine.precision import precision
from serving_image.errors import WeightsError
from serving_image.requests import Request, Sampling
from serving_image.source import Source
from tests.serving import kinds

PROMPT, COUNT = kinds.prompt(1, 20), 15
GROUP = 32  # of packed weights that share a scale and a zero point
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


def words(numbers: torch.Tensor, bits: int, order: range | tuple[int, ...]) -> torch.Tensor:
    """(rows, columns) numbers, so many side by side in an int32: the first of `order` in the lowest bits."""
    found = torch.zeros(len(numbers), numbers.shape[1] // len(order), dtype=torch.int64)
    for place, column in enumerate(order):
        found |= numbers[:, column :: len(order)] << (place * bits)
    return found.to(torch.int32)


def packed(layer: torch.nn.Linear, method: str, bits: int, stored: int) -> dict[str, torch.Tensor]:
    """Random packed tensors of a layer, whose weight becomes what they stand for. `stored`: what zero points lack."""
    out, into = layer.weight.shape
    numbers, zeros = torch.randint(0, 2**bits, (into, out)), torch.randint(1, 2**bits, (into // GROUP, out))
    groups = torch.arange(into) // GROUP
    if method == "gptq":
        groups = groups[torch.randperm(into)]  # as with desc_act
    scales = (torch.rand(into // GROUP, out) * 0.02 + 0.01).half()
    layer.weight.data = ((numbers - zeros[groups]) * scales.float()[groups]).T.contiguous()
    order = (0, 2, 4, 6, 1, 3, 5, 7) if method == "awq" else range(32 // bits)
    rows = words(numbers, bits, order) if method == "awq" else words(numbers.T.contiguous(), bits, order).T.contiguous()
    tensors = {"qweight": rows, "qzeros": words(zeros - stored, bits, order), "scales": scales}
    return tensors | ({"g_idx": groups.to(torch.int32)} if method == "gptq" else {})


@pytest.mark.parametrize(
    ("kind", "method", "bits", "form"),
    [
        ("llama", "awq", 4, "gemm"),
        ("llama", "gptq", 2, "gptq_v2"),
        ("llama", "gptq", 4, "gptq"),
        ("llama", "gptq", 8, "gptq_v2"),
        ("qwen3_moe", "gptq", 4, "gptq"),
    ],
)
def test_awq_and_gptq_checkpoints_give_the_tokens_of_what_they_stand_for(
    tmp_path: Path, kind: str, method: str, bits: int, form: str
) -> None:
    model = kinds.made(kind, tmp_path, intermediate_size=128)
    stored = 1 if form == "gptq" else 0

    def pack(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if name.endswith("_proj.weight")]:
            layer = torch.nn.Linear(*reversed(tensors.pop(name).shape), bias=False)
            made = packed(layer, method, bits, stored)
            tensors |= {name.replace("weight", part): tensor for part, tensor in made.items()}
            put(model, name, layer.weight)

    rewrite(tmp_path, {"quant_method": method, "bits": bits, "group_size": GROUP, "checkpoint_format": form}, pack)
    tokens, losses = served(tmp_path, "--dtype", "float32")
    assert tokens == kinds.generated(model, PROMPT, COUNT)
    assert f"the weights in {method} are unpacked to 32 bits" in losses[0]


def put(model: Any, name: str, weight: torch.Tensor) -> None:
    """Into the model; experts lie side by side there, gate and up in one."""
    if ".experts." not in name:
        model.get_parameter(name).data = weight.data
        return
    path, _, rest = name.partition(".experts.")
    number, part = int(rest.split(".")[0]), rest.split(".")[1]
    experts = model.get_submodule(f"{path}.experts")
    if part == "down_proj":
        experts.down_proj.data[number] = weight.data
    else:
        half = len(weight)
        experts.gate_up_proj.data[number, slice(0, half) if part == "gate_proj" else slice(half, None)] = weight.data


@pytest.mark.parametrize(
    ("method", "more", "said"),
    [
        ("gptq", {"bits": 3}, "gptq with bits 3 is not read here, only 2, 4, 8"),
        ("awq", {"version": "gemv"}, "awq with format gemv is not read here, only gemm"),
    ],
)
def test_a_checkpoint_that_is_packed_otherwise_says_how(
    tmp_path: Path, method: str, more: dict[str, object], said: str
) -> None:
    kinds.made("llama", tmp_path)
    rewrite(tmp_path, {"quant_method": method, **more}, lambda tensors: None)
    with pytest.raises(WeightsError, match=said):
        precision(Source(tmp_path), read(tmp_path), CPU)


@pytest.mark.parametrize(("method", "package"), [("hqq", "hqq"), ("compressed-tensors", "compressed-tensors")])
def test_a_checkpoint_that_needs_another_package_names_it(tmp_path: Path, method: str, package: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": method}}))
    with pytest.raises(WeightsError, match=f"weights in {method} need the package {package}, which is not in this"):
        precision(Source(tmp_path), read(tmp_path), CPU)


@pytest.mark.parametrize(
    ("files", "flags", "item_bytes"),
    [
        ("float32", ("--dtype", "float32"), 4),
        ("float32", ("--dtype", "bfloat16"), 2),
        ("bfloat16", ("--dtype", "float32"), 4),
        ("bfloat16", ("--dtype", "bfloat16"), 2),
    ],
)
def test_weights_count_as_what_they_are_in_memory_whatever_their_files_hold(
    tmp_path: Path, files: str, flags: tuple[str, ...], item_bytes: int
) -> None:
    model = kinds.made("llama", tmp_path).to(getattr(torch, files))
    model.save_pretrained(tmp_path)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert precision(Source(tmp_path), read(tmp_path, *flags), CPU).weight_bytes == item_bytes * count


def test_a_gguf_file_counts_as_its_numbers_however_few_bits_they_have_there() -> None:
    file, folder = small_model.gguf_file(), small_model.folder()
    found = precision(Source(file.parent, file.name), read(file, "--dtype", "float32"), CPU).weight_bytes
    assert found == precision(Source(folder), read(folder, "--dtype", "float32"), CPU).weight_bytes


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
