"""How many GPUs and nodes a model needs. Arithmetic only; called by plan.

Source: KAITO 0.12 pkg/workspace/estimator/nodesestimator/estimator.go (nodes), pkg/model/interface.go (parallelism).
The tests hold both to KAITO's results for every model of its catalogue.
"""

import math
from dataclasses import dataclass

from kaito_components.presets import Preset
from kaito_components.skus import VmSize
from kaito_components.units import GIB

MEMORY_SHARE = 0.84  # of a GPU that vLLM is given
RUNTIME_BYTES = 2.3 * GIB  # CUDA context, activations
FRAGMENTATION = 1.05
WEIGHTS_MARGIN = 1.02
VLLM_MIN_CAPABILITY = 8.0  # KAITO 0.12 lists no size below it
DEEP_GEMM_MIN_CAPABILITY = 9.0  # github.com/deepseek-ai/DeepGEMM: Hopper (SM90) or newer
DEFAULT_CONTEXT_TOKENS = 2048  # what the estimate counts when the user does not say
# Bits of a weight in checkpoints that our serving image unpacks to 16 or 32 bits: serving_image/engine/precision.py.
UNPACKED_BITS = {"fp8": 8, "mxfp4": 4.25, "awq": 4.16, "gptq": 4.16}


@dataclass(frozen=True)
class Parallelism:
    """How vLLM spreads a model: within a node (tensor), over nodes (pipeline), or as copies (data)."""

    tensor: int = 1
    pipeline: int = 1
    data: int = 1


def usable_bytes_per_gpu(vm: VmSize, kv_bytes_per_token: int, context_tokens: int) -> int:
    """What is left of one GPU for weights after the runtime and the cache of one request; 0 or less: nothing fits."""
    reserve = RUNTIME_BYTES + context_tokens * kv_bytes_per_token / vm.gpus
    return int((MEMORY_SHARE * vm.gpu_memory_bytes - reserve) / FRAGMENTATION)


def vllm_nodes(weights_bytes: int, kv_bytes_per_token: int, vm: VmSize, context_tokens: int) -> int | None:
    """Nodes of this size that vLLM needs for the model; None if no number of them is enough."""
    usable = usable_bytes_per_gpu(vm, kv_bytes_per_token, context_tokens)
    if usable <= 0:
        return None
    gpus = int(WEIGHTS_MARGIN * weights_bytes / usable) + 1
    return math.ceil(gpus / vm.gpus)


def vllm_parallelism(weights_bytes: int, vm: VmSize, nodes: int) -> Parallelism:
    """Copies on each GPU when the model fills less than half of one, else split over the node, else over nodes too."""
    if nodes == 1 and vm.gpus > 1 and weights_bytes * 2 < vm.gpu_memory_bytes:
        return Parallelism(data=vm.gpus)
    return Parallelism(tensor=vm.gpus, pipeline=nodes)


def loaded_bytes(weights_bytes: int, dtype: str) -> int:
    """Weights in memory: files hold 16 bits a number (or fewer, quantized), float32 needs twice as much."""
    return 2 * weights_bytes if dtype == "float32" else weights_bytes


def unpacked_bytes(preset: Preset, dtype: str) -> int:
    """Weights in the memory of our serving image, which has no kernels for packed ones.

    A repository may hold the same weights twice, so the numbers of the model tell better where they are known.
    """
    packed = UNPACKED_BITS.get(preset.quantization or "")
    if packed is None:
        return loaded_bytes(preset.weights_bytes, dtype)
    numbers = preset.parameters or preset.weights_bytes * 8 / max(packed, preset.quantization_bits or 0)
    return int(numbers * (4 if dtype == "float32" else 2))


def vllm_cache_parts(spread: Parallelism, kv_heads: int, is_latent: bool) -> int:
    """Into how many parts the cache of a request is cut: layers over nodes, heads over GPUs, and a head is never cut.

    Source: vLLM's parallel attention layers keep key-value heads several times where there are fewer than GPUs, and
    the vector of latent attention always.
    """
    return spread.pipeline * (1 if is_latent else min(spread.tensor, kv_heads))


def usable_bytes_without_vllm(vm: VmSize) -> int:
    """What a model has for weights and cache: one GPU less the runtime, as our serving image loads onto one, or half of
    the memory of a node without GPUs.

    The same shares as for vLLM: transformers too needs room for the CUDA context, activations and fragmentation.
    """
    if vm.gpus == 0:
        return vm.memory_bytes // 2
    return int(MEMORY_SHARE * vm.gpu_memory_bytes - RUNTIME_BYTES)


def fits_node(bytes_to_load: int, vm: VmSize) -> bool:
    """Whether one GPU, or the node where it has none, holds the weights, as the transformers runtime needs it."""
    return bytes_to_load * WEIGHTS_MARGIN <= usable_bytes_without_vllm(vm)


def context_beside(bytes_to_load: int, bytes_per_token: int, vm: VmSize) -> int:
    """Tokens whose keys and values fit beside the weights."""
    return max(0, int((usable_bytes_without_vllm(vm) - bytes_to_load * WEIGHTS_MARGIN) / bytes_per_token))
