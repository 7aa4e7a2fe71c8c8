"""Makes a preset of what was found about a model. Pure; called by resolving and by the command."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from kaito_components.errors import KaitoError
from kaito_components.presets.architecture import Architecture, architecture_of
from kaito_components.presets.licenses import license_of
from kaito_components.presets.material import Material
from kaito_components.presets.model import Preset
from kaito_components.units import GIB

UNKNOWN_LICENSE = "unknown"
IMAGES_BYTES = 80 * GIB  # KAITO 0.12: disk = weights + 80 GiB
_SPLIT = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# Linear layers of a block. Source: models/*/modeling_*.py in transformers.
_TARGETS = {
    "LlamaForCausalLM": _SPLIT,
    "MistralForCausalLM": _SPLIT,
    "Qwen2ForCausalLM": _SPLIT,
    "Qwen3ForCausalLM": _SPLIT,
    "SmolLM3ForCausalLM": _SPLIT,
    "Phi3ForCausalLM": ("qkv_proj", "o_proj", "gate_up_proj", "down_proj"),
}


@dataclass
class _File:
    """The fields of a preset's file in their order, with their sources."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, list[str]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def put(self, name: str, value: Any, source: str, is_fact: bool = False) -> None:
        """Adds a field; a fact that is None goes to `unknown`, any other None is left out."""
        if value is not None:
            self.values[name] = value
            self.sources.setdefault(source, []).append(name)
        elif is_fact:
            self.unknown.append(name)


def name_of(model: str) -> str:
    """A preset's name: the last part of its Hugging Face id in lower case, as KAITO's are."""
    return model.rsplit("/", 1)[-1].lower()


def preset_values(found: Material, shipped: Preset | None = None) -> dict[str, Any]:
    """The content of the preset's file.

    Args:
        found: the model.
        shipped: a preset that comes with this package for the same model; its flags for the server are taken over.

    Raises:
        KaitoError: config.json does not say enough, or nothing can serve this architecture.
    """
    shape = architecture_of(found.config)
    file = _File()
    file.values["model"] = found.model
    _facts(file, found, shape)
    _numbers(file, found, shape)
    runtimes = _runtimes(found.model, shape)
    file.put("runtimes", runtimes, "architecture")
    if found.weights.is_mistral:
        file.put("load_format", "mistral", "architecture")
    if shipped:
        _server_flags(file, shipped)
    else:
        file.put("tokenizer_mode", "mistral" if found.weights.is_mistral else None, "architecture")
        file.unknown += ["chat_template", "tool_call_parser", "reasoning_parser"]
    file.put("disk", f"{(found.weights.size_bytes + IMAGES_BYTES) // GIB}Gi", "kaito-generator")
    _tuning(file, shape, runtimes)
    return {**file.values, "unknown": file.unknown, "sources": file.sources}


def _facts(file: _File, found: Material, shape: Architecture) -> None:
    source, known = found.facts_source, license_of(found.license or "")
    file.put("revision", found.revision, source, is_fact=True)
    file.put("license", found.license or UNKNOWN_LICENSE, source)
    file.put("redistributable", known.redistributable, "licenses", is_fact=True)
    file.put("gated", found.is_gated or None, source)
    if shape.quantization is None and found.parameters:
        file.put("parameters", found.parameters, source)
    else:
        width = 2 if shape.quantization is None and shape.dtype in ("bfloat16", "float16") else None
        file.put("parameters", found.weights.size_bytes // width if width else None, "computed", is_fact=True)


def _numbers(file: _File, found: Material, shape: Architecture) -> None:
    source, packed, kept = found.config_source, shape.quantization, shape.kept
    file.put("weights", str(found.weights.size_bytes), found.weights.source)
    file.put("dtype", "auto" if packed else "float16" if shape.dtype == "float16" else "bfloat16", "kaito-generator")
    file.put("quantization", packed.method if packed else None, source)
    file.put("quantization_bits", packed.bits if packed else None, source)
    file.put("context_length", shape.context_length, source)
    file.put("architectures", list(shape.names) or None, source)
    for name in ("hidden_size", "layers", "heads", "kv_heads"):
        file.put(name, getattr(shape, name), source)
    file.put("head_size", shape.head_size, source, is_fact=True)
    for name in ("intermediate_size", "vocabulary_size", "kv_lora_rank", "rope_head_size"):
        file.put(name, getattr(shape, name), source)
    if kept.full + kept.window < shape.layers or kept.window:
        file.put("attention_layers", kept.full, source)
    file.put("window_layers", kept.window or None, source)
    file.put("window_tokens", kept.window_tokens, source)
    file.put("kv_bytes_per_token", shape.kv_bytes_per_token, "computed")


def _runtimes(model: str, shape: Architecture) -> list[str]:
    """vLLM by its list; transformers where its own code has the architecture and it writes text alone."""
    found = ["vllm"] if set(shape.names) & _vllm_architectures() else []
    if not shape.has_own_code and any(name.endswith("ForCausalLM") for name in shape.names):
        found.append("transformers")
    if not found:
        named = ", ".join(shape.names) or "no architecture"
        raise KaitoError(f"{model} is {named} by its config.json, which neither vLLM nor transformers serves as text")
    return found


def _server_flags(file: _File, shipped: Preset) -> None:
    source = f"the preset {shipped.name} of this package"
    for name in ("tokenizer_mode", "chat_template", "tool_call_parser", "reasoning_parser"):
        file.put(name, getattr(shipped, name), source)
    file.put("vllm_arguments", list(shipped.vllm_arguments) or None, source)
    for name in ("cpu_cache", "deep_gemm", "cuda_toolkit"):
        file.put(name, getattr(shipped, name), source)


def _tuning(file: _File, shape: Architecture, runtimes: Iterable[str]) -> None:
    """Tuning, where the linear layers are known and the weights are plain numbers."""
    targets = next((_TARGETS[name] for name in shape.names if name in _TARGETS), None)
    known = shape.head_size and shape.intermediate_size and shape.vocabulary_size and "parameters" in file.values
    if targets is None or shape.quantization or "transformers" not in runtimes or not known:
        return
    file.values["tuning"] = {"disk": file.values["disk"], "target_modules": list(targets)}
    file.sources.setdefault("kaito-generator", []).append("tuning.disk")
    file.sources.setdefault("transformers-layers", []).append("tuning.target_modules")


@cache
def _vllm_architectures() -> frozenset[str]:
    text = resources.files("kaito_components").joinpath("data/vllm_architectures.txt").read_text()
    return frozenset(re.findall(r"^(\w+)$", text, re.MULTILINE))


def as_yaml(values: dict[str, Any]) -> str:
    """The file as people write it: one line a field, lists on one line."""
    from io import StringIO

    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedSeq

    def flow(value: Any) -> Any:
        if isinstance(value, list):
            listed = CommentedSeq(value)
            listed.fa.set_flow_style()
            return listed
        return {key: flow(one) for key, one in value.items()} if isinstance(value, dict) else value

    yaml, text = YAML(), StringIO()
    yaml.width = 118
    yaml.dump(flow(values), text)
    return text.getvalue()
