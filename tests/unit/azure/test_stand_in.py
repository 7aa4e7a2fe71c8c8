"""Whether the Azure of the tests answers as Azure does: against what was recorded, and by the SDK's own models."""

import json
import ssl
import subprocess
import sys
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from local_cloud.azure_http import AzureHttp, price, sku
from local_cloud.azure_http.answers import TOKEN
from local_cloud.azure_http.market import RECORDED, disk_price
from local_cloud.providers.azure_native.ids import SUBSCRIPTION

COMPUTE = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute"
# The fields of an item, without those that reservations have: Azure/karpenter-provider-azure
# pkg/providers/pricing/client/pricingapi_types.go, generated from the API.
ITEM = {
    "currencyCode", "tierMinimumUnits", "retailPrice", "unitPrice", "armRegionName", "location", "effectiveStartDate",
    "meterId", "meterName", "productId", "skuId", "availabilityId", "productName", "skuName", "serviceName",
    "serviceId", "serviceFamily", "unitOfMeasure", "type", "isPrimaryMeterRegion", "armSkuName",
}  # fmt: skip


def get(azure: AzureHttp, target: str, token: str = TOKEN) -> Any:
    context = ssl.create_default_context(cafile=azure.env()["SSL_CERT_FILE"])
    request = Request(azure.url + target, headers={"Authorization": f"Bearer {token}"})
    with urlopen(request, context=context) as answer:
        return json.load(answer)


@pytest.mark.parametrize("recorded", RECORDED, ids=[one["name"] for one in RECORDED])
def test_a_recorded_size_is_answered_as_it_was_recorded(recorded: dict[str, Any]) -> None:
    assert sku(recorded["name"], "southcentralus", recorded["locationInfo"][0]["zones"]) == recorded


def test_a_size_that_was_not_recorded_has_the_same_shape_and_its_own_numbers() -> None:
    made = sku("Standard_NC96ads_A100_v4", "eastus", restricted={"QuotaId": ("1",)})
    capabilities = {one["name"]: one["value"] for one in made["capabilities"]}
    assert made.keys() == RECORDED[0].keys() and made["family"] == "StandardNCADSA100v4Family"
    assert (capabilities["vCPUs"], capabilities["GPUs"], capabilities["MemoryGB"]) == ("96", "4", "880")


def test_prices_have_the_fields_of_azures_items(azure_http: AzureHttp) -> None:
    assert price("Standard_NC6s_v3", "eastus", 1.0).keys() == disk_price("P10", "eastus", 1.0).keys() == ITEM
    page = get(azure_http, "/api/retail/prices")
    assert page.keys() == {
        "BillingCurrency", "CustomerEntityId", "CustomerEntityType", "Items", "NextPageLink", "Count",
    }  # fmt: skip


def test_usages_are_what_the_sdk_takes_them_for(azure_http: AzureHttp) -> None:
    from azure.mgmt.compute.models import Usage

    (first, *_) = get(azure_http, f"{COMPUTE}/locations/eastus/usages?api-version=1")["value"]
    assert Usage(first).as_dict() == first


def test_pages_are_chained_by_addresses_that_lead_to_the_rest(azure_http: AzureHttp) -> None:
    seen, target = 0, f"{COMPUTE}/skus?api-version=1"
    while target:
        page = get(azure_http, target)
        seen += len(page["value"])
        target = page.get("nextLink", "").removeprefix(azure_http.url)
    assert seen == len(azure_http.market.skus) == 4


def test_without_its_token_nothing_is_told_but_prices(azure_http: AzureHttp) -> None:
    with pytest.raises(HTTPError) as refused:
        get(azure_http, f"{COMPUTE}/skus?api-version=1", token="another")
    assert refused.value.code == 401 and "InvalidAuthenticationToken" in refused.value.read().decode()
    assert get(azure_http, "/api/retail/prices", token="another")["Items"]


def test_nobody_pays_for_the_sdks_who_does_not_ask() -> None:
    code = (
        "import sys, kaito_components.cli.plan, kaito_components.workspace, kaito_components.config\n"
        "print([name for name in sys.modules if name.startswith(('azure.', 'httpx', 'msal'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
