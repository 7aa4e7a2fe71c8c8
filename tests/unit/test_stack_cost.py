"""What a stack costs, and how an update changes that."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from kaito_components.existing_pools import ExistingPool
from kaito_components.plan import NodeOptions, Plan, plan
from kaito_components.plan.cost import disk_tier
from kaito_components.prices import UnitPrice, price_of
from kaito_components.stack_cost import Prices, Total, priced, total
from tests.unit.workspaces import A100, EXISTING, T4, inference

TODAY = date(2026, 6, 20)
ASKED = Prices(
    "eastus",
    {A100: UnitPrice(4.0, "asked", "2026-06-20"), T4: UnitPrice(0.5, "asked", "2026-06-19")},
    {A100: UnitPrice(1.0, "asked", "2026-06-20")},
    {"P10": UnitPrice(0.03, "asked", "2026-06-20")},
)
TABLE = Prices("eastus")


def planned(name: str = "a", size: str = A100, count: int = 1, **nodes: Any) -> Plan:
    made = plan(replace(inference(size), name=name), nodes=NodeOptions(**nodes), image_registry="r")
    assert made.pool
    return replace(made, pool=replace(made.pool, count=count), findings=())


def now(one: Plan, count: int = 1) -> ExistingPool:
    """The pool of that plan, as it is there now."""
    assert one.pool
    return ExistingPool(one.pool.name, one.pool.vm_size, count, one.pool.spot, one.pool.os_disk_size_gib)


def sum_of(plans: Sequence[Plan], existing: Sequence[ExistingPool] = (), prices: Prices = ASKED) -> Total:
    return total([priced(one, prices) for one in plans], existing, prices)


def test_nodes_and_their_disks_are_added_up_over_all_workspaces() -> None:
    cost = sum_of([planned("a", count=2), planned("b", T4)]).cost
    assert cost and cost.per_hour == pytest.approx(2 * 4.03 + 0.53)
    assert cost.per_month == pytest.approx(730 * (2 * 4.03 + 0.53))
    assert (cost.currency, cost.as_of, cost.not_counted) == ("USD", "2026-06-19", "public addresses and traffic")


def test_without_a_price_asked_for_the_table_is_used_and_disks_are_left_out() -> None:
    cost, unit = sum_of([planned()], prices=TABLE).cost, price_of(A100, "eastus")
    assert cost and unit and cost.per_hour == unit.per_hour and cost.as_of == "2026-06-18"
    assert "OS disks" in cost.not_counted and cost.unit_prices == {A100: unit.per_hour}


def test_a_spot_price_is_known_only_if_it_was_asked_for() -> None:
    spot = planned(spot=True)
    asked = sum_of([spot]).cost
    assert asked and asked.per_hour == pytest.approx(1.03)
    assert asked.unit_prices == {f"spot {A100}": 1.0, "P10 disk": 0.03}
    assert sum_of([spot], prices=TABLE) == Total(None, ("default/a",))


def test_a_workspace_without_a_price_is_named_and_not_guessed() -> None:
    h100 = planned("big", "Standard_ND96isr_H200_v5")
    prices = replace(ASKED, region="nowhere")
    found = sum_of([planned(), h100], prices=prices)
    assert found.cost and found.cost.per_hour == pytest.approx(4.03) and found.change_per_hour is None
    assert found.unknown == ("default/big",) and "no price for default/big" in found.sentence(TODAY)


def test_two_currencies_are_not_added_up() -> None:
    euro = {A100: UnitPrice(3.5, "asked", "2026-06-20", "EUR")}
    assert sum_of([planned("a"), planned("b", T4)], prices=replace(ASKED, on_demand=euro)).cost is None


def test_nodes_that_exist_already_cost_nothing_here() -> None:
    own = plan(inference(None), nodes=EXISTING, image_registry="r")
    assert priced(own, ASKED) == own and sum_of([own]).cost is None


def change(plans: Sequence[Plan], existing: Sequence[ExistingPool], prices: Prices = ASKED) -> Any:
    return sum_of(plans, existing, prices).change_per_hour


def test_the_change_is_what_comes_less_what_goes() -> None:
    one, other = planned("a"), planned("b", T4)
    assert change([one], []) == pytest.approx(4.03)
    assert change([one], [now(one)]) == 0
    assert change([one], [now(one), now(other)]) == pytest.approx(-0.53)
    assert change([replace(one, pool=now_pool(one, 3))], [now(one)]) == pytest.approx(2 * 4.03)


def now_pool(one: Plan, count: int) -> Any:
    assert one.pool
    return replace(one.pool, count=count)


def test_another_vm_size_is_the_difference_of_both() -> None:
    assert change([planned("a", T4)], [now(planned("a", A100))]) == pytest.approx(0.53 - 4.03)


def test_a_pool_that_scales_by_itself_does_not_change() -> None:
    one = planned(min_count=1, max_count=5)
    assert change([one], [now(one, 4)]) == 0


def test_a_change_with_an_unknown_price_is_unknown() -> None:
    assert change([planned()], [ExistingPool("old", "Standard_Unknown", 1)]) is None


def test_the_sentence_tells_money_change_source_and_age() -> None:
    text = sum_of([planned("b", T4)], [now(planned("a", A100))]).sentence(TODAY)
    assert text == (
        "0.53 USD an hour, 387 a month of 730 hours; this update changes it by -3.50 an hour, -2,555 a month; "
        "an hour: Standard_NC4as_T4_v3 0.5, P10 disk 0.03; without public addresses and traffic; asked, 2026-06-19"
    )
    assert "2026-06-18, 32 days old" in sum_of([planned()], prices=TABLE).sentence(date(2026, 7, 20))


@pytest.mark.parametrize(("gib", "tier"), [(128, "P10"), (129, "P15"), (256, "P15"), (512, "P20"), (40000, "P80")])
def test_a_disk_is_billed_as_the_next_larger_tier(gib: int, tier: str) -> None:
    assert disk_tier(gib) == tier


def test_an_unknown_price_is_said_once() -> None:
    made = priced(plan(inference(), region="westeurop", image_registry="r"), Prices("moon"))
    assert [one.code for one in made.findings].count("price-unknown") == 1 and made.cost is None
