"""What the stand-in's Azure has to offer: quota by region, VM sizes, prices. Plain data that tests set.

Shapes: `recorded_skus.json` holds three records of the Compute Resource SKUs API as they were recorded by
Azure/karpenter-provider-azure (pkg/fake/zz_generated.sku.southcentralus.go). Prices: its pkg/providers/pricing/client,
which was generated from the Retail Prices API, with that API's documentation (learn.microsoft.com, "Azure Retail Prices
overview"). Usages: the documentation of the operation Usage - List.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_cloud.providers.azure_native.ids import SUBSCRIPTION
from local_cloud.providers.azure_native.vm_sizes import find_vm_size

RECORDED: tuple[dict[str, Any], ...] = tuple(json.loads(Path(__file__).with_name("recorded_skus.json").read_text()))
EVERY_ZONE = ("1", "2", "3")


@dataclass
class Market:
    """One subscription's view of Azure.

    Attributes:
        usages: region -> name of the quota -> (used, limit).
        skus: records of the Resource SKUs API, see `sku`.
        prices: items of the Retail Prices API, see `price`.
        page: how many items a page of any list holds.
    """

    subscription: str = SUBSCRIPTION
    client_secret: str = "correct-horse"
    usages: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    skus: list[dict[str, Any]] = field(default_factory=list)
    prices: list[dict[str, Any]] = field(default_factory=list)
    page: int = 2


def sku(
    name: str, region: str, zones: Sequence[str] = EVERY_ZONE, restricted: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Any]:
    """A record for a size: the recorded one of that name, or the first with this size's numbers.

    Args:
        name: one of the stand-in's VM sizes.
        region: where it is offered.
        zones: of the region, where it is offered.
        restricted: reason code -> the zones that it is about; none: the whole region.
    """
    size = find_vm_size(name)
    assert size, name
    record = copy.deepcopy(next((one for one in RECORDED if one["name"] == size.name), RECORDED[0]))
    numbers = {"vCPUs": str(size.vcpus), "MemoryGB": str(size.memory_bytes // 2**30), "GPUs": str(size.gpus)}
    for capability in record["capabilities"]:
        capability["value"] = numbers.get(capability["name"], capability["value"])
    record |= {"name": size.name, "size": size.name.removeprefix("Standard_"), "family": size.family}
    record |= {"locations": [region], "locationInfo": [{"location": region, "zones": list(zones)}]}
    record["restrictions"] = [_restriction(code, region, at) for code, at in (restricted or {}).items()]
    return record


def _restriction(code: str, region: str, zones: Sequence[str]) -> dict[str, Any]:
    """Azure names the region in `values` for zones too."""
    info: dict[str, Any] = {"locations": [region], **({"zones": list(zones)} if zones else {})}
    kind = "Zone" if zones else "Location"
    return {"type": kind, "values": [region], "restrictionInfo": info, "reasonCode": code}


def price(size: str, region: str, amount: float, kind: str = "", currency: str = "USD") -> dict[str, Any]:
    """An item for Linux machines; `kind` is a suffix: Spot, Low Priority, or Windows."""
    short = size.removeprefix("Standard_").replace("_", " ")
    is_windows = kind == "Windows"
    return {
        **_item(region, amount, currency, "1 Hour"),
        "meterName": f"{short} {kind}".strip() if not is_windows else short,
        "productName": "Virtual Machines Series" + (" Windows" if is_windows else ""),
        "skuName": f"{short} {kind}".strip() if not is_windows else short,
        "serviceName": "Virtual Machines",
        "serviceFamily": "Compute",
        "armSkuName": size,
    }


def disk_price(tier: str, region: str, amount: float, currency: str = "USD") -> dict[str, Any]:
    """An item for one month of a premium SSD, locally redundant; tier P10 is 128 GiB."""
    return {
        **_item(region, amount, currency, "1/Month"),
        "meterName": f"{tier} LRS Disk",
        "productName": "Premium SSD Managed Disks",
        "skuName": f"{tier} LRS",
        "serviceName": "Storage",
        "serviceFamily": "Storage",
        "armSkuName": "",
    }


def _item(region: str, amount: float, currency: str, unit: str) -> dict[str, Any]:
    nobody = "00000000-0000-0000-0000-000000000000"
    return {
        "currencyCode": currency,
        "tierMinimumUnits": 0.0,
        "retailPrice": amount,
        "unitPrice": amount,
        "armRegionName": region,
        "location": region,
        "effectiveStartDate": "2026-06-01T00:00:00Z",
        "meterId": nobody,
        "productId": "DZH318Z0D1L7",
        "skuId": "DZH318Z0D1L7/0001",
        "availabilityId": None,
        "serviceId": "DZH313Z7MMC8",
        "unitOfMeasure": unit,
        "type": "Consumption",
        "isPrimaryMeterRegion": True,
    }
