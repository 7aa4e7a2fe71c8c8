"""How many numbers a model and its adapter have, from its config alone: layers without numbers. Called by fitting."""

from dataclasses import replace
from typing import Any

import torch

from tuning_image.settings import Settings
from tuning_image.training import fused, lean, model
from tuning_image.training.estimate import Shape


class UnknownShapeError(Exception):
    """The config does not tell what the model will hold; the text says why."""


def measure(settings: Settings, precision: model.Precision) -> tuple[Shape, bool]:
    """The shape, and whether the loss is computed in pieces.

    Raises:
        UnknownShapeError: If the config does not tell.
    """
    try:
        with torch.device("meta"):  # tensors with sizes and without numbers
            base = _base(settings, precision)
            found = of(model.adapted(settings, base))
        is_lean = not model.uses_gpu(settings.config) and lean.understands(base)
        return replace(found, lean=is_lean), fused.frozen_head(base) is not None
    except (OSError, ValueError, AttributeError, TypeError, ImportError, RuntimeError) as error:
        raise UnknownShapeError((str(error) or type(error).__name__).splitlines()[0]) from None


def file_bytes(settings: Settings, numbers: int) -> int:
    """So many numbers in the type that the model's files have them in."""
    kept: torch.dtype = _config(settings).dtype or torch.float32
    return numbers * kept.itemsize


def _base(settings: Settings, precision: model.Precision) -> Any:
    from transformers import AutoModelForCausalLM

    config, trusted = _config(settings), settings.config.ModelConfig.trust_remote_code
    if getattr(config, "quantization_config", None):
        raise UnknownShapeError("its files are quantized already")
    return AutoModelForCausalLM.from_config(config, dtype=precision.dtype, trust_remote_code=trusted)


def _config(settings: Settings) -> Any:
    from transformers import AutoConfig

    arguments, section = settings.arguments, settings.config.ModelConfig
    return AutoConfig.from_pretrained(
        arguments.model,
        revision=arguments.revision,
        local_files_only=section.local_files_only,
        trust_remote_code=section.trust_remote_code,
    )


def of(adapted: Any) -> Shape:
    """The shape of a PeftModel."""
    from peft.tuners.lora import LoraLayer

    config = adapted.config.get_text_config()
    frozen = [p for p in adapted.parameters() if not p.requires_grad]
    if any(p.dim() > 2 for p in frozen):
        raise UnknownShapeError("its experts are no linear layers")
    linear = [m.weight.numel() for m in _linear(adapted)]
    layers = [module for module in adapted.modules() if isinstance(module, LoraLayer)]
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return Shape(
        numbers=sum(p.numel() for p in frozen),
        linear=sum(linear),
        widest=max(linear),
        trained=sum(p.numel() for p in adapted.parameters() if p.requires_grad),
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        queries=heads * width,
        feed_forward=config.intermediate_size,
        vocabulary=config.vocab_size,
        adapted_inputs=sum(layer.in_features for layer in layers) // config.num_hidden_layers,
        keys=(getattr(config, "num_key_value_heads", None) or heads) * width,
        adapted_outputs=sum(layer.out_features for layer in layers) // config.num_hidden_layers,
        dora=any(layer.lora_variant for layer in layers),
    )


def _linear(adapted: Any) -> list[Any]:
    """What bitsandbytes quantizes: linear layers of the base model but the output layer."""
    head = adapted.get_output_embeddings()
    found = [m for m in adapted.modules() if isinstance(m, torch.nn.Linear) and not m.weight.requires_grad]
    return [module for module in found if module is not head]
