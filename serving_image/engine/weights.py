"""Loads the model as transformers does. Called by the engine's process at start."""

from dataclasses import dataclass
from typing import Any

import psutil
import torch
from transformers import AutoModelForCausalLM

from serving_image.engine.precision import precision
from serving_image.errors import WeightsError
from serving_image.settings import Settings
from serving_image.source import Source

CONTEXT_NAMES = ("max_position_embeddings", "max_seq_len", "seq_length")  # of config.json, the usual one first
UNNAMED_CONTEXT_TOKENS = 2048


@dataclass(frozen=True)
class Loaded:
    """A model on its device."""

    model: Any
    context_tokens: int
    losses: tuple[str, ...] = ()  # what this model can elsewhere and not here


def load(source: Source, settings: Settings) -> Loaded:
    """The model on its device.

    Raises:
        WeightsError: It is too big, or in numbers that this machine does not have.
    """
    device = torch.device(
        settings.device if settings.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    )
    chosen = precision(source, settings, device)
    _check_memory(source, settings, device, chosen.factor)
    model = AutoModelForCausalLM.from_pretrained(
        source.folder, dtype=chosen.dtype, device_map=device, **chosen.options
    ).eval()
    context, losses = _context(model.config.get_text_config(), settings.max_model_len)
    return Loaded(model, context, losses + chosen.losses)


def _check_memory(source: Source, settings: Settings, device: torch.device, factor: float) -> None:
    needed = int(source.weight_bytes * factor)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    if needed > free:
        raise WeightsError(
            f"{source.folder}: the weights need {needed / 2**30:.1f} GiB ({source.weight_bytes / 2**30:.1f} GiB of "
            f"files x {factor:g} for --dtype {settings.dtype} --quantization {settings.quantization}) and "
            f"{device.type} has {free / 2**30:.1f} GiB free; use a smaller --dtype, --quantization, or more memory"
        )


def _context(config: Any, wanted: int | None) -> tuple[int, tuple[str, ...]]:
    """(tokens, losses)."""
    longest = next((found for name in CONTEXT_NAMES if (found := getattr(config, name, None))), None)
    if longest or wanted:
        return min(each for each in (wanted, longest) if each), ()
    loss = f"context: {UNNAMED_CONTEXT_TOKENS} tokens, as config.json names no longest; --max-model-len sets another"
    return UNNAMED_CONTEXT_TOKENS, (loss,)
