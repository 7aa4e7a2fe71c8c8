"""Whether Azure will give what the plans of a stack ask for: quota over all of them, and VM sizes in the region."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from kaito_components.capacity import Offer, Quota, Region, Restriction, checked
from kaito_components.errors import Finding
from kaito_components.existing_pools import ExistingPool
from kaito_components.plan import NodeOptions, Plan, plan
from tests.unit.workspaces import A100, EXISTING, T4, inference

FAMILY, OTHER = "StandardNCADSA100v4Family", "Standard NCASv3_T4 Family"
NC48 = "Standard_NC48ads_A100_v4"


def region(family: tuple[int, int] = (0, 48), total: tuple[int, int] = (0, 1000), **offers: Any) -> Region:
    """eastus; (used, limit) of the A100 family and of all vCPUs, and what differs from A100 in zones 1 and 3."""
    quotas = [Quota(FAMILY, *family), Quota("cores", *total), Quota("lowPriorityCores", 0, 24), Quota(OTHER, 0, 8)]
    sold = [Offer(A100, FAMILY, ("1", "3")), Offer(T4, OTHER), Offer(NC48, FAMILY)]
    changed = [replace(sold[0], **offers), *sold[1:]]
    return Region("eastus", {one.name.lower(): one for one in quotas}, {one.name.lower(): one for one in changed})


def planned(name: str = "a", size: str = A100, count: int = 1, **nodes: Any) -> Plan:
    spec = replace(
        inference(size, count=count), name=name, annotations={"kaito.sh/runtime": "vllm"} if count > 1 else {}
    )
    made = plan(spec, nodes=NodeOptions(**nodes), image_registry="r.example.com")
    assert made.pool
    return replace(made, node_count=count, pool=replace(made.pool, count=count), findings=())


def pool_of(one: Plan, count: int = 1) -> ExistingPool:
    """The pool of that plan, as it is now."""
    assert one.pool
    return ExistingPool(one.pool.name, one.pool.vm_size, count, one.pool.spot)


def found(
    plans: Sequence[Plan], there: Region | None = None, existing: Sequence[ExistingPool] = ()
) -> Mapping[str, tuple[Finding, ...]]:
    """The findings of each Workspace."""
    return {one.name: one.findings for one in checked(plans, there or region(), existing)}


def codes(plans: Sequence[Plan], there: Region | None = None, existing: Sequence[ExistingPool] = ()) -> set[str]:
    return {one.code for findings in found(plans, there, existing).values() for one in findings}


def test_what_fits_has_nothing_to_say() -> None:
    assert codes([planned("a"), planned("b")]) == set()


def test_the_sum_of_all_workspaces_is_checked_and_said_where_it_is_exceeded() -> None:
    said = found([planned("a"), planned("b"), planned("c"), planned("d")])
    assert said["a"] == said["b"] == said["d"] == ()
    (short,) = said["c"]
    assert (short.severity, short.code, short.field) == ("error", "quota-short", "resource.instanceType")
    needed = f"96 more {FAMILY} vCPUs are needed in eastus (default/a, default/b, default/c, default/d)"
    assert f"{needed}, and 48 are left (0 of 48 used)" in short.message
    assert "ask for more at https://" in short.message


def test_what_others_use_is_not_left() -> None:
    assert codes([planned()], region(family=(24, 47))) == {"quota-short"}
    assert codes([planned()], region(family=(24, 48))) == set()


def test_two_families_do_not_share_a_quota_but_the_region_has_one_for_all() -> None:
    plans = [planned("a", A100), planned("b", T4)]
    assert codes(plans, region(family=(0, 24), total=(0, 28))) == set()
    (short,) = found(plans, region(family=(0, 24), total=(0, 27)))["b"]
    assert "28 more vCPUs of all families are needed in eastus (default/a, default/b)" in short.message


def test_spot_nodes_count_against_the_quota_of_all_spot_nodes_only() -> None:
    assert codes([planned(spot=True)], region(family=(0, 0), total=(0, 0))) == set()
    (short,) = found([planned("a", spot=True), planned("b", spot=True)])["b"]
    assert "48 more spot vCPUs are needed" in short.message


def test_a_pool_that_is_there_needs_nothing() -> None:
    one = planned()
    assert codes([one], region(family=(24, 24)), [pool_of(one)]) == set()


def test_a_pool_that_grows_needs_the_difference() -> None:
    one = planned(count=3)
    assert codes([one], region(family=(24, 72)), [pool_of(one, 1)]) == set()
    (short,) = found([one], region(family=(24, 71)), [pool_of(one, 1)])["a"]
    assert "48 more" in short.message


def test_what_an_earlier_pool_gives_back_is_there_for_a_later_one() -> None:
    shrinks, grows = planned("a", count=1), planned("b", count=2)
    now = [pool_of(shrinks, 2), pool_of(grows, 1)]
    assert codes([shrinks, grows], region(family=(72, 72)), now) == set()
    assert codes([grows, shrinks], region(family=(72, 72)), now) == {"quota-short"}


def test_a_pool_that_is_replaced_needs_its_successor_beside_it() -> None:
    before, after = planned("a", A100), planned("a", NC48)
    assert codes([after], region(family=(24, 72)), [pool_of(before)]) == set()
    (short,) = found([after], region(family=(24, 71)), [pool_of(before)])["a"]
    assert "the pools that this update deletes free 24, but only after the new ones are there" in short.message


def test_a_pool_that_scales_by_itself_keeps_its_nodes() -> None:
    one = planned(min_count=1, max_count=9)
    assert codes([one], region(family=(72, 72)), [pool_of(one, 3)]) == set()


def test_nodes_that_exist_already_need_no_quota() -> None:
    one = plan(inference(None), nodes=EXISTING, image_registry="r")
    assert checked([one], region(family=(0, 0))) == [one]


def test_the_family_is_the_one_that_azure_names() -> None:
    there = region(family=(0, 0))
    moved = {**(there.offers or {}), A100.lower(): Offer(A100, "newFamily", ("1", "3"))}
    quotas = {**(there.quotas or {}), "newfamily": Quota("newFamily", 0, 24)}
    assert codes([planned()], replace(there, offers=moved, quotas=quotas)) == set()


def test_short_quota_is_a_warning_where_the_stacks_pools_are_not_known() -> None:
    (one,) = checked([planned()], region(family=(48, 48)), None)[0].findings
    assert (one.severity, one.code) == ("warning", "quota-short")
    assert "pools that exist already are not known here, and count as new" in one.message


SHOWN = [  # by the tests of this file, which hold code and severity
    ("quota-short", "error"),
    ("quota-short", "warning"),
    ("sku-restricted", "error"),
    ("vm-size-unavailable", "error"),
    ("azure-check-failed", "warning"),
]
SOLD: list[tuple[str, str, dict[str, Any], dict[str, Any], str]] = [
    ("sku-restricted", "resource.instanceType", {"restrictions": (Restriction("NotAvailableForSubscription"),)}, {},
     "is restricted in eastus (NotAvailableForSubscription): Azure does not sell it to this subscription"),
    ("sku-restricted", "resource.instanceType", {"restrictions": (Restriction("QuotaId"),)}, {},
     "the subscription's offer does not include it"),
    ("sku-restricted", "kaito:nodes.zones", {"restrictions": (Restriction("QuotaId", ("2", "3")),)},
     {"zones": ("1", "3")}, "in zone 3 of eastus (QuotaId)"),
    ("vm-size-unavailable", "kaito:nodes.zones", {}, {"zones": ("1", "2")},
     "is not offered in zone 2 of eastus; its zones there are 1, 3"),
    ("vm-size-unavailable", "kaito:nodes.spot", {"has_spot": False}, {"spot": True}, "not offered as spot in eastus"),
    ("vm-size-unavailable", "resource.instanceType", {"name": "other"}, {},
     f"not offered in eastus; {NC48} can be had there"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "field", "offer", "nodes", "words"), SOLD)
def test_a_size_that_cannot_be_had_is_an_error_with_its_reason(
    code: str, field: str, offer: dict[str, Any], nodes: dict[str, Any], words: str
) -> None:
    (one,) = found([planned(**nodes)], region(**offer))["a"]
    assert (one.severity, one.code, one.field) == ("error", code, field) and words in one.message


def test_a_restriction_of_zones_does_not_matter_to_nodes_without_zones() -> None:
    assert codes([planned()], region(restrictions=(Restriction("QuotaId", ("1", "2", "3")),))) == set()


def test_a_pool_that_is_there_is_not_refused_for_a_restriction() -> None:
    one = planned()
    assert codes([one], region(restrictions=(Restriction("QuotaId"),)), [pool_of(one)]) == set()


def test_what_is_not_known_is_not_held_against_anyone() -> None:
    assert codes([planned()], Region("eastus")) == set()


def test_what_could_not_be_checked_is_a_warning_said_once() -> None:
    said = found([planned("a"), planned("b")], Region("eastus", troubles=("quota in eastus not checked: why",)))
    (one,) = said["a"]
    assert (one.severity, one.code, one.field) == ("warning", "azure-check-failed", "kaito:azure")
    assert said["b"] == ()


def test_a_family_without_a_quota_is_a_warning() -> None:
    (one,) = found([planned()], Region("eastus", {"cores": Quota("cores", 0, 99)}))["a"]
    assert one.code == "azure-check-failed" and f"lists no quota {FAMILY}" in one.message
