"""Loads the model so that it runs over the rows of the KV store. Called by the engine's process at start."""

from dataclasses import dataclass
from typing import Any

import psutil
import torch
from transformers import AttentionInterface, AutoModelForCausalLM, BitsAndBytesConfig, GgufConfig

from serving_image.engine import attention, kv
from serving_image.engine.fast_linear import speed_up
from serving_image.errors import WeightsError
from serving_image.settings import Settings
from serving_image.source import Source

BFLOAT16_CAPABILITY = (8, 0)  # NVIDIA's Ampere is the first to have it


@dataclass(frozen=True)
class Loaded:
    """A model ready to run."""

    model: Any
    shape: kv.Shape
    context_tokens: int
    losses: tuple[str, ...] = ()  # what this model can elsewhere and not here


def load(source: Source, settings: Settings) -> Loaded:
    """The model on its device.

    Raises:
        WeightsError: It is too big, of a kind that cannot be batched here, or asked for a context it cannot have.
    """
    AttentionInterface.register(attention.NAME, attention.attend)
    device = torch.device(
        settings.device if settings.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    )
    _check_memory(source, settings, device)
    model = AutoModelForCausalLM.from_pretrained(
        source.folder,
        dtype=_dtype(settings.dtype, device),
        attn_implementation=attention.NAME,
        device_map=device,
        **_quantization(source, settings),
    ).eval()
    config = model.config.get_text_config()
    _check_kind(model, config)
    speed_up(model)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    shape = kv.Shape(config.num_hidden_layers, heads, dim, dim, model.dtype, device)
    context, losses = _context(config, settings.max_model_len)
    return Loaded(model, shape, context, losses)


def _dtype(name: str, device: torch.device) -> Any:
    """As asked; else the model's own on GPUs with bfloat16, float16 on older ones, float32 on CPUs."""
    if name != "auto":
        return getattr(torch, name)
    if device.type == "cpu":
        return torch.float32
    return "auto" if torch.cuda.get_device_capability(device) >= BFLOAT16_CAPABILITY else torch.float16


def _quantization(source: Source, settings: Settings) -> dict[str, Any]:
    if source.gguf:
        if settings.quantization != "none":
            raise WeightsError(f"--quantization {settings.quantization}: a .gguf file has its own; leave it out")
        return {**source.loading, "quantization_config": GgufConfig(dequantize=True)}
    if settings.quantization == "nf4":
        compute = torch.float32 if settings.dtype == "auto" else getattr(torch, settings.dtype)
        config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute)
        return {"quantization_config": config}
    if settings.quantization == "int8":
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
    return {}


def _check_memory(source: Source, settings: Settings, device: torch.device) -> None:
    """Files are mostly 16-bit: float32 takes twice their size, int8 half, nf4 somewhat more than a quarter."""
    factor = {"nf4": 0.3, "int8": 0.55}.get(settings.quantization, 1.0)
    if factor == 1.0 and _dtype(settings.dtype, device) == torch.float32:
        factor = 2.0
    if source.gguf:
        factor = 8.0 if factor == 2.0 else 4.0  # unpacked from about 4 bits
    needed = int(source.weight_bytes * factor)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    if needed > free:
        raise WeightsError(
            f"{source.folder}: the weights need {needed / 2**30:.1f} GiB ({source.weight_bytes / 2**30:.1f} GiB of "
            f"files x {factor:g} for --dtype {settings.dtype} --quantization {settings.quantization}) and "
            f"{device.type} has {free / 2**30:.1f} GiB free; use a smaller --dtype, --quantization, or more memory"
        )


def _context(config: Any, wanted: int | None) -> tuple[int, tuple[str, ...]]:
    """(tokens, losses). Rows know no sliding window, so the context ends where a window would begin to hide."""
    longest, window = config.max_position_embeddings, _window(config)
    if wanted and window and wanted > window:
        raise WeightsError(
            f"--max-model-len {wanted}: layers of this model see {window} tokens at a time, which is the longest "
            "context here; ask for less, or use the vLLM runtime"
        )
    context = min(each for each in (wanted, longest, window) if each)
    if wanted or not window or window >= longest:
        return context, ()
    return context, (f"context: {context} tokens instead of {longest}, as layers see only so many at a time",)


def _window(config: Any) -> int | None:
    """How far the layers see that do not see everything."""
    kinds = getattr(config, "layer_types", None)
    some = "sliding_attention" in kinds if kinds else getattr(config, "use_sliding_window", True)
    return getattr(config, "sliding_window", None) if some else None


def _check_kind(model: Any, config: Any) -> None:
    """Attention over rows knows neither soft caps, sinks nor states: a wrong answer would be the result."""
    kinds = set(getattr(config, "layer_types", None) or []) - {"full_attention", "sliding_attention"}
    reasons = [f"layers of kind {', '.join(sorted(kinds))}"] if kinds else []
    if getattr(config, "attn_logit_softcapping", None):
        reasons.append("soft-capped attention")
    if any(hasattr(module, "sinks") for module in model.modules()):
        reasons.append("attention sinks")
    if not getattr(model, "_supports_attention_backend", False):
        reasons.append("attention that is not exchangeable")
    if reasons:
        raise WeightsError(
            f"{type(model).__name__} has {' and '.join(reasons)}, which this server does not run; use the vLLM runtime"
        )
