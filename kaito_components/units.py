"""Bytes and Kubernetes quantities. Inside the package everything is bytes; `"50Gi"` exists only at the edges."""

import math

GIB = 1024**3


def parse_bytes(quantity: str) -> int:
    """`"7.15Gi"` -> bytes. Raises ValueError for anything but a number with Ki, Mi, Gi, Ti or nothing behind it."""
    for exponent, suffix in enumerate(("Ki", "Mi", "Gi", "Ti"), start=1):
        if quantity.endswith(suffix):
            return int(float(quantity.removesuffix(suffix)) * 1024**exponent)
    return int(quantity)


def gib(count: float) -> str:
    """Bytes for people: `"7.2 GiB"`."""
    return f"{count / GIB:.1f} GiB"


def gibibytes_up(count: int) -> int:
    """Bytes as whole GiB, rounded up."""
    return math.ceil(count / GIB)


def quantity(count: int) -> str:
    """Bytes as a Kubernetes quantity in whole GiB, rounded up: `"8Gi"`."""
    return f"{gibibytes_up(count)}Gi"
