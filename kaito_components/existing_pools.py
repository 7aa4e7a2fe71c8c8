"""The agent pools that a stack has already, and what its plans make of them. Pure. Called by capacity, stack_cost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kaito_components.plan.types import Plan, Pool


@dataclass(frozen=True)
class ExistingPool:
    """A pool of this stack, as Azure shows it."""

    name: str
    vm_size: str
    count: int
    is_spot: bool = False
    disk_gib: int = 0


def growth(pool: Pool, existing: Iterable[ExistingPool]) -> int:
    """Nodes more than now; a pool that scales by itself keeps the number it has."""
    now = next((one for one in existing if one.name == pool.name), None)
    if now is None:
        return pool.count
    return 0 if pool.max_count is not None else pool.count - now.count


def deleted(plans: Sequence[Plan], existing: Iterable[ExistingPool]) -> list[ExistingPool]:
    """The pools that no plan keeps."""
    kept = {plan.pool.name for plan in plans if plan.pool}
    return [pool for pool in existing if pool.name not in kept]
