"""In which numbers the weights are kept: dtypes that the hardware has, quantization at load, quantized checkpoints.

Called by weights.py.
"""

import json
import logging
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import BitsAndBytesConfig, FineGrainedFP8Config, GgufConfig, Mxfp4Config

from serving_image.errors import WeightsError
from serving_image.settings import Settings
from serving_image.source import Source

BFLOAT16_CAPABILITY = (8, 0)  # NVIDIA's Ampere is the first to have it
KEPT = {"nf4": 0.3, "int8": 0.55}  # of 16-bit files, in memory
GGUF_BITS = 4  # about, of a weight in a file
# Checkpoints that transformers unpacks without more packages, and the bits of a weight in them.
UNPACKED: dict[str, tuple[Any, float]] = {"fp8": (FineGrainedFP8Config, 8), "mxfp4": (Mxfp4Config, 4.25)}
# Those that need a package which the images do not have. Source: transformers' quantizers/quantizer_*.py.
PACKAGES = {
    "awq": "gptqmodel",
    "gptq": "gptqmodel",
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
    options: dict[str, Any] = field(default_factory=dict)  # more for from_pretrained
    factor: float = 1.0  # memory for each byte of the files
    losses: tuple[str, ...] = ()


def precision(source: Source, settings: Settings, device: torch.device) -> Precision:
    """What suits the files, the settings and the hardware.

    Raises:
        WeightsError: The hardware has no such numbers, or the files need a package that is not here.
    """
    dtype = _dtype(settings.dtype, device)
    bits = 32 if dtype == torch.float32 else 16
    if source.gguf:
        _refuse_quantizing(settings, "a .gguf file")
        options = {**source.loading, "quantization_config": GgufConfig(dequantize=True)}
        return Precision(_compute_dtype(dtype, device), options, bits / GGUF_BITS)
    if method := _method(source):
        _refuse_quantizing(settings, f"a checkpoint in {method}")
        return _checkpoint(source, method, dtype, bits)
    if settings.quantization == "nf4":
        compute = _compute_dtype(dtype, device)
        config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute)
        return Precision(dtype, {"quantization_config": config}, KEPT["nf4"])
    if settings.quantization == "int8":
        # that it computes in float16 whatever comes in, told for each layer and step
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        return Precision(dtype, {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}, KEPT["int8"])
    return Precision(dtype, factor=bits / 16)


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


def _refuse_quantizing(settings: Settings, what: str) -> None:
    if settings.quantization != "none":
        raise WeightsError(f"--quantization {settings.quantization}: {what} has its own; leave it out")


def _method(source: Source) -> str:
    """Of a quantized checkpoint; empty for others."""
    config = json.loads((source.folder / "config.json").read_text())
    quantization = config.get("quantization_config") or config.get("text_config", {}).get("quantization_config") or {}
    if quantization.get("load_in_4bit") or quantization.get("load_in_8bit"):
        return "bitsandbytes"
    return str(quantization.get("quant_method", ""))


def _checkpoint(source: Source, method: str, dtype: Any, bits: int) -> Precision:
    if method == "bitsandbytes":
        return Precision(dtype)
    if method not in UNPACKED:
        needed = f"the package {PACKAGES[method]}, which is" if method in PACKAGES else "code that is"
        raise WeightsError(
            f"{source.folder}: config.json: quantization_config.quant_method: weights in {method} need {needed} not "
            "in this image; use the vLLM runtime, or the model's 16-bit weights with --quantization nf4 or int8"
        )
    config, packed_bits = UNPACKED[method]
    loss = f"quantization: the weights in {method} are unpacked to {bits} bits, as there are no kernels for them here"
    return Precision(dtype, {"quantization_config": config(dequantize=True)}, bits / packed_bits, (loss,))
