"""What an hour of a VM size costs, from `data/vm_prices.csv`. Read once, on first use; called by plan.

The table is the one to fall back on: a price that was asked for today has the same shape and goes before it.
"""

import csv
import difflib
from dataclasses import dataclass
from functools import cache
from importlib import resources

HOURS_A_MONTH = 730  # as Azure's own price calculator counts
# Those of the Retail Prices API. Source: learn.microsoft.com "Azure Retail Prices overview", supported currencies.
CURRENCIES = (
    "USD", "AUD", "BRL", "CAD", "CHF", "CNY", "DKK", "EUR", "GBP", "INR", "JPY", "KRW", "NOK", "NZD", "RUB", "SEK",
    "TWD",
)  # fmt: skip


@dataclass(frozen=True)
class UnitPrice:
    """One VM of a size for one hour, on demand, Linux; with where the price is from and of which day."""

    per_hour: float
    source: str
    as_of: str  # ISO date
    currency: str = "USD"


def price_of(vm_size: str, region: str) -> UnitPrice | None:
    """The price of a size in a region, whatever their case (`West Europe` is `westeurope`); None: not known."""
    table = _table()
    per_hour = table.per_hour.get(vm_size.lower(), {}).get(region_name(region))
    return None if per_hour is None else UnitPrice(per_hour, table.source, table.as_of)


def regions_of(vm_size: str) -> list[str]:
    """The regions in which the price of a size is known, cheapest first."""
    prices = _table().per_hour.get(vm_size.lower(), {})
    return sorted(prices, key=lambda region: (prices[region], region))


def region_name(region: str) -> str:
    """A region as Azure's resource ids have it: `West Europe` -> `westeurope`."""
    return region.lower().replace(" ", "")


def near_regions(region: str) -> list[str]:
    """Known regions that look like `region`, best first; the region itself if it is known."""
    name, known = region_name(region), _table().regions
    return [name] if name in known else difflib.get_close_matches(name, known, n=3, cutoff=0.6)


@dataclass(frozen=True)
class _Table:
    source: str
    as_of: str
    regions: tuple[str, ...]
    per_hour: dict[str, dict[str, float]]  # size in lower case -> region -> price


@cache
def _table() -> _Table:
    lines = resources.files("kaito_components").joinpath("data/vm_prices.csv").read_text().splitlines()
    head = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# ") and ": " in line)
    names, *rows = csv.reader(line for line in lines if not line.startswith("#"))
    regions = tuple(names[1:])
    prices = {
        row[0].lower(): {region: float(cell) for region, cell in zip(regions, row[1:], strict=True) if cell}
        for row in rows
    }
    return _Table(head["source"], head["as_of"], regions, prices)
