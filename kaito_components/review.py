"""The last look at plans before anything is declared: their prices, and what Azure says of quota and VM sizes.

Called by connection for a stack and by cli.plan; the two differ in what they know of the cluster. No Pulumi.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from kaito_components.capacity import Region, checked
from kaito_components.existing_pools import ExistingPool
from kaito_components.plan.cost import disk_tier
from kaito_components.plan.findings import by_weight
from kaito_components.plan.types import AzureOptions, Plan
from kaito_components.prices import region_name
from kaito_components.stack_cost import Prices, Total, is_priced_region, priced, total

SUBSCRIPTIONS = ("ARM_SUBSCRIPTION_ID", "AZURE_SUBSCRIPTION_ID")
NO_REGION = "nothing checked: the region is not known; set region of kaito:azure (azure of the Cluster)"
NO_SUBSCRIPTION = "quota and VM sizes not checked: the subscription is not known; set subscription of kaito:azure"


@dataclass
class Review:
    """One stack's. Workspaces may come together or one after the other; each is counted with those before it.

    Attributes:
        options: what to ask; `region` and `subscription` as far as they are known.
        existing: the pools that the stack has already; None: it is not known which.
    """

    options: AzureOptions
    existing: Sequence[ExistingPool] | None = None
    _plans: list[Plan] = field(default_factory=list)
    _prices: Prices = field(default_factory=Prices)
    _region: Region | None = None
    _sizes: frozenset[str] = frozenset()  # that were asked for
    _disks: frozenset[str] = frozenset()

    def of(self, plans: Sequence[Plan]) -> list[Plan]:
        """These plans with costs, and with findings about what Azure will not give."""
        self._plans += plans
        self._ask()
        costed = [priced(plan, self._prices) for plan in self._plans]
        found = checked(costed, self._region, self.existing) if self._region else costed
        if self._region:  # what could not be checked has been said
            self._region = replace(self._region, troubles=())
        return [_sorted(plan) for plan in found[len(found) - len(plans) :]]

    @property
    def total(self) -> Total:
        """What all plans so far cost together."""
        return total([priced(plan, self._prices) for plan in self._plans], self.existing, self._prices)

    @property
    def knows_prices(self) -> bool:
        """Whether there are pools to be paid for, in a region that may have prices."""
        return self._prices.region is not None and any(plan.pool for plan in self._plans)

    def _ask(self) -> None:
        """Fills in region and prices: asked for if checks are on, else as far as the embedded table goes."""
        options = self.options
        region = region_name(options.region) if options.region else None
        if not options.checks or not any(plan.pool for plan in self._plans):
            self._prices = Prices(region)
        elif region is None:
            self._region = self._region or Region("", troubles=(NO_REGION,))
        else:
            self._survey(region)

    def _survey(self, region: str) -> None:
        """Asks for what no earlier Workspace has asked for; quota and VM sizes are asked for once."""
        from kaito_components.azure.survey import Wanted, survey

        sizes, disks = self._needed()
        is_first = self._region is None
        if not is_first and sizes <= self._sizes and disks <= self._disks:
            return
        subscription = self.options.subscription or next(filter(None, map(os.environ.get, SUBSCRIPTIONS)), None)
        new = sizes - self._sizes, disks - self._disks
        found = survey(Wanted(region, subscription if is_first else None, self.options.currency, *new))
        self._sizes, self._disks = sizes, disks
        self._prices = self._prices.and_of(region, found.on_demand, found.spot, found.disks)
        if is_first:
            troubles = found.region.troubles if subscription else (NO_SUBSCRIPTION, *found.region.troubles)
            self._region = replace(found.region, troubles=troubles)

    def _needed(self) -> tuple[frozenset[str], frozenset[str]]:
        """VM sizes and disk tiers of all pools, those that are planned and those that exist."""
        pools = [(plan.pool.vm_size, plan.pool.os_disk_size_gib) for plan in self._plans if plan.pool]
        pools += [(pool.vm_size, pool.disk_gib) for pool in self.existing or ()]
        return frozenset(size for size, _ in pools), frozenset(disk_tier(gib) for _, gib in pools)


def _sorted(plan: Plan) -> Plan:
    return replace(plan, findings=tuple(sorted(plan.findings, key=by_weight)))


def learnt(options: AzureOptions, region: str, subscription: str) -> AzureOptions:
    """The options with what the cluster tells. Without checks, a region without prices is as good as none.

    Raises:
        ValueError: the options name another region or subscription than the cluster's.
    """
    for what, given, real in (("region", options.region, region), ("subscription", options.subscription, subscription)):
        if given and region_name(given) != region_name(real):
            raise ValueError(f"{what} is {given}, but the cluster is in {real}; remove it")
    known = region if options.checks or options.region or is_priced_region(region_name(region)) else None
    return replace(options, region=known, subscription=subscription)
