"""The table of VM sizes."""

import pytest

from kaito_components.skus import VmSize, cpu_sizes, find_vm_size, gpu_sizes, near_sizes
from kaito_components.units import GIB


def size(name: str) -> VmSize:
    found = find_vm_size(name)
    assert found
    return found


def test_sizes_are_found_in_any_case_as_azure_finds_them() -> None:
    assert size("standard_nc24ADS_a100_v4").name == "Standard_NC24ads_A100_v4"
    assert find_vm_size("Standard_NC24ads_A100_v5") is None


@pytest.mark.parametrize("name", ["Standard_NC6s_v3", "Standard_NC12s_v3", "Standard_NC24s_v3", "Standard_NC24rs_v3"])
def test_a_retired_size_names_sizes_that_are_not_retired(name: str) -> None:
    retired = size(name)
    assert retired.retired == "2025-09-30" and retired.replacements
    assert not any(size(other).retired for other in retired.replacements)


@pytest.mark.parametrize(
    ("name", "model", "gpus", "gib", "capability"),
    [
        ("Standard_NC6s_v3", "NVIDIA V100", 1, 16, 7.0),
        ("Standard_NC64as_T4_v3", "NVIDIA T4", 4, 16, 7.5),
        ("Standard_ND96asr_v4", "NVIDIA A100", 8, 40, 8.0),
        ("Standard_NC80adis_H100_v5", "NVIDIA H100", 2, 94, 9.0),
        ("Standard_ND96isr_H200_v5", "NVIDIA H200", 8, 141, 9.0),
    ],
)
def test_gpus_are_what_kaito_and_azure_say(name: str, model: str, gpus: int, gib: int, capability: float) -> None:
    found = size(name)
    assert (found.gpu_model, found.gpus, found.compute_capability) == (model, gpus, capability)
    assert found.gpu_memory_bytes == gib * GIB


def test_vcpus_memory_and_quota_are_those_of_the_resource_skus_api() -> None:
    """Source: recorded answers of the Resource SKUs API: vCPUs, MemoryGB, GPUs, family."""
    recorded = {
        "Standard_NC16as_T4_v3": (16, 110, 1, "Standard NCASv3_T4 Family"),
        "Standard_NC24ads_A100_v4": (24, 220, 1, "StandardNCADSA100v4Family"),
        "Standard_NC6s_v3": (6, 112, 1, "standardNCSv3Family"),
    }
    found = {name: size(name) for name in recorded}
    assert recorded == {n: (s.vcpus, s.memory_bytes // GIB, s.gpus, s.family) for n, s in found.items()}


def test_what_is_offered_as_a_way_out_can_be_bought_and_used() -> None:
    assert gpu_sizes() and all(one.compute_capability and not one.retired for one in gpu_sizes())
    assert cpu_sizes() and all(one.gpus == 0 for one in cpu_sizes())
    assert gpu_sizes()[0].gpu_memory_bytes == 16 * GIB


def test_a_mistyped_size_has_near_names() -> None:
    assert near_sizes("Standard_NC24ads_A100_v5")[0] == "Standard_NC24ads_A100_v4"
    assert near_sizes("nonsense") == []
