"""How long Azure is waited for, and where it is. Used by compute and retail."""

import os
from dataclasses import dataclass

ARM_ENDPOINT = "KAITO_ARM_ENDPOINT"  # environment: another Resource Manager, for private clouds and for tests
PRICES_ENDPOINT = "KAITO_PRICES_ENDPOINT"
PRICES_URL = "https://prices.azure.com"


@dataclass(frozen=True)
class Patience:
    """Limits of one question. A Retry-After above `wait_seconds` is not waited for: the check has failed."""

    tries: int = 4
    connect_seconds: float = 5
    read_seconds: float = 30  # the list of VM sizes of a region takes Azure up to ten seconds
    backoff_seconds: float = 0.8
    wait_seconds: float = 30


class TooLong(Exception):
    """Azure asks to wait longer than a preview can."""


def arm_endpoint() -> str | None:
    """Another Resource Manager than the SDK's own choice, which follows AZURE_SDK_CLOUD_CONF."""
    return os.environ.get(ARM_ENDPOINT, "").rstrip("/") or None


def prices_endpoint() -> str:
    """Where prices are asked for."""
    return os.environ.get(PRICES_ENDPOINT, "").rstrip("/") or PRICES_URL
