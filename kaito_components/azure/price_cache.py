"""Prices that were asked for, one small file each, below the user's cache folder. Called by survey."""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

FRESH = timedelta(hours=24)  # list prices change about once a month, spot prices some times a day


@dataclass(frozen=True)
class Quote:
    """Prices of one thing, and when Azure said so."""

    prices: Mapping[str, float]
    asked: datetime

    @property
    def is_fresh(self) -> bool:
        return datetime.now(UTC) - self.asked < FRESH


def folder() -> Path:
    """$XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kaito-components" / "prices"


def load(thing: str, region: str, currency: str) -> Quote | None:
    """What is kept; None also for a file that cannot be read, which the next answer replaces."""
    try:
        kept = json.loads(_path(thing, region, currency).read_text())
        prices = {str(kind): float(price) for kind, price in kept["prices"].items()}
        return Quote(prices, datetime.fromisoformat(kept["asked"]).astimezone(UTC))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def keep(thing: str, region: str, currency: str, prices: Mapping[str, float]) -> Quote:
    """Keeps an answer of this moment. A folder that cannot be written to is no reason to fail."""
    quote = Quote(dict(prices), datetime.now(UTC))
    path = _path(thing, region, currency)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False) as part:
            json.dump({"asked": quote.asked.isoformat(timespec="seconds"), "prices": quote.prices}, part)
        Path(part.name).replace(path)  # whole or not at all, also with several previews at a time
    except OSError:
        pass
    return quote


def _path(thing: str, region: str, currency: str) -> Path:
    return folder() / f"{region}-{thing}-{currency}.json".lower()
