"""The table of VM sizes."""

from fractions import Fraction

import pytest

from kaito_components import skus
from kaito_components.prices import regions_of
from kaito_components.skus import VmSize, cpu_sizes, find_vm_size, gpu_sizes, known_by_name_only, near_sizes
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


@pytest.mark.parametrize("row", skus._rows(), ids=lambda row: row["name"])
def test_every_size_can_be_read_and_is_complete_or_says_that_it_is_not(row: dict[str, str]) -> None:
    found = find_vm_size(row["name"])
    assert (found is None) == known_by_name_only(row["name"])
    if found:
        assert found.vcpus and found.memory_bytes and bool(found.gpus) == bool(found.gpu_memory_bytes)
        assert all(size(other) for other in found.replacements)
        assert not found.retired or found.replacements


@pytest.mark.parametrize(
    ("name", "share", "gib"),
    [
        ("Standard_NV6ads_A10_v5", Fraction(1, 6), 4),
        ("Standard_NV18ads_A10_v5", Fraction(1, 2), 12),
        ("Standard_NC36lds_xl_RTXPRO6000BSE_v6", Fraction(1, 4), 24),
    ],
)
def test_a_part_of_a_gpu_is_one_gpu_with_the_memory_of_that_part(name: str, share: Fraction, gib: int) -> None:
    found = size(name)
    assert (found.gpus, found.gpu_share, found.gpu_memory_bytes) == (1, share, gib * GIB)
    assert found.gpu_label.startswith(f"{share} NVIDIA")


def test_a_size_says_whether_it_has_rdma_and_local_nvme() -> None:
    assert size("Standard_ND96isr_H100_v5").rdma and not size("Standard_NC40ads_H100_v5").rdma
    assert size("Standard_NC24ads_A100_v4").nvme and size("Standard_NC4as_T4_v3").nvme is False
    assert size("Standard_ND40rs_v2").nvme is None


def test_sizes_with_nvidia_gpus_and_a_price_are_all_there() -> None:
    """AMD's Radeon and Instinct, Xilinx's FPGAs and video cards are left out."""
    names = {row["name"] for row in skus._rows()}
    assert {name for name in names if not regions_of(name)} == {
        "Standard_D2s_v5", "Standard_D2s_v6", "Standard_NG32adms_V620_v1"
    }  # fmt: skip
    assert len(names) == 90


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
    assert not any(one.unusable for one in [*gpu_sizes(), *cpu_sizes()])
    assert cpu_sizes() and all(one.gpus == 0 for one in cpu_sizes())
    assert gpu_sizes()[0].name == "Standard_NV6ads_A10_v5"


def test_only_sizes_that_are_new_enough_are_offered() -> None:
    assert min(one.compute_capability or 0 for one in gpu_sizes(8.0)) == 8.0
    assert size("Standard_NV6s_v2") not in gpu_sizes()


def test_a_mistyped_size_has_near_names() -> None:
    assert near_sizes("Standard_NC24ads_A100_v5")[0] == "Standard_NC24ads_A100_v4"
    assert near_sizes("nonsense") == []
