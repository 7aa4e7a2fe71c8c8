"""What the nodes of a Workspace cost, and what is to be said where that is not known. Called by plan."""

from collections.abc import Iterator

from kaito_components.errors import Finding
from kaito_components.plan.types import Cost, Pool
from kaito_components.prices import HOURS_A_MONTH, UnitPrice, near_regions, price_of, regions_of
from kaito_components.spec.model import Workspace

NOT_COUNTED = "OS disks, public addresses and traffic"  # no source for their prices is embedded
NOT_COUNTED_WITH_DISKS = "public addresses and traffic"
FIELD = "resource.instanceType"
REGIONS_SHOWN = 3
# GiB of a premium SSD -> its tier; a disk is billed as the next larger one.
# Source: learn.microsoft.com/azure/virtual-machines/disks-types, "Premium SSD size".
TIERS = {
    4: "P1", 8: "P2", 16: "P3", 32: "P4", 64: "P6", 128: "P10", 256: "P15", 512: "P20", 1024: "P30", 2048: "P40",
    4096: "P50", 8192: "P60", 16384: "P70", 32767: "P80",
}  # fmt: skip


def disk_tier(gib: int) -> str:
    """The tier that a disk of that size is billed as; there is none larger than P80."""
    return next((tier for size, tier in TIERS.items() if size >= gib), "P80")


def cost_of(
    pool: Pool | None, region: str | None, price: UnitPrice | None, disk: UnitPrice | None = None
) -> Cost | None:
    """Money for the pool's nodes; None where there is no pool, or its price is not known.

    Args:
        pool: the nodes that are to be made.
        region: where; the embedded table knows on-demand prices only.
        price: of one such node, asked for today; it goes before the table.
        disk: the price of one node's OS disk, in the same currency.
    """
    if pool is None:
        return None
    found = price or (price_of(pool.vm_size, region) if region and not pool.spot else None)
    if found is None:
        return None
    disk = disk if disk and disk.currency == found.currency else None
    per_hour = pool.count * (found.per_hour + (disk.per_hour if disk else 0))
    return Cost(
        per_hour=round(per_hour, 4),
        per_month=round(per_hour * HOURS_A_MONTH, 2),
        currency=found.currency,
        source=found.source,
        as_of=found.as_of,
        not_counted=NOT_COUNTED_WITH_DISKS if disk else NOT_COUNTED,
        unit_prices=_unit_prices(pool, found, disk),
    )


def _unit_prices(pool: Pool, node: UnitPrice, disk: UnitPrice | None) -> dict[str, float]:
    prices = {f"spot {pool.vm_size}" if pool.spot else pool.vm_size: node.per_hour}
    if disk:
        prices[f"{disk_tier(pool.os_disk_size_gib)} disk"] = round(disk.per_hour, 4)
    return prices


def about_cost(spec: Workspace, pool: Pool | None, region: str | None, cost: Cost | None) -> Iterator[Finding]:
    """Why the cost is not known although the region is."""
    if pool is None or region is None or cost is not None:
        return
    yield spec.finding("info", "price-unknown", FIELD, _why_unknown(pool, region))


def _why_unknown(pool: Pool, region: str) -> str:
    if pool.spot:
        return f"spot prices change by the hour and none is embedded: the cost of {pool.vm_size} is unknown"
    near = near_regions(region)
    if region not in near:
        meant = f"; did you mean {', '.join(near)}?" if near else ""
        return f"no price is known in {region}: the cost is unknown{meant}"
    known = ", ".join(regions_of(pool.vm_size)[:REGIONS_SHOWN])
    elsewhere = f"; it has a price in {known}" if known else ""
    return (
        f"no price of {pool.vm_size} in {region} is known: it may not exist there, and its cost is unknown{elsewhere}"
    )
