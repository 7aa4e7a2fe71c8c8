"""Azure VM sizes, from `data/vm_sizes.csv`. Read once, on first use; called by plan."""

import csv
import difflib
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import resources

from kaito_components.units import GIB

LEAST_CAPABILITY = 7.0  # Volta: older GPUs compute here, where PyTorch still has builds for them, but are not offered


@dataclass(frozen=True)
class VmSize:
    """One VM size. `gpus` counts what Kubernetes sees: a part of a GPU shows as one, with the memory of that part.

    A size without GPUs has `gpus` 0 and compute capability None; a GPU without CUDA has compute capability 0.
    """

    name: str
    family: str  # of the vCPU quota that the size counts against; empty: not known
    vcpus: int
    memory_bytes: int
    gpu_model: str
    gpus: int
    gpu_memory_bytes: int  # of one GPU
    compute_capability: float | None
    nvme: bool | None  # None: not known
    retired: str | None  # the day that Azure stops it, ISO
    replacements: tuple[str, ...]
    rdma: bool = False
    gpu_share: Fraction = Fraction(1)  # how much of a physical GPU one of `gpus` is
    unusable: str = ""  # why AKS makes no node of it for our images

    @property
    def gpu_label(self) -> str:
        """`"2 x NVIDIA A10"`, `"1/6 NVIDIA A10"`; empty without GPUs."""
        if not self.gpus:
            return ""
        return f"{self.gpu_share} {self.gpu_model}" if self.gpu_share < 1 else f"{self.gpus} x {self.gpu_model}"


def find_vm_size(name: str) -> VmSize | None:
    """The size of that name, whatever its case, as Azure compares them."""
    return _sizes().get(name.lower())


def known_by_name_only(name: str) -> bool:
    """Whether Azure has such a size, but no source says what GPUs it carries."""
    return any(row["name"].lower() == name.lower() and not row["gpus"] for row in _rows())


def gpu_sizes(least_capability: float = LEAST_CAPABILITY) -> list[VmSize]:
    """Every size with NVIDIA GPUs that are new enough and can still be bought, smallest total GPU memory first."""
    offered = [size for size in _sizes().values() if not size.retired and not size.unusable]
    usable = [size for size in offered if (size.compute_capability or 0) >= least_capability]
    return sorted(usable, key=lambda size: (size.gpus * size.gpu_memory_bytes, size.vcpus, size.name))


def cpu_sizes() -> list[VmSize]:
    """Every size without GPUs that can still be bought, smallest memory first."""
    usable = [size for size in _sizes().values() if not size.gpus and not size.retired and not size.unusable]
    return sorted(usable, key=lambda size: (size.memory_bytes, size.name))


def near_sizes(name: str) -> list[str]:
    """Known names that look like `name`, best first."""
    names = {key: size.name for key, size in _sizes().items()}
    return [names[key] for key in difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.6)]


@cache
def _rows() -> list[dict[str, str]]:
    text = resources.files("kaito_components").joinpath("data/vm_sizes.csv").read_text()
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


@cache
def _sizes() -> dict[str, VmSize]:
    return {row["name"].lower(): _size(row) for row in _rows() if row["gpus"]}


def _size(row: dict[str, str]) -> VmSize:
    gpus = Fraction(row["gpus"])
    return VmSize(
        name=row["name"],
        family=row["family"],
        vcpus=int(row["vcpus"]),
        memory_bytes=int(row["memory_gib"]) * GIB,
        gpu_model=row["gpu_model"],
        gpus=math.ceil(gpus),
        gpu_memory_bytes=int(row["gpu_memory_gib"]) * GIB,
        compute_capability=float(row["compute_capability"]) if row["compute_capability"] else None,
        nvme=row["nvme"] == "true" if row["nvme"] else None,
        retired=row["retired"] or None,
        replacements=tuple(row["replacements"].split()),
        rdma=row["rdma"] == "true",
        gpu_share=min(gpus, Fraction(1)) if gpus else Fraction(1),
        unusable=row["unusable"],
    )
