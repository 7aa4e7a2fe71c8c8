"""Whether Azure will give the nodes that the plans of a stack ask for: quota, and where a VM size is offered. Pure.

What Azure says comes in as data (`Region`), fetched by `azure`. One pass over all Workspaces: AKS runs one operation of
a cluster at a time and `connection` chains the pools, so they are counted in the order of the plans. A pool that keeps
its name changes in place. Everything that is to be deleted goes last, so its vCPUs are free only for the next update.
Called by connection and cli.plan.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kaito_components.errors import Finding
from kaito_components.existing_pools import ExistingPool, deleted, growth
from kaito_components.plan.findings import finding
from kaito_components.plan.types import Plan
from kaito_components.skus import find_vm_size, gpu_sizes

# The names of two quotas in the Usages API: all vCPUs of a region that are not spot; and all that are.
TOTAL, SPOT = "cores", "lowPriorityCores"
ASK_QUOTA = "ask for more at https://learn.microsoft.com/azure/quotas/per-vm-quota-requests"
REASONS = {
    "NotAvailableForSubscription": (
        "Azure does not sell it to this subscription there; ask support for access (https://aka.ms/azureskunotavailable)"
    ),
    "QuotaId": "the subscription's offer does not include it (free, student and some partner offers); use another one",
}
SIZE = "resource.instanceType"


@dataclass(frozen=True)
class Quota:
    """vCPUs of one family, or one of the region's totals."""

    name: str
    used: int
    limit: int


@dataclass(frozen=True)
class Restriction:
    """Why a VM size cannot be had; without zones, nowhere in the region."""

    reason: str
    zones: tuple[str, ...] = ()


@dataclass(frozen=True)
class Offer:
    """A VM size as one region offers it to one subscription."""

    name: str
    family: str
    zones: tuple[str, ...] = ()
    has_spot: bool = True
    restrictions: tuple[Restriction, ...] = ()


@dataclass(frozen=True)
class Region:
    """What Azure says of one region. None: not known, `troubles` say why. Keys are in lower case."""

    name: str
    quotas: Mapping[str, Quota] | None = None
    offers: Mapping[str, Offer] | None = None
    troubles: tuple[str, ...] = ()


@dataclass
class _Account:
    """One quota while the pools are counted: vCPUs above what is used now."""

    quota: Quota
    taken: int = 0
    most: int = 0
    asking: list[str] = field(default_factory=list)
    first_short: int | None = None  # index of the plan with which it is exceeded


def checked(plans: Sequence[Plan], region: Region, existing: Sequence[ExistingPool] | None = ()) -> list[Plan]:
    """The plans with what there is to say about quota and VM sizes; what could not be checked is said once.

    Args:
        plans: all of one stack, in the order in which their pools are made.
        region: what Azure says.
        existing: the stack's pools; None: it is not known which there are. Quota that is short is then a warning,
            because nodes that are there already are counted twice.
    """
    found: list[list[Finding]] = [[*_about_offer(plan, region, existing or ())] for plan in plans]
    for index, short in _about_quota(plans, region, existing or ()):
        found[index].append(_doubted(short) if existing is None else short)
    first = next((index for index, plan in enumerate(plans) if plan.pool), None)
    if first is not None:
        found[first] += [
            finding(plans[first].spec, "warning", "azure-check-failed", "kaito:azure", text) for text in region.troubles
        ]
    return [
        replace(plan, findings=(*plan.findings, *more)) if more else plan
        for plan, more in zip(plans, found, strict=True)
    ]


def _about_offer(plan: Plan, region: Region, existing: Sequence[ExistingPool]) -> Iterator[Finding]:
    """Whether the region sells the size, in the zones that are asked for. A pool that is there needs no permission."""
    pool = plan.pool
    if pool is None or region.offers is None or growth(pool, existing) <= 0:
        return
    offer = region.offers.get(pool.vm_size.lower())
    if offer is None:
        text = f"{pool.vm_size} is not offered in {region.name}; {_elsewhere(pool.vm_size, region)}"
        yield finding(plan.spec, "error", "vm-size-unavailable", SIZE, text)
        return
    if pool.spot and not offer.has_spot:
        text = f"{pool.vm_size} is not offered as spot in {region.name}; use on-demand nodes or another size"
        yield finding(plan.spec, "error", "vm-size-unavailable", "kaito:nodes.spot", text)
    if missing := sorted(set(pool.zones) - set(offer.zones)):
        where = f"zone {', '.join(missing)} of {region.name}"
        has = f"its zones there are {', '.join(offer.zones)}" if offer.zones else "it has no zones there"
        text = f"{pool.vm_size} is not offered in {where}; {has}"
        yield finding(plan.spec, "error", "vm-size-unavailable", "kaito:nodes.zones", text)
    for one in offer.restrictions:
        closed = sorted(set(pool.zones) & set(one.zones))
        if one.zones and not closed:
            continue
        where = f"zone {', '.join(closed)} of {region.name}" if closed else region.name
        why = REASONS.get(one.reason, "ask Azure support why")
        text = f"{pool.vm_size} is restricted in {where} ({one.reason}): {why}; {_elsewhere(pool.vm_size, region)}"
        yield finding(plan.spec, "error", "sku-restricted", "kaito:nodes.zones" if closed else SIZE, text)


def _elsewhere(name: str, region: Region) -> str:
    """Sizes with the same GPU that the region does sell."""
    vm = find_vm_size(name)
    near = [
        size.name
        for size in gpu_sizes()
        if vm and size.gpu_model == vm.gpu_model and size.name != vm.name and _is_open(size.name, region)
    ]
    return f"{' or '.join(near[:3])} can be had there" if near else "choose another size, or another region"


def _is_open(name: str, region: Region) -> bool:
    offer = (region.offers or {}).get(name.lower())
    return offer is not None and all(one.zones for one in offer.restrictions)


def _about_quota(
    plans: Sequence[Plan], region: Region, existing: Sequence[ExistingPool]
) -> Iterator[tuple[int, Finding]]:
    """(index of the plan with which it is exceeded, finding) of each quota that is."""
    if region.quotas is None:
        return
    accounts: dict[str, _Account] = {}
    for index, plan in enumerate(plans):
        if plan.pool is None or plan.vm is None or not (nodes := growth(plan.pool, existing)):
            continue
        for name in _quota_names(plan.pool.vm_size, plan.pool.spot, region):
            quota = region.quotas.get(name.lower())
            if quota is None:
                text = f"Azure lists no quota {name} in {region.name}: whether it suffices is not checked"
                yield index, finding(plan.spec, "warning", "azure-check-failed", SIZE, text)
                continue
            account = accounts.setdefault(quota.name, _Account(quota))
            _count(account, index, plan, nodes * plan.vm.vcpus)
    for account in accounts.values():
        if account.first_short is not None:
            short = plans[account.first_short]
            text = _short(account, region, _freed(account.quota.name, plans, region, existing))
            yield account.first_short, finding(short.spec, "error", "quota-short", SIZE, text)


def _doubted(found: Finding) -> Finding:
    text = f"{found.message}; pools that exist already are not known here, and count as new"
    return replace(found, severity="warning", message=text) if found.code == "quota-short" else found


def _count(account: _Account, index: int, plan: Plan, vcpus: int) -> None:
    account.taken += vcpus
    account.most = max(account.most, account.taken)
    if vcpus > 0:
        account.asking.append(f"{plan.namespace}/{plan.name}")
    if account.first_short is None and vcpus > 0 and account.taken > account.quota.limit - account.quota.used:
        account.first_short = index


def _short(account: _Account, region: Region, freed: int) -> str:
    quota, left = account.quota, max(0, account.quota.limit - account.quota.used)
    kind = {TOTAL: "vCPUs of all families", SPOT: "spot vCPUs"}.get(quota.name, f"{quota.name} vCPUs")
    text = (
        f"{account.most} more {kind} are needed in {region.name} ({', '.join(account.asking)}), and {left} are left "
        f"({quota.used} of {quota.limit} used)"
    )
    if freed and account.most - freed <= left:
        text += (
            f"; the pools that this update deletes free {freed}, but only after the new ones are there: "
            "take their Workspaces out in an update before this one, or"
        )
    else:
        text += "; take a smaller or another size, another region, or"
    return f"{text} {ASK_QUOTA}"


def _freed(quota: str, plans: Sequence[Plan], region: Region, existing: Sequence[ExistingPool]) -> int:
    """vCPUs of the pools that no plan keeps."""
    gone = deleted(plans, existing)
    counted = [pool for pool in gone if quota in _quota_names(pool.vm_size, pool.is_spot, region)]
    return sum(pool.count * vm.vcpus for pool in counted if (vm := find_vm_size(pool.vm_size)))


def _quota_names(size: str, is_spot: bool, region: Region) -> Iterable[str]:
    """Spot machines share one quota; all others count against their family's and the region's."""
    if is_spot:
        return (SPOT,)
    offer, vm = (region.offers or {}).get(size.lower()), find_vm_size(size)
    family = offer.family if offer else vm.family if vm else ""
    known = (region.quotas or {}).get(family.lower())
    return (known.name if known else family, TOTAL)
