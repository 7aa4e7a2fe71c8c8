"""What all Workspaces of a stack cost together, and how an update changes that. Pure; called by review.

Prices come in as data: those that were asked for go before the embedded table. Money is for nodes and their OS disks;
a disk is counted as a managed one, though AKS may place it on the machine itself for nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from kaito_components.existing_pools import ExistingPool, deleted, growth
from kaito_components.plan.cost import about_cost, cost_of, disk_tier
from kaito_components.plan.types import Cost, Plan
from kaito_components.prices import HOURS_A_MONTH, UnitPrice, near_regions, price_of


@dataclass(frozen=True)
class Prices:
    """Of one region, as they were asked for; by VM size and by disk tier."""

    region: str | None = None
    on_demand: Mapping[str, UnitPrice] = field(default_factory=dict)
    spot: Mapping[str, UnitPrice] = field(default_factory=dict)
    disks: Mapping[str, UnitPrice] = field(default_factory=dict)

    def and_of(
        self,
        region: str,
        on_demand: Mapping[str, UnitPrice],
        spot: Mapping[str, UnitPrice],
        disks: Mapping[str, UnitPrice],
    ) -> "Prices":
        """These and more of the same region."""
        return Prices(region, {**self.on_demand, **on_demand}, {**self.spot, **spot}, {**self.disks, **disks})

    def asked(self, vm_size: str, is_spot: bool) -> UnitPrice | None:
        """One node for one hour, if that was asked for and has a price."""
        return (self.spot if is_spot else self.on_demand).get(vm_size)

    def node(self, vm_size: str, is_spot: bool) -> UnitPrice | None:
        """The same, else from the embedded table, which knows on-demand prices."""
        embedded = price_of(vm_size, self.region) if self.region and not is_spot else None
        return self.asked(vm_size, is_spot) or embedded

    def disk(self, gib: int) -> UnitPrice | None:
        """One OS disk for one hour."""
        return self.disks.get(disk_tier(gib))


@dataclass(frozen=True)
class Total:
    """Money for a stack; `cost` without the Workspaces in `unknown`. Change against what the stack has now."""

    cost: Cost | None
    unknown: tuple[str, ...] = ()
    change_per_hour: float | None = None

    def sentence(self, today: date) -> str:
        """All of it in one line."""
        if self.cost is None:
            return f"cost unknown: no price for {', '.join(self.unknown)}"
        change = ""
        if self.change_per_hour is not None:
            hour, month = self.change_per_hour, self.change_per_hour * HOURS_A_MONTH
            change = f"; this update changes it by {hour:+,.2f} an hour, {month:+,.0f} a month" if hour else ""
        missing = f"; no price for {', '.join(self.unknown)}" if self.unknown else ""
        return f"{money(self.cost)}{change}{missing}; {origin(self.cost, today)}"


def money(cost: Cost) -> str:
    """`3.67 USD an hour, 2,681 a month of 730 hours`."""
    return f"{cost.per_hour:,.2f} {cost.currency} an hour, {cost.per_month:,.0f} a month of {HOURS_A_MONTH} hours"


def origin(cost: Cost, today: date) -> str:
    """Unit prices, what is not in them, where they are from, and how old they are."""
    days = (today - date.fromisoformat(cost.as_of)).days
    age = f", {days} days old" if days > 1 else ""
    units = ", ".join(f"{thing} {price:.4g}" for thing, price in cost.unit_prices.items())
    return f"an hour: {units}; without {cost.not_counted}; {cost.source}, {cost.as_of}{age}"


def priced(plan: Plan, prices: Prices) -> Plan:
    """The plan with its cost; what the plan said of an unknown price is said anew."""
    pool, region = plan.pool, prices.region
    if pool is None or region is None:
        return plan
    cost = cost_of(pool, region, prices.asked(pool.vm_size, pool.spot), prices.disk(pool.os_disk_size_gib))
    kept = tuple(one for one in plan.findings if one.code != "price-unknown")
    return replace(plan, region=region, cost=cost, findings=(*kept, *about_cost(plan.spec, pool, region, cost)))


def is_priced_region(region: str) -> bool:
    """Whether the embedded table has the region."""
    return near_regions(region) == [region]


def total(plans: Sequence[Plan], existing: Sequence[ExistingPool] | None, prices: Prices) -> Total:
    """The sum over plans that have been priced; where it is not known what exists, neither is the change."""
    pools = [plan for plan in plans if plan.pool]
    unknown = tuple(f"{plan.namespace}/{plan.name}" for plan in pools if plan.cost is None)
    costs = [plan.cost for plan in pools if plan.cost]
    if len({cost.currency for cost in costs}) != 1:
        return Total(None, tuple(f"{plan.namespace}/{plan.name}" for plan in pools))
    changes = [None] if existing is None else [*_changes(plans, existing, prices)]
    change = None if None in changes or unknown else sum(one for one in changes if one)
    return Total(_sum(costs), unknown, change)


def _sum(costs: Sequence[Cost]) -> Cost:
    """One cost; as old as the oldest price in it, and without all that any of them leaves out."""
    per_hour = sum(cost.per_hour for cost in costs)
    oldest = min(costs, key=lambda cost: cost.as_of)
    least = max(costs, key=lambda cost: len(cost.not_counted))
    month = round(per_hour * HOURS_A_MONTH, 2)
    units = {thing: price for cost in costs for thing, price in cost.unit_prices.items()}
    whole = replace(oldest, per_hour=round(per_hour, 4), per_month=month, unit_prices=units)
    return replace(whole, not_counted=least.not_counted)


def _changes(plans: Sequence[Plan], existing: Sequence[ExistingPool], prices: Prices) -> Iterator[float | None]:
    """Money an hour more or less, pool by pool; None where there is no price."""
    for plan in plans:
        if pool := plan.pool:
            yield _times(growth(pool, existing), pool.vm_size, pool.spot, pool.os_disk_size_gib, prices)
    for gone in deleted(plans, existing):
        yield _times(-gone.count, gone.vm_size, gone.is_spot, gone.disk_gib, prices)


def _times(nodes: int, vm_size: str, is_spot: bool, disk_gib: int, prices: Prices) -> float | None:
    if not nodes:
        return 0.0
    node, disk = prices.node(vm_size, is_spot), prices.disk(disk_gib)
    if node is None:
        return None
    return nodes * (node.per_hour + (disk.per_hour if disk and disk.currency == node.currency else 0))
