"""The VM sizes on which a model can be served, smallest first. Called by the `models` command."""

from dataclasses import dataclass

from kaito_components.presets import Preset
from kaito_components.sizing import estimator
from kaito_components.skus import VmSize, gpu_sizes


@dataclass(frozen=True)
class Room:
    """So many nodes of a size hold a model and a short context."""

    vm: VmSize
    nodes: int


def rooms(preset: Preset) -> list[Room]:
    """Every size that can hold it, with vLLM where the model runs there; fewest nodes first, then least GPU memory."""
    found = [Room(vm, nodes) for vm in gpu_sizes() if (nodes := _nodes(preset, vm))]
    return sorted(found, key=lambda room: room.nodes)  # stable: gpu_sizes is sorted by memory


def _nodes(preset: Preset, vm: VmSize) -> int | None:
    if "vllm" in preset.runtimes:
        least = estimator.DEEP_GEMM_MIN_CAPABILITY if preset.deep_gemm else estimator.VLLM_MIN_CAPABILITY
        if (vm.compute_capability or 0) < least:
            return None
        tokens = estimator.DEFAULT_CONTEXT_TOKENS
        return estimator.vllm_nodes(preset.weights_bytes, preset.kv_bytes_per_token, vm, tokens)
    return 1 if estimator.fits_node(estimator.unpacked_bytes(preset, preset.dtype), vm) else None
