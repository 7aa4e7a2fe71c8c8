"""Quota, VM sizes and cost at `pulumi preview`, on the real engine, with Azure on loopback."""

from collections.abc import Callable
from pathlib import Path

import pytest

from local_cloud.azure_http import AzureHttp, Fault, sku
from local_cloud.stack import Stack
from tests.azure_market import A100_FAMILY, market
from tests.engine.conftest import Azure
from tests.engine.workspaces import inference

MakeStack = Callable[..., Stack]
CHECKS = {"checks": True}


@pytest.fixture
def sold(azure_http: AzureHttp) -> AzureHttp:
    """Azure sells in the local cloud's region."""
    azure_http.market = market("local")
    return azure_http


def test_a_preview_stops_where_quota_is_short_for_all_workspaces_together(
    make_stack: MakeStack, sold: AzureHttp, azure: Azure, namespace: str
) -> None:
    stack = make_stack(inference("a"), inference("b"), azure=CHECKS)
    refused = stack.preview(check=False)
    assert refused.code != 0 and "Traceback" not in refused.text
    needed = f"48 more {A100_FAMILY} vCPUs are needed in local ({namespace}/a, {namespace}/b)"
    assert f"{needed}, and 24 are left" in refused.text
    assert {"a", "a-pool", "b", "b-pool"}.isdisjoint(refused.ops) and azure.pools == set()
    assert sold.market.client_secret not in refused.text + str(refused.events)


def test_the_cost_is_in_the_preview_with_its_change_and_in_the_outputs(make_stack: MakeStack, sold: AzureHttp) -> None:
    stack = make_stack(inference(), azure=CHECKS)
    first = stack.preview().text
    assert "cost of the stack: 3.70 USD an hour" in first and "changes it by +3.70 an hour, +2,699 a month" in first
    stack.up()
    assert stack.outputs()["stack_cost"]["per_hour"] == pytest.approx(3.697)
    assert stack.outputs()["stack_cost"]["source"] == "Azure Retail Prices API"
    sold.market.usages["local"][A100_FAMILY] = (48, 48)
    again = stack.preview("--expect-no-changes").text
    assert "cost of the stack: 3.70 USD an hour" in again and "changes it" not in again


def test_another_vm_size_needs_quota_for_both_pools(make_stack: MakeStack, sold: AzureHttp) -> None:
    stack = make_stack(inference(), azure=CHECKS)
    stack.up()
    sold.market.usages["local"][A100_FAMILY] = (24, 48)
    sold.market.skus.append(sku("Standard_NC48ads_A100_v4", "local"))
    path = Path(stack.config["kaito:workspaces"][0])
    path.write_text(path.read_text().replace("Standard_NC24ads_A100_v4", "Standard_NC48ads_A100_v4"))
    refused = stack.preview(check=False)
    assert refused.code != 0 and f"48 more {A100_FAMILY} vCPUs are needed" in refused.text
    assert "the pools that this update deletes free 24, but only after the new ones are there" in refused.text
    sold.market.usages["local"][A100_FAMILY] = (24, 72)
    assert stack.preview().ops["phi-pool"] == "replace"


def test_a_check_that_fails_does_not_fail_the_preview(make_stack: MakeStack, sold: AzureHttp) -> None:
    sold.arm(Fault("usages", 403, "AuthorizationFailed", times=9))
    text = make_stack(inference(), azure=CHECKS).preview().text
    assert "azure-check-failed" in text and "the login needs the role Reader" in text
