"""What a Workspace costs, and when that is unknown."""

import pytest

from kaito_components.plan import NodeOptions, plan
from kaito_components.prices import UnitPrice, price_of
from tests.unit.workspaces import A10, A100, EXISTING, codes, config, inference, planned

LIVE = UnitPrice(1.5, "asked today", "2026-08-01", "EUR")


def test_a_workspace_costs_its_nodes_an_hour_and_a_month_of_730_hours() -> None:
    made = planned(inference(A10, "phi-3-mini-128k-instruct", config="c"), region="eastus",
                   bundle=config("vllm: {max-model-len: 32768}"))  # fmt: skip
    unit = price_of(A10, "eastus")
    assert made.node_count == 2 and unit and made.cost
    assert made.cost.per_hour == pytest.approx(2 * unit.per_hour)
    assert made.cost.per_month == pytest.approx(2 * 730 * unit.per_hour)
    assert (made.cost.as_of, made.cost.currency) == ("2026-06-18", "USD") and "OS disks" in made.cost.not_counted


@pytest.mark.parametrize("region", ["eastus", "East US"])
def test_the_region_is_written_as_azure_writes_it(region: str) -> None:
    assert planned(inference(), region=region).region == "eastus"


def test_without_a_region_the_cost_is_unknown_and_nothing_is_said() -> None:
    made = planned(inference())
    assert made.cost is None and "price-unknown" not in codes(made, "info")


def test_a_price_asked_for_today_goes_before_the_table() -> None:
    cost = planned(inference(), region="eastus", price=LIVE).cost
    assert cost and (cost.per_hour, cost.currency, cost.source, cost.as_of) == (1.5, "EUR", LIVE.source, LIVE.as_of)


def test_spot_has_a_price_only_where_it_was_asked_for() -> None:
    spot = NodeOptions(spot=True)
    assert planned(inference(), nodes=spot, region="eastus").cost is None
    assert planned(inference(), nodes=spot, region="eastus", price=LIVE).cost


def test_nodes_that_exist_already_cost_nothing_more() -> None:
    made = plan(inference(None), nodes=EXISTING, region="eastus")
    assert made.cost is None and "price-unknown" not in codes(made, "info")


@pytest.mark.parametrize(
    ("region", "said"), [("westeurop", "did you mean westeurope"), ("australiacentral", "it has a price in ")]
)
def test_an_unknown_price_says_what_to_try(region: str, said: str) -> None:
    texts = [one.message for one in planned(inference(A100), region=region).findings if one.code == "price-unknown"]
    assert len(texts) == 1 and said in texts[0]
