"""What the Azure of the tests has to offer."""

from local_cloud.azure_http import Market, price, sku
from local_cloud.azure_http.market import disk_price

A100, T4, A100_FAMILY = "Standard_NC24ads_A100_v4", "Standard_NC4as_T4_v3", "StandardNCADSA100v4Family"


def market(region: str = "eastus") -> Market:
    """One region with quota for two A100 sizes, of which one is used; every list has several pages."""
    return Market(
        usages={region: {A100_FAMILY: (24, 48), "cores": (30, 200), "lowPriorityCores": (0, 24), "a": (0, 1)}},
        skus=[sku(A100, region, ("1", "3")), sku(T4, region), sku(T4, "westus"), sku("Standard_D8s_v5", region)],
        prices=[
            price(A100, region, 7.35, "Windows"),
            price(A100, region, 0.9, "Low Priority"),
            price(A100, region, 3.67),
            price(A100, region, 1.1, "Spot"),
            price(A100, region, 3.4, currency="EUR"),
            price(A100, "westus", 4.0),
            disk_price("P10", region, 19.71),
        ],
    )
