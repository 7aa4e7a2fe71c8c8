"""Bytes and Kubernetes quantities, and durations in words. Inside all is bytes; `"50Gi"` exists only at the edges."""

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


def duration(seconds: int) -> str:
    """As kubectl prints an age: `45s`, `3m20s`, `2h5m`, `3d`. Source: k8s.io/apimachinery duration.HumanDuration."""
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    return f"{days}d" if days < 730 else _two(days // 365, "y", days % 365, "d")


def _two(large: int, unit: str, small: int, smaller_unit: str) -> str:
    return f"{large}{unit}{small}{smaller_unit}" if small else f"{large}{unit}"
