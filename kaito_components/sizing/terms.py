"""A sum of estimates: each with what is likely, its bounds and its source. Used by sizing.tuning and plan."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """One part of a sum, in bytes: what is likely, and the bounds that its source leaves open."""

    name: str
    likely: int
    low: int
    high: int
    source: str


def exact(name: str, count: float, source: str) -> Term:
    """A part that is known, or that is a rule and no estimate."""
    return Term(name, int(count), int(count), int(count), source)


def total(parts: Iterable[Term]) -> Term:
    """The sum of all parts; its bounds are those of the parts, all low or all high at once."""
    added = list(parts)
    bounds = (sum(one.likely for one in added), sum(one.low for one in added), sum(one.high for one in added))
    return Term("total", *bounds, source="the sum")
