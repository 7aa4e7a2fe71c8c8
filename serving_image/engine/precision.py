"""In which numbers the weights are kept: dtypes that the hardware has, quantization at load, quantized checkpoints.

Called by weights.py.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AutoConfig, BitsAndBytesConfig, FineGrainedFP8Config, GgufConfig, Mxfp4Config

from serving_image.engine import counting, int4
from serving_image.errors import WeightsError
from serving_image.settings import Settings
from serving_image.source import Source

BFLOAT16_CAPABILITY = (8, 0)  # NVIDIA's Ampere is the first to have it
KEPT = {"nf4": 0.3, "int8": 0.55}  # of 16-bit files, in memory
UNPACKED: dict[str, Any] = {"fp8": FineGrainedFP8Config, "mxfp4": Mxfp4Config}  # by transformers itself
# Those that need a package which the images do not have. Source: transformers' quantizers/quantizer_*.py.
PACKAGES = {
    "compressed-tensors": "compressed-tensors",
    "aqlm": "aqlm",
    "auto-round": "auto-round",
    "fbgemm_fp8": "fbgemm-gpu",
    "hqq": "hqq",
    "quanto": "optimum-quanto",
    "torchao": "torchao",
}


@dataclass(frozen=True)
class Precision:
    """How the weights are loaded."""

    dtype: Any  # as from_pretrained takes it
    weight_bytes: int  # in memory
    options: dict[str, Any] = field(default_factory=dict)  # more for from_pretrained
    losses: tuple[str, ...] = ()


def precision(source: Source, settings: Settings, device: torch.device) -> Precision:
    """What suits the files, the settings and the hardware.

    Raises:
        WeightsError: The hardware has no such numbers, or the files need a package that is not here.
    """
    dtype = _dtype(settings.dtype, device)
    if source.gguf:
        _refuse_quantizing(settings, "a .gguf file")
        options = {**source.loading, "quantization_config": GgufConfig(dequantize=True)}
        chosen = _compute_dtype(dtype, device)
        return Precision(chosen, counting.numbers(source) * chosen.itemsize, options)
    config = json.loads((source.folder / "config.json").read_text())
    item_bytes = _item_bytes(dtype, config)
    if method := _method(config):
        _refuse_quantizing(settings, f"a checkpoint in {method}")
        return _checkpoint(source, method, dtype, item_bytes)
    count = counting.numbers(source)
    if settings.quantization == "nf4":
        compute = _compute_dtype(dtype, device)
        bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute)
        return Precision(dtype, int(2 * count * KEPT["nf4"]), {"quantization_config": bits})
    if settings.quantization == "int8":
        bits = BitsAndBytesConfig(load_in_8bit=True)
        return Precision(dtype, int(2 * count * KEPT["int8"]), {"quantization_config": bits})
    return Precision(dtype, count * item_bytes)


def _dtype(name: str, device: torch.device) -> Any:
    """As asked; else the model's own on GPUs with bfloat16, float16 on older ones, float32 on CPUs."""
    native = device.type != "cuda" or torch.cuda.get_device_capability(device) >= BFLOAT16_CAPABILITY
    if name == "bfloat16" and not native:
        capability = ".".join(map(str, torch.cuda.get_device_capability(device)))
        raise WeightsError(
            f"--dtype bfloat16: this GPU has compute capability {capability}, and bfloat16 begins with 8.0; "
            "use float16 or auto"
        )
    if name != "auto":
        return getattr(torch, name)
    if device.type == "cpu":
        return torch.float32
    return "auto" if native else torch.float16


def _compute_dtype(dtype: Any, device: torch.device) -> torch.dtype:
    """Of sums over nf4 weights, and of unpacked ones, where "auto" leaves it open."""
    if isinstance(dtype, torch.dtype):
        return dtype
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def _item_bytes(dtype: Any, config: Mapping[str, Any]) -> int:
    """Of a number in memory; "auto" is the model's own."""
    if isinstance(dtype, torch.dtype):
        return dtype.itemsize
    own = config.get("dtype") or config.get("torch_dtype") or _text_config(config).get("dtype")
    return 4 if own == "float32" else 2


def _refuse_quantizing(settings: Settings, what: str) -> None:
    if settings.quantization != "none":
        raise WeightsError(f"--quantization {settings.quantization}: {what} has its own; leave it out")


def _text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return config.get("text_config") or {}


def _quantization(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of the checkpoint; empty for others."""
    return config.get("quantization_config") or _text_config(config).get("quantization_config") or {}


def _method(config: Mapping[str, Any]) -> str:
    """Of a quantized checkpoint; empty for others."""
    quantization = _quantization(config)
    if quantization.get("load_in_4bit") or quantization.get("load_in_8bit"):
        return "bitsandbytes"
    return str(quantization.get("quant_method", ""))


def _checkpoint(source: Source, method: str, dtype: Any, item_bytes: int) -> Precision:
    if method == "bitsandbytes":
        return Precision(dtype, source.weight_bytes)
    if method not in UNPACKED and method not in int4.FORMATS:
        needed = f"the package {PACKAGES[method]}, which is" if method in PACKAGES else "code that is"
        raise WeightsError(
            f"{source.folder}: config.json: quantization_config.quant_method: weights in {method} need {needed} not "
            "in this image; use the vLLM runtime, or the model's 16-bit weights with --quantization nf4 or int8"
        )
    options: dict[str, Any]
    if method in UNPACKED:
        bits, options = 4, {"quantization_config": UNPACKED[method](dequantize=True)}
    else:
        config = AutoConfig.from_pretrained(source.folder)
        how = int4.layout(method, config.quantization_config, f"{source.folder}: config.json")
        config.quantization_config = how.to_dict()
        bits, options = how.bits, {"config": config}
    said = 8 * item_bytes
    loss = f"quantization: the weights in {method} are unpacked to {said} bits, as there are no kernels for them here"
    return Precision(dtype, counting.numbers(source, bits) * item_bytes, options, (loss,))
