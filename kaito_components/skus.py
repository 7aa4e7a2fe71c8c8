"""Azure VM sizes, from `data/vm_sizes.csv`. Read once, on first use; called by plan."""

import csv
import difflib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from kaito_components.units import GIB


@dataclass(frozen=True)
class VmSize:
    """One VM size. `gpu_memory_bytes` is of one GPU; a size without GPUs has `gpus` 0 and compute capability None.

    `family` names the vCPU quota that the size counts against. A GPU without CUDA has compute capability 0.
    """

    name: str
    family: str
    vcpus: int
    memory_bytes: int
    gpu_model: str
    gpus: int
    gpu_memory_bytes: int
    compute_capability: float | None
    nvme: bool
    retired: str | None  # ISO date
    replacements: tuple[str, ...]


def find_vm_size(name: str) -> VmSize | None:
    """The size of that name, whatever its case, as Azure compares them."""
    return _sizes().get(name.lower())


def gpu_sizes() -> list[VmSize]:
    """Every size with NVIDIA GPUs that can still be bought, smallest total GPU memory first."""
    usable = [size for size in _sizes().values() if size.compute_capability and not size.retired]
    return sorted(usable, key=lambda size: (size.gpus * size.gpu_memory_bytes, size.vcpus, size.name))


def cpu_sizes() -> list[VmSize]:
    """Every size without GPUs that can still be bought, smallest memory first."""
    usable = [size for size in _sizes().values() if not size.gpus and not size.retired]
    return sorted(usable, key=lambda size: (size.memory_bytes, size.name))


def near_sizes(name: str) -> list[str]:
    """Known names that look like `name`, best first."""
    names = {key: size.name for key, size in _sizes().items()}
    return [names[key] for key in difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.6)]


@cache
def _sizes() -> dict[str, VmSize]:
    text = resources.files("kaito_components").joinpath("data/vm_sizes.csv").read_text()
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {row["name"].lower(): _size(row) for row in rows}


def _size(row: dict[str, str]) -> VmSize:
    return VmSize(
        name=row["name"],
        family=row["family"],
        vcpus=int(row["vcpus"]),
        memory_bytes=int(row["memory_gib"]) * GIB,
        gpu_model=row["gpu_model"],
        gpus=int(row["gpus"]),
        gpu_memory_bytes=int(row["gpu_memory_gib"]) * GIB,
        compute_capability=float(row["compute_capability"]) if row["compute_capability"] else None,
        nvme=row["nvme"] == "true",
        retired=row["retired"] or None,
        replacements=tuple(row["replacements"].split()),
    )
