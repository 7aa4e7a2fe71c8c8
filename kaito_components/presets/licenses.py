"""What licences of weights allow, from `data/licenses.csv`. Read on first use; called by findings and `models`."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class License:
    """A licence; None: not known. `terms` is what must be kept when weights are passed on."""

    name: str
    redistributable: bool | None = None
    commercial: bool | None = None
    terms: str = ""
    source: str = ""


def license_of(name: str) -> License:
    """The licence of that name; one that the table has not is known by its name only."""
    return _table().get(name.lower(), License(name))


def known_licenses() -> list[License]:
    """All of the table, in its order."""
    return list(_table().values())


@cache
def _table() -> dict[str, License]:
    text = resources.files("kaito_components").joinpath("data/licenses.csv").read_text()
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {row["license"]: _license(row) for row in rows}


def _license(row: dict[str, str]) -> License:
    known = {"true": True, "false": False, "": None}
    return License(row["license"], known[row["redistributable"]], known[row["commercial"]], row["terms"], row["source"])
