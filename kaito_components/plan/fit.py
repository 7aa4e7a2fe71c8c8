"""Whether a model fits its nodes, and how it is spread over them. Called by plan."""

from dataclasses import replace

from kaito_components.errors import Finding
from kaito_components.plan.room import Fit, memory_of, misfit, way_out
from kaito_components.plan.tuning import fit_tuning
from kaito_components.plan.types import Hardware, Room, Runtime
from kaito_components.plan.vllm import ESTIMATOR, fit_vllm
from kaito_components.presets import Preset
from kaito_components.sizing import estimator
from kaito_components.sizing.estimator import Parallelism
from kaito_components.sizing.terms import Term, exact
from kaito_components.skus import VmSize, cpu_sizes, gpu_sizes
from kaito_components.spec.model import ConfigMap, Workspace
from kaito_components.units import gib


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
        return fit_vllm(spec, preset, vm, dtype, context, region)
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


def _transformers(spec: Workspace, preset: Preset, vm: VmSize, dtype: str, region: str | None) -> Fit:
    loaded = estimator.unpacked_bytes(preset, dtype)
    per_token = estimator.loaded_bytes(preset.kv_bytes_per_token, dtype)
    tokens = estimator.context_beside(loaded, per_token, vm)
    context = min(preset.context_length, tokens)
    usable = estimator.usable_bytes_without_vllm(vm)
    memory = memory_of(preset, vm, loaded, usable, _transformers_terms(vm, loaded))
    memory = replace(memory, kv_cache_per_token=per_token)
    if estimator.fits_node(loaded, vm):
        room = Room(context, tokens // context, tokens, per_token) if context else None
        return Fit(spec.resource.count, Parallelism(), context, memory, room)
    sizes = gpu_sizes() if vm.gpus else [*cpu_sizes(), *gpu_sizes()]
    roomy = [size for size in sizes if estimator.fits_node(loaded, size)]
    place, used = (f"GPU of {vm.name}", "GPU of one node") if vm.gpus else (vm.name, "node")
    text = (
        f"{preset.name} ({gib(loaded)} of weights {_form(preset, dtype)}) does not fit one {place} ({gib(usable)} "
        f"usable), and the transformers runtime uses one {used}; {way_out(roomy, region)}{_or_vllm(preset, vm)}"
    )
    return Fit(1, Parallelism(), context, memory, findings=(misfit(spec, text),))


def _transformers_terms(vm: VmSize, loaded: int) -> tuple[Term, ...]:
    """The one GPU that holds the model, or a node without one."""
    parts = [Term("weights", loaded, loaded, int(loaded * estimator.WEIGHTS_MARGIN), "files, in this dtype")]
    if not vm.gpus:
        half = vm.memory_bytes - estimator.usable_bytes_without_vllm(vm)
        return (*parts, exact("kept free", half, "half: the node, the program, activations"))
    kept = (1 - estimator.MEMORY_SHARE) * vm.gpu_memory_bytes
    parts.append(exact("runtime", estimator.RUNTIME_BYTES, f"{ESTIMATOR}: CUDA context, activations"))
    return (
        *parts,
        exact("kept free", kept, f"as for vLLM: {1 - estimator.MEMORY_SHARE:.0%} for activations and pieces"),
    )


def _form(preset: Preset, dtype: str) -> str:
    """`in float16`; `unpacked from fp8 to 16 bits`."""
    if preset.quantization in estimator.UNPACKED_BITS:
        return f"unpacked from {preset.quantization} to {32 if dtype == 'float32' else 16} bits"
    return f"in {dtype}"


def _or_vllm(preset: Preset, vm: VmSize) -> str:
    """vLLM spreads over nodes; where it could, it is a way out."""
    if "vllm" not in preset.runtimes or not vm.gpus or (vm.compute_capability or 0) < estimator.VLLM_MIN_CAPABILITY:
        return ""
    nodes = estimator.vllm_nodes(preset.weights_bytes, preset.kv_bytes_per_token, vm, estimator.DEFAULT_CONTEXT_TOKENS)
    return f", or the vllm runtime ({nodes} nodes)" if nodes else ""
