"""Whether a model fits its nodes, and how it is spread over them. Called by plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kaito_components import names, sizing
from kaito_components.errors import Finding
from kaito_components.plan_types import Hardware, Memory, Runtime
from kaito_components.presets import Preset
from kaito_components.sizing import Parallelism
from kaito_components.skus import VmSize, cpu_sizes, gpu_sizes
from kaito_components.spec.model import Workspace
from kaito_components.units import gib

SIZES_SHOWN = 3


@dataclass(frozen=True)
class Fit:
    """Nodes, parallelism and memory; `misfit` is the error or, where checks are bypassed, the warning."""

    node_count: int
    spread: Parallelism
    max_model_len: int | Literal["auto"]
    memory: Memory | None = None
    misfit: Finding | None = None


def fit(
    spec: Workspace,
    preset: Preset | None,
    vm: VmSize | None,
    hardware: Hardware,
    runtime: Runtime,
    dtype: str,
    context: int | None,
) -> Fit:
    """Sizes a Workspace. `context` is the user's max-model-len."""
    if preset is None:
        return Fit(spec.resource.count, Parallelism(), "auto")
    if vm is None:
        return _on_unknown_nodes(spec, preset, hardware, runtime, context)
    if spec.tuning:
        return _tuning(spec, preset, vm, spec.tuning.method)
    if runtime == "vllm" and vm.gpus:
        return _vllm(spec, preset, vm, context)
    return _transformers(spec, preset, vm, dtype)


def _on_unknown_nodes(
    spec: Workspace, preset: Preset, hardware: Hardware, runtime: Runtime, context: int | None
) -> Fit:
    """Nodes that exist already: their memory is not known, so the user's count stands."""
    count = spec.resource.count
    if runtime == "vllm":
        return Fit(count, Parallelism(tensor=max(1, hardware.gpus), pipeline=count), context or "auto")
    return Fit(count, Parallelism(), preset.context_length)


def _vllm(spec: Workspace, preset: Preset, vm: VmSize, context: int | None) -> Fit:
    tokens, per_token = context or sizing.DEFAULT_CONTEXT_TOKENS, preset.kv_bytes_per_token
    usable = sizing.usable_bytes_per_gpu(vm, per_token, tokens)
    memory = _memory(preset, vm, preset.weights_bytes, usable)
    nodes = sizing.vllm_nodes(preset.weights_bytes, per_token, vm, tokens)
    if nodes is not None:
        return Fit(nodes, sizing.vllm_parallelism(preset.weights_bytes, vm, nodes), context or "auto", memory)
    roomy = [size for size in gpu_sizes() if sizing.vllm_nodes(preset.weights_bytes, per_token, size, tokens) == 1]
    text = (
        f"{preset.name} with {tokens} tokens of context ({gib(tokens * per_token)} of keys and values) leaves no room "
        f"for weights on {_room(vm)}; {_choose(roomy)}, or a smaller max-model-len"
    )
    return Fit(1, Parallelism(tensor=vm.gpus), context or "auto", memory, _misfit(spec, text))


def _transformers(spec: Workspace, preset: Preset, vm: VmSize, dtype: str) -> Fit:
    loaded = sizing.loaded_bytes(preset.weights_bytes, dtype)
    per_token = sizing.loaded_bytes(preset.kv_bytes_per_token, dtype)
    context = min(preset.context_length, sizing.context_beside(loaded, per_token, vm))
    memory = _memory(preset, vm, loaded)
    if sizing.fits_node(loaded, vm):
        return Fit(spec.resource.count, Parallelism(), context, memory)
    sizes = gpu_sizes() if vm.gpus else [*cpu_sizes(), *gpu_sizes()]
    roomy = [size for size in sizes if sizing.fits_node(loaded, size)]
    text = (
        f"{preset.name} ({gib(loaded)} of weights in {dtype}) does not fit one {vm.name} "
        f"({gib(sizing.usable_bytes_on_node(vm))} usable), and the transformers runtime uses one node; "
        f"{_choose(roomy)}{_or_vllm(preset, vm)}"
    )
    return Fit(1, Parallelism(), context, memory, _misfit(spec, text))


def _tuning(spec: Workspace, preset: Preset, vm: VmSize, method: str) -> Fit:
    loaded = sizing.tuning_bytes(preset.weights_bytes, method)
    memory = _memory(preset, vm, loaded)
    if sizing.fits_node(loaded, vm):
        return Fit(1, Parallelism(), preset.context_length, memory)
    roomy = [size for size in gpu_sizes() if sizing.fits_node(loaded, size)]
    text = (
        f"{preset.name} ({gib(loaded)} of weights for {method}) does not fit one {vm.name} "
        f"({gib(sizing.usable_bytes_on_node(vm))} usable), and tuning uses one node; {_choose(roomy)}"
        f"{', or method qlora' if method == 'lora' else ''}"
    )
    return Fit(1, Parallelism(), preset.context_length, memory, _misfit(spec, text))


def _memory(preset: Preset, vm: VmSize, loaded: int, usable_per_gpu: int | None = None) -> Memory | None:
    if not vm.gpus:
        return None
    usable = sizing.usable_bytes_on_node(vm) // vm.gpus if usable_per_gpu is None else max(0, usable_per_gpu)
    return Memory(
        weights=loaded,
        kv_cache_per_token=preset.kv_bytes_per_token,
        overhead=int(sizing.RUNTIME_BYTES) * vm.gpus,
        usable_per_gpu=usable,
        gpu=vm.gpu_memory_bytes,
    )


def _room(vm: VmSize) -> str:
    return f"{vm.name} ({vm.gpus} x {gib(vm.gpu_memory_bytes)} GPU memory)"


def _choose(sizes: Sequence[VmSize]) -> str:
    shown = ", ".join(size.name for size in sizes[:SIZES_SHOWN])
    return f"choose {shown}" if shown else "choose a smaller model"


def _or_vllm(preset: Preset, vm: VmSize) -> str:
    """vLLM spreads over nodes; where it could, it is a way out."""
    if "vllm" not in preset.runtimes or not vm.gpus or (vm.compute_capability or 0) < sizing.VLLM_MIN_CAPABILITY:
        return ""
    nodes = sizing.vllm_nodes(preset.weights_bytes, preset.kv_bytes_per_token, vm, sizing.DEFAULT_CONTEXT_TOKENS)
    return f", or the vllm runtime ({nodes} nodes)" if nodes else ""


def _misfit(spec: Workspace, text: str) -> Finding:
    bypassed = names.BYPASS_ANNOTATION in spec.annotations
    field = "resource.instanceType"
    return Finding("warning" if bypassed else "error", "does-not-fit", field, text, spec.file, spec.lines.get(field))
