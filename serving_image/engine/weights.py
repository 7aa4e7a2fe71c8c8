"""Loads the model as transformers does. Called by the engine's process at start."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from serving_image.engine import memory
from serving_image.engine.batch import prefill_tokens
from serving_image.engine.precision import Precision, precision
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
        WeightsError: It is too big, lacks weights, or is in numbers that this machine does not have.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)  # takes up to a second for each new shape, and prompts have all shapes
    device = torch.device(
        settings.device if settings.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    )
    chosen = precision(source, settings, device)
    _check_memory(source, settings, device, chosen)
    model, found = AutoModelForCausalLM.from_pretrained(
        source.folder, dtype=chosen.dtype, device_map=device, output_loading_info=True, **chosen.options
    )
    _check_whole(source, found)
    model.eval()
    context, losses = _context(model.config.get_text_config(), settings.max_model_len)
    return Loaded(model, context, losses + chosen.losses)


def _check_whole(source: Source, found: Mapping[str, Any]) -> None:
    """Every weight of the model was in the files; transformers would serve random numbers in its place."""
    if lacking := sorted(found["missing_keys"]):
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        raise WeightsError(
            f"{source.folder}: its files lack weights of this architecture: {', '.join(lacking[:3])}{more}; "
            "download it again"
        )


def _check_memory(source: Source, settings: Settings, device: torch.device, chosen: Precision) -> None:
    config = None if source.gguf else AutoConfig.from_pretrained(source.folder).get_text_config()
    item_bytes = 4 if chosen.dtype == torch.float32 else 2
    prefill = prefill_tokens(settings.prefill_tokens, device.type)
    needed = memory.Needed(
        chosen.weight_bytes,
        memory.cache_bytes(config, settings.max_model_len, item_bytes),
        memory.activation_bytes(config, 2 * prefill, settings.max_running, item_bytes),
    )
    what = (
        f"{source.folder} ({source.weight_bytes / 2**30:.2f} GiB of files, for --dtype {settings.dtype} "
        f"--quantization {settings.quantization})"
    )
    needed.check(what, memory.free_bytes(device), device)


def _context(config: Any, wanted: int | None) -> tuple[int, tuple[str, ...]]:
    """(tokens, losses)."""
    longest = next((found for name in CONTEXT_NAMES if (found := getattr(config, name, None))), None)
    if longest or wanted:
        return min(each for each in (wanted, longest) if each), ()
    loss = f"context: {UNNAMED_CONTEXT_TOKENS} tokens, as config.json names no longest; --max-model-len sets another"
    return UNNAMED_CONTEXT_TOKENS, (loss,)
