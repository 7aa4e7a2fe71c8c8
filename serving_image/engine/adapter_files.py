"""Reads an adapter's folder and checks it against the model. Called by the engine's process at start and on demand.

The layout is KAITO's and peft's: adapter_config.json and adapter_model.safetensors. Nothing is ever unpickled.
"""

import itertools
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from safetensors import SafetensorError
from safetensors.torch import load_file

from serving_image.engine.lora import Adapter, LoraLinear
from serving_image.errors import AdapterError
from serving_image.setting_types import AdapterSpec

MAX_RANK = 256
HUB_NAME = re.compile(r"[\w.-]+/([\w.-]+)")  # OWNER/NAME: owners differ between mirrors
# How weights are stored makes no other model. Source: names of quantized checkpoints on Hugging Face.
STORED = re.compile(r"(-(unsloth|bnb|awq|gptq|gguf|fp8|nf4|bf16|fp16|4bit|8bit|int4|int8|w4a16))+$")
PREFIX = "base_model.model."
_loads = itertools.count(1)


def read(spec: AdapterSpec, model: Any, served: str = "") -> Adapter:
    """The adapter, ready to be added. `served` is the model's id, where its adapters must name it as their base.

    Raises:
        AdapterError: With the file, what is wrong in it and what would be right.
    """
    config = _config(spec)
    _check_base(spec, config.base_model_name_or_path or "", served)
    weights = _weights(spec)
    matrices = {}
    for name in sorted({key.rpartition(".lora_")[0] for key in weights}):
        module = name.removeprefix(PREFIX)
        down, up = _pair(spec, config, weights, name, _linear(spec, model, module))
        matrices[module] = (down.to(model.device, model.dtype), up.to(model.device, model.dtype))
    if not matrices:
        raise _wrong(spec, "adapter_model.safetensors has no LoRA matrices")
    return Adapter(spec.name, f"{spec.name}#{next(_loads)}", matrices)


def _config(spec: AdapterSpec) -> Any:
    path = spec.folder / "adapter_config.json"
    if not path.is_file():
        raise _wrong(spec, "adapter_config.json is missing")
    try:
        config = LoraConfig.from_pretrained(str(spec.folder))
    except Exception as error:  # peft raises what its parts raise
        raise _wrong(spec, f"adapter_config.json cannot be read: {error}") from None
    kind = getattr(config.peft_type, "value", config.peft_type)
    if kind != "LORA":
        raise _wrong(spec, f"peft_type is {kind}; only LORA is served")
    refused = {
        "use_dora": config.use_dora,
        "bias": config.bias not in ("none", None),
        "modules_to_save": config.modules_to_save,
        "fan_in_fan_out": config.fan_in_fan_out,
        "layer_replication": config.layer_replication,
    }
    if named := [name for name, given in refused.items() if given]:
        raise _wrong(spec, f"{', '.join(named)} of adapter_config.json cannot be served; merge the adapter instead")
    return config


def _check_base(spec: AdapterSpec, named: str, served: str) -> None:
    """Models of one size differ in what they learned; a folder's name tells nothing, so only two ids are compared."""
    made_for, here = _model_name(named), _model_name(served)
    if made_for and here and made_for != here:
        raise _wrong(
            spec,
            f"base_model_name_or_path of adapter_config.json is {named}, and {served} is served; serve that model, "
            "correct the name, or start with --adapter-base any",
        )


def _model_name(text: str) -> str:
    """Of an id of Hugging Face, without its owner; empty for folders."""
    found = HUB_NAME.fullmatch(text)
    return STORED.sub("", found[1].lower().removeprefix("meta-")) if found and not Path(text).exists() else ""


def _weights(spec: AdapterSpec) -> dict[str, torch.Tensor]:
    path = spec.folder / "adapter_model.safetensors"
    if not path.is_file():
        pickled = (
            "; adapter_model.bin is not read, since it can run code" * (spec.folder / "adapter_model.bin").is_file()
        )
        raise _wrong(spec, f"adapter_model.safetensors is missing{pickled}")
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise _wrong(spec, f"adapter_model.safetensors is damaged: {error}") from None
    if unknown := [key for key in weights if not re.search(r"\.lora_[AB](\.default)?\.weight$", key)]:
        raise _wrong(spec, f"adapter_model.safetensors has {unknown[0]}, which is no LoRA matrix of a linear layer")
    return {key.replace(".default.weight", ".weight"): value for key, value in weights.items()}


def _linear(spec: AdapterSpec, model: Any, module: str) -> torch.nn.Module:
    try:
        found = model.get_submodule(module)
    except AttributeError:
        raise _wrong(spec, f"it targets {module}, which {type(model).__name__} does not have") from None
    found = found.inner if isinstance(found, LoraLinear) else found
    if not hasattr(found, "in_features"):
        raise _wrong(spec, f"it targets {module}, which is no linear layer")
    return found


def _pair(
    spec: AdapterSpec, config: Any, weights: Mapping[str, torch.Tensor], name: str, linear: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    try:
        down, up = weights[f"{name}.lora_A.weight"], weights[f"{name}.lora_B.weight"]
    except KeyError as error:
        raise _wrong(spec, f"adapter_model.safetensors has no {error.args[0]}") from None
    rank = down.shape[0]
    module = name.removeprefix(PREFIX)
    wanted = ((rank, linear.in_features), (linear.out_features, rank))
    if (tuple(down.shape), tuple(up.shape)) != wanted:
        shapes = f"{tuple(down.shape)} and {tuple(up.shape)}"
        raise _wrong(spec, f"{module} has matrices of {shapes} where this model needs {wanted[0]} and {wanted[1]}")
    if rank > MAX_RANK:
        raise _wrong(spec, f"{module} has rank {rank}; at most {MAX_RANK} is served")
    scale = spec.strength * _scale(config, module, rank)
    return down, up.float() * scale


def _scale(config: Any, module: str, rank: int) -> float:
    alpha = config.lora_alpha
    for pattern, value in (config.alpha_pattern or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            alpha = value
            break
    return float(alpha) / (math.sqrt(rank) if config.use_rslora else rank)


def _wrong(spec: AdapterSpec, what: str) -> AdapterError:
    return AdapterError(f"adapter {spec.name}: {spec.folder}: {what}")
