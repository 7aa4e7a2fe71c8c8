"""The embedded table of prices."""

import pytest

from kaito_components.prices import near_regions, price_of, regions_of
from kaito_components.skus import find_vm_size


@pytest.mark.parametrize(
    ("size", "region", "usd"),
    [
        ("Standard_NC24ads_A100_v4", "eastus", 3.673),
        ("Standard_ND96isr_H100_v5", "eastus", 98.32),
        ("Standard_NC4as_T4_v3", "westeurope", 0.658),
        ("Standard_D4s_v5", "australiacentral", 0.24),
    ],
)
def test_a_price_is_that_of_azures_price_list(size: str, region: str, usd: float) -> None:
    found = price_of(size, region)
    assert found and (found.per_hour, found.currency, found.as_of) == (usd, "USD", "2026-06-18")
    assert "Azure Retail Prices API" in found.source


def test_size_and_region_are_found_however_they_are_written() -> None:
    assert price_of("standard_nc24ADS_a100_v4", "West Europe") == price_of("Standard_NC24ads_A100_v4", "westeurope")


def test_a_price_that_is_not_in_the_table_is_unknown() -> None:
    assert price_of("Standard_NC24ads_A100_v4", "nowhere") is None
    assert price_of("Standard_D2s_v5", "eastus") is None


def test_a_mistyped_region_has_near_names() -> None:
    assert near_regions("westeurop")[0] == "westeurope" and near_regions("East US") == ["eastus"]
    assert near_regions("moon") == []


def test_the_regions_of_a_size_come_cheapest_first() -> None:
    prices = [price_of("Standard_NC24ads_A100_v4", region) for region in regions_of("Standard_NC24ads_A100_v4")]
    hours = [found.per_hour for found in prices if found]
    assert len(hours) == 27 and hours == sorted(hours)


def test_twice_the_gpus_cost_about_twice_as_much() -> None:
    one, two = (price_of(f"Standard_NC{name}_A100_v4", "eastus") for name in ("24ads", "48ads"))
    assert find_vm_size("Standard_NC48ads_A100_v4") and one and two
    assert two.per_hour == pytest.approx(2 * one.per_hour, rel=0.01)
