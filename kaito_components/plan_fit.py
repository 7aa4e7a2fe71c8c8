"""Whether a model fits its nodes, and how it is spread over them. Called by plan."""

from dataclasses import replace

from kaito_components import sizing
from kaito_components.errors import Finding
from kaito_components.estimates import Term, exact, total
from kaito_components.plan_room import Fit, describe, misfit, place_bytes, way_out
from kaito_components.plan_runtime import DEFAULT_MEMORY_SHARE, MEMORY_SHARES
from kaito_components.plan_tuning import fit_tuning
from kaito_components.plan_types import Hardware, Memory, Room, Runtime
from kaito_components.presets import Preset
from kaito_components.sizing import Parallelism
from kaito_components.skus import VmSize, cpu_sizes, gpu_sizes
from kaito_components.spec.model import ConfigMap, Workspace
from kaito_components.units import gib

ESTIMATOR = "KAITO 0.12 estimator.go"


def fit(
    spec: Workspace,
    preset: Preset | None,
    vm: VmSize | None,
    hardware: Hardware,
    runtime: Runtime,
    dtype: str,
    context: int | None,
    config: ConfigMap | None = None,
    region: str | None = None,
) -> Fit:
    """Sizes a Workspace. `context` is the user's max-model-len; with a region, ways out come cheapest first."""
    if preset is None:
        return Fit(spec.resource.count, Parallelism(), "auto")
    if vm is None:
        return _on_unknown_nodes(spec, preset, hardware, runtime, context)
    if spec.tuning:
        return fit_tuning(spec, preset, vm, dtype, config, region)
    if runtime == "vllm" and vm.gpus:
        return _vllm(spec, _in_dtype(preset, dtype), vm, context, region)
    return _transformers(spec, preset, vm, dtype, region)


def _on_unknown_nodes(
    spec: Workspace, preset: Preset, hardware: Hardware, runtime: Runtime, context: int | None
) -> Fit:
    """Nodes that exist already: their memory is known of a MIG slice only, so the user's count stands."""
    count, beyond = spec.resource.count, _beyond_slice(spec, preset, hardware)
    if runtime == "vllm":
        spread = Parallelism(tensor=max(1, hardware.gpus), pipeline=count)
        return Fit(count, spread, context or "auto", findings=beyond)
    return Fit(count, Parallelism(), preset.context_length, findings=beyond)


def _beyond_slice(spec: Workspace, preset: Preset, hardware: Hardware) -> tuple[Finding, ...]:
    room = hardware.gpu_memory_bytes
    if room is None or preset.weights_bytes <= room:
        return ()
    text = (
        f"{preset.name} ({gib(preset.weights_bytes)} of weights) does not fit one slice ({gib(room)}), and a model is "
        "not spread over slices; choose a larger profile, or a smaller model"
    )
    return (misfit(spec, text, "resource.partition.profile"),)


def _vllm(spec: Workspace, preset: Preset, vm: VmSize, context: int | None, region: str | None) -> Fit:
    tokens, per_token = context or sizing.DEFAULT_CONTEXT_TOKENS, preset.kv_bytes_per_token
    usable = max(0, sizing.usable_bytes_per_gpu(vm, per_token, tokens))
    nodes = sizing.vllm_nodes(preset.weights_bytes, per_token, vm, tokens)
    if nodes is not None:
        spread = sizing.vllm_parallelism(preset.weights_bytes, vm, nodes)
        memory = _memory(preset, vm, preset.weights_bytes, usable, _vllm_terms(preset, vm, spread))
        room = _vllm_room(preset, spread, memory, context)
        return Fit(nodes, spread, context or "auto", memory, room)
    spread = Parallelism(tensor=vm.gpus)
    memory = _memory(preset, vm, preset.weights_bytes, usable, _vllm_terms(preset, vm, spread))
    newer = gpu_sizes(sizing.VLLM_MIN_CAPABILITY)
    roomy = [size for size in newer if sizing.vllm_nodes(preset.weights_bytes, per_token, size, tokens) == 1]
    text = (
        f"{preset.name} with {tokens} tokens of context ({gib(tokens * per_token)} of keys and values) leaves no room "
        f"for weights on {describe(vm)}; {way_out(roomy, region)}, or a smaller max-model-len"
    )
    return Fit(1, spread, context or "auto", memory, findings=(misfit(spec, text),))


def _in_dtype(preset: Preset, dtype: str) -> Preset:
    """The same with the sizes that it has in memory; KAITO's numbers are those of 16 bits."""
    weights = sizing.loaded_bytes(preset.weights_bytes, dtype)
    return replace(
        preset, weights_bytes=weights, kv_bytes_per_token=sizing.loaded_bytes(preset.kv_bytes_per_token, dtype)
    )


def _vllm_terms(preset: Preset, vm: VmSize, spread: Parallelism) -> tuple[Term, ...]:
    """One GPU: its part of the weights, and what is no room for keys and values."""
    share = MEMORY_SHARES.get(vm.gpu_model, DEFAULT_MEMORY_SHARE)
    weights = preset.weights_bytes / (spread.tensor * spread.pipeline)
    given = share * vm.gpu_memory_bytes
    loose = max(0.0, given - sizing.RUNTIME_BYTES) * (1 - 1 / sizing.FRAGMENTATION)
    return (
        Term("weights", int(weights), int(weights), int(weights * sizing.WEIGHTS_MARGIN), f"files; {ESTIMATOR}: + 2 %"),
        exact("runtime", sizing.RUNTIME_BYTES, f"{ESTIMATOR}: CUDA context, activations"),
        exact("fragmentation", loose, f"{ESTIMATOR}: 5 %"),
        exact("kept free", vm.gpu_memory_bytes - given, f"--gpu-memory-utilization={share:g}"),
    )


def _vllm_room(preset: Preset, spread: Parallelism, memory: Memory, context: int | None) -> Room | None:
    per_gpu = sizing.vllm_cache_bytes_per_gpu(
        preset.kv_bytes_per_token, spread, preset.kv_heads, is_latent=preset.kv_lora_rank is not None
    )
    tokens = int(max(0, memory.free) / per_gpu)  # of one copy
    longest = min(context or preset.context_length, tokens)
    return Room(longest, spread.data * (tokens // longest), spread.data * tokens) if longest else None


def _transformers(spec: Workspace, preset: Preset, vm: VmSize, dtype: str, region: str | None) -> Fit:
    loaded = sizing.loaded_bytes(preset.weights_bytes, dtype)
    per_token = sizing.loaded_bytes(preset.kv_bytes_per_token, dtype)
    tokens = sizing.context_beside(loaded, per_token, vm)
    context = min(preset.context_length, tokens)
    usable = sizing.usable_bytes_on_node(vm) // max(1, vm.gpus)
    memory = replace(_memory(preset, vm, loaded, usable, _transformers_terms(vm, loaded)), kv_cache_per_token=per_token)
    if sizing.fits_node(loaded, vm):
        room = Room(context, tokens // context, tokens) if context else None
        return Fit(spec.resource.count, Parallelism(), context, memory, room)
    sizes = gpu_sizes() if vm.gpus else [*cpu_sizes(), *gpu_sizes()]
    roomy = [size for size in sizes if sizing.fits_node(loaded, size)]
    text = (
        f"{preset.name} ({gib(loaded)} of weights in {dtype}) does not fit one {vm.name} "
        f"({gib(sizing.usable_bytes_on_node(vm))} usable), and the transformers runtime uses one node; "
        f"{way_out(roomy, region)}{_or_vllm(preset, vm)}"
    )
    return Fit(1, Parallelism(), context, memory, findings=(misfit(spec, text),))


def _transformers_terms(vm: VmSize, loaded: int) -> tuple[Term, ...]:
    """One GPU of those that the weights are spread over, or a node without one."""
    weights = loaded / max(1, vm.gpus)
    parts = [Term("weights", int(weights), int(weights), int(weights * sizing.WEIGHTS_MARGIN), "files, in this dtype")]
    if not vm.gpus:
        half = vm.memory_bytes - sizing.usable_bytes_on_node(vm)
        return (*parts, exact("kept free", half, "half: the node, the program, activations"))
    kept = (1 - sizing.MEMORY_SHARE) * vm.gpu_memory_bytes
    parts.append(exact("runtime", sizing.RUNTIME_BYTES, f"{ESTIMATOR}: CUDA context, activations"))
    return (*parts, exact("kept free", kept, f"as for vLLM: {1 - sizing.MEMORY_SHARE:.0%} for activations and pieces"))


def _memory(preset: Preset, vm: VmSize, loaded: int, usable: int, terms: tuple[Term, ...]) -> Memory:
    return Memory(
        weights=loaded,
        kv_cache_per_token=preset.kv_bytes_per_token,
        overhead=(total(terms).likely - terms[0].likely) * max(1, vm.gpus),
        usable_per_gpu=usable,
        gpu=place_bytes(vm),
        terms=terms,
    )


def _or_vllm(preset: Preset, vm: VmSize) -> str:
    """vLLM spreads over nodes; where it could, it is a way out."""
    if "vllm" not in preset.runtimes or not vm.gpus or (vm.compute_capability or 0) < sizing.VLLM_MIN_CAPABILITY:
        return ""
    nodes = sizing.vllm_nodes(preset.weights_bytes, preset.kv_bytes_per_token, vm, sizing.DEFAULT_CONTEXT_TOKENS)
    return f", or the vllm runtime ({nodes} nodes)" if nodes else ""
