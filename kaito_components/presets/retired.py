"""Models that were served once, from `data/retired_models.csv`. Read on first use; called by plan."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class RetiredModel:
    """A model without a preset, with the one that takes its place."""

    name: str
    model: str
    replacement: str
    reason: str


def retired_model(name: str) -> RetiredModel | None:
    """The retired model of that preset's name, in any case."""
    return _table().get(name.lower())


def retired_models() -> list[RetiredModel]:
    """All of them."""
    return list(_table().values())


@cache
def _table() -> dict[str, RetiredModel]:
    text = resources.files("kaito_components").joinpath("data/retired_models.csv").read_text()
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {row["name"]: RetiredModel(**row) for row in rows}
