"""The VM sizes that the stand-in offers. Called by pool_rules.py and machines.py."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

GIB = 2**30


@dataclass(frozen=True)
class VmSize:
    """One size; `family` is the name of the vCPU quota it counts against."""

    name: str
    vcpus: int
    memory_bytes: int
    gpus: int
    family: str


@cache
def vm_sizes() -> dict[str, VmSize]:
    """All sizes, by lower-case name: Azure does not tell cases apart."""
    text = Path(__file__).with_name("vm_sizes.csv").read_text()
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    sizes = [
        VmSize(row["name"], int(row["vcpus"]), int(row["memory_gib"]) * GIB, int(row["gpus"]), row["family"])
        for row in rows
    ]
    return {size.name.lower(): size for size in sizes}


def find_vm_size(name: str) -> VmSize | None:
    """The size of that name, or None."""
    return vm_sizes().get(name.lower())
