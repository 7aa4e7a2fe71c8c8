"""Whether vLLM has room for a model on a size, on how many nodes and for how much context. Called by plan.fit."""

from dataclasses import replace

from kaito_components.errors import Finding
from kaito_components.plan.room import FIELD, Fit, cheapest, describe, memory_of, misfit, room_of, way_out
from kaito_components.plan.runtime import DEFAULT_MEMORY_SHARE, MEMORY_SHARES
from kaito_components.plan.types import Memory, Room
from kaito_components.presets import Preset
from kaito_components.prices import price_of
from kaito_components.sizing import estimator
from kaito_components.sizing.estimator import Parallelism
from kaito_components.sizing.terms import Term, exact
from kaito_components.skus import VmSize, gpu_sizes
from kaito_components.spec.model import Workspace
from kaito_components.units import gib

ESTIMATOR = "KAITO 0.12 estimator.go"


def fit_vllm(spec: Workspace, preset: Preset, vm: VmSize, dtype: str, context: int | None, region: str | None) -> Fit:
    """As many nodes as KAITO's estimator finds. `context` is the user's max-model-len."""
    preset, tokens = _in_dtype(preset, dtype), context or estimator.DEFAULT_CONTEXT_TOKENS
    usable = max(0, estimator.usable_bytes_per_gpu(vm, preset.kv_bytes_per_token, tokens))
    nodes = estimator.vllm_nodes(preset.weights_bytes, preset.kv_bytes_per_token, vm, tokens)
    spread = estimator.vllm_parallelism(preset.weights_bytes, vm, nodes) if nodes else Parallelism(tensor=vm.gpus)
    memory = memory_of(preset, vm, preset.weights_bytes, usable, _terms(preset, vm, spread), vm.gpus)
    if nodes is None or nodes > preset.layers:
        text = f"{_why(preset, vm, tokens, nodes)}; {way_out(_roomy(preset, tokens), region)}"
        text += "" if nodes else ", or a smaller max-model-len"
        return Fit(nodes or 1, spread, context or "auto", memory, findings=(misfit(spec, text),))
    return Fit(
        nodes,
        spread,
        context or "auto",
        memory,
        _room(preset, spread, memory, context),
        findings=_fewer_nodes(spec, preset, vm, nodes, tokens, region),
    )


def _in_dtype(preset: Preset, dtype: str) -> Preset:
    """The same with the sizes that it has in memory; KAITO's numbers are those of 16 bits."""
    weights = estimator.loaded_bytes(preset.weights_bytes, dtype)
    return replace(
        preset, weights_bytes=weights, kv_bytes_per_token=estimator.loaded_bytes(preset.kv_bytes_per_token, dtype)
    )


def _roomy(preset: Preset, tokens: int) -> list[VmSize]:
    """The sizes of which one node is enough."""
    numbers, newer = (preset.weights_bytes, preset.kv_bytes_per_token), gpu_sizes(estimator.VLLM_MIN_CAPABILITY)
    return [size for size in newer if estimator.vllm_nodes(*numbers, size, tokens) == 1]


def _why(preset: Preset, vm: VmSize, tokens: int, nodes: int | None) -> str:
    if nodes:
        return f"{preset.name} would need {nodes} nodes of {describe(vm)}, and has {preset.layers} layers to spread"
    cache = gib(tokens * preset.kv_bytes_per_token)
    return (
        f"{preset.name} with {tokens} tokens of context ({cache} of keys and values) leaves no room for weights on "
        f"{describe(vm)}"
    )


def _fewer_nodes(
    spec: Workspace, preset: Preset, vm: VmSize, nodes: int, tokens: int, region: str | None
) -> tuple[Finding, ...]:
    """One node of another size that costs less than these nodes together, where prices are known."""
    price = price_of(vm.name, region) if region else None
    if nodes == 1 or price is None or region is None:
        return ()
    for other in cheapest(_roomy(preset, tokens), region)[:1]:
        cheaper = price_of(other.name, region)
        if cheaper and cheaper.per_hour < nodes * price.per_hour:
            text = (
                f"{preset.name} needs {nodes} of {vm.name} ({nodes * price.per_hour:,.2f} USD an hour); one "
                f"{other.name} holds it for {cheaper.per_hour:,.2f}, and needs no network between nodes"
            )
            return (spec.finding("info", "fewer-nodes", FIELD, text),)
    return ()


def _terms(preset: Preset, vm: VmSize, spread: Parallelism) -> tuple[Term, ...]:
    """One GPU: its part of the weights, and what is no room for keys and values."""
    share = MEMORY_SHARES.get(vm.gpu_model, DEFAULT_MEMORY_SHARE)
    weights = preset.weights_bytes / (spread.tensor * spread.pipeline)
    given = share * vm.gpu_memory_bytes
    loose = max(0.0, given - estimator.RUNTIME_BYTES) * (1 - 1 / estimator.FRAGMENTATION)
    return (
        Term(
            "weights", int(weights), int(weights), int(weights * estimator.WEIGHTS_MARGIN), f"files; {ESTIMATOR}: + 2 %"
        ),
        exact("runtime", estimator.RUNTIME_BYTES, f"{ESTIMATOR}: CUDA context, activations"),
        exact("fragmentation", loose, f"{ESTIMATOR}: 5 %"),
        exact("kept free", vm.gpu_memory_bytes - given, f"--gpu-memory-utilization={share:g}"),
    )


def _room(preset: Preset, spread: Parallelism, memory: Memory, context: int | None) -> Room | None:
    parts = estimator.vllm_cache_parts(spread, preset.kv_heads, is_latent=preset.kv_lora_rank is not None)
    return room_of(preset, max(0, memory.free) * parts, context or preset.context_length, spread.data)
