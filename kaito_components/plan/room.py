"""What a fit is, what a GPU holds, and how it is said that there is no room. Called by plan.fit and plan.tuning."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from kaito_components import names
from kaito_components.errors import Finding
from kaito_components.plan.types import Memory, Room
from kaito_components.presets import Preset
from kaito_components.prices import price_of
from kaito_components.sizing.estimator import Parallelism
from kaito_components.sizing.terms import Term, exact, total
from kaito_components.skus import VmSize
from kaito_components.spec.model import Workspace
from kaito_components.units import gib

FIELD = "resource.instanceType"
SIZES_SHOWN = 3
# Of a GPU's nominal memory a program gets less: nvidia-smi shows 15360 MiB of a T4's 16 GiB, 23028 MiB of an A10's 24.
DRIVER_SHARE = 0.07
# learn.microsoft.com/azure/aks/node-resource-reservations, from Kubernetes 1.29 on: the lesser of 25 % and of 50 MB and
# 20 MB for each of 250 pods; with 100 MiB before pods are evicted.
NODE_SHARE, NODE_BYTES, EVICTION_BYTES = 0.25, (20 * 250 + 50) * 10**6, 100 * 2**20


@dataclass(frozen=True)
class Fit:
    """Nodes, parallelism and memory, and what is to be said about them."""

    node_count: int
    spread: Parallelism
    max_model_len: int | Literal["auto"]
    memory: Memory | None = None
    room: Room | None = None
    findings: tuple[Finding, ...] = ()


def kept_by_system(vm: VmSize) -> Term:
    """What of a GPU, or of the memory of a node without one, no program gets."""
    if vm.gpus:
        return exact("driver", DRIVER_SHARE * vm.gpu_memory_bytes, "nvidia-smi: 94 % of a T4 and of an A10 are shown")
    kept = min(NODE_SHARE * vm.memory_bytes, NODE_BYTES) + EVICTION_BYTES
    return exact("node", kept, "AKS: what kubelet reserves, and keeps before it evicts")


def place_bytes(vm: VmSize) -> int:
    """The memory of one GPU; of the node where it has none."""
    return vm.gpu_memory_bytes if vm.gpus else vm.memory_bytes


def free_bytes(vm: VmSize, terms: Iterable[Term]) -> int:
    """What the likely sum leaves of one GPU; less than 0: it does not fit."""
    return place_bytes(vm) - total(terms).likely


def memory_of(preset: Preset, vm: VmSize, loaded: int, usable: int, terms: tuple[Term, ...], gpus: int = 1) -> Memory:
    """Of an inference on so many GPUs of a node; `terms` begin with the weights, `usable` is of one GPU."""
    return Memory(
        weights=loaded,
        kv_cache_per_token=preset.kv_bytes_per_token,
        overhead=(total(terms).likely - terms[0].likely) * gpus,
        usable_per_gpu=usable,
        gpu=place_bytes(vm),
        terms=terms,
    )


def room_of(preset: Preset, free: int, limit: int, copies: int = 1) -> Room | None:
    """How long a request can be in so many bytes, `limit` tokens at most, and how many of that length; None: none."""
    low, high = 0, limit
    while low < high:  # layers with a window make the cache grow unevenly, but never shrink
        middle = (low + high + 1) // 2
        low, high = (middle, high) if preset.cache_bytes(middle) <= free else (low, middle - 1)
    if not low:
        return None
    each = max(1, preset.cache_bytes(low))
    return Room(low, copies * (free // each), copies * (free * low // each), each // low)


def way_out(sizes: Sequence[VmSize], region: str | None) -> str:
    """`choose A, B, C`: the sizes that would do, cheapest first where the region's prices are known."""
    shown = ", ".join(_with_price(size, region) for size in cheapest(sizes, region)[:SIZES_SHOWN])
    return f"choose {shown}" if shown else "choose a smaller model"


def cheapest(sizes: Sequence[VmSize], region: str | None) -> list[VmSize]:
    """Those with a price in the region, cheapest first; without any price all of them, as they are."""
    priced = [(price.per_hour, n) for n, size in enumerate(sizes) if region and (price := price_of(size.name, region))]
    return [sizes[n] for _, n in sorted(priced)] or list(sizes)


def _with_price(size: VmSize, region: str | None) -> str:
    price = price_of(size.name, region) if region else None
    return f"{size.name} ({price.per_hour:,.2f} {price.currency} an hour)" if price else size.name


def misfit(spec: Workspace, text: str, field: str = FIELD) -> Finding:
    """The error that it does not fit; a warning where the user bypasses the check."""
    bypassed = names.BYPASS_ANNOTATION in spec.annotations
    return spec.finding("warning" if bypassed else "error", "does-not-fit", field, text)


def describe(vm: VmSize) -> str:
    """`Standard_NC6s_v3 (1 x NVIDIA V100 with 16.0 GiB)`."""
    return f"{vm.name} ({vm.gpu_label} with {gib(vm.gpu_memory_bytes)})" if vm.gpus else f"{vm.name} (no GPU)"
