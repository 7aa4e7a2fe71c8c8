"""An Azure over HTTPS on loopback for each test, and a login to it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kaito_components.azure.patience import Patience
from kaito_components.azure.survey import Survey, Wanted, survey
from local_cloud.azure_http import AzureHttp, Market, price, sku
from local_cloud.azure_http.market import disk_price
from local_cloud.providers.azure_native.ids import SUBSCRIPTION

A100, T4, A100_FAMILY = "Standard_NC24ads_A100_v4", "Standard_NC4as_T4_v3", "StandardNCADSA100v4Family"
QUICK = Patience(tries=3, connect_seconds=1, read_seconds=1, backoff_seconds=0.01, wait_seconds=3)
Ask = Callable[..., Survey]


def market() -> Market:
    """One region with quota for two A100 sizes, of which one is used; every list has several pages."""
    return Market(
        usages={"eastus": {A100_FAMILY: (24, 48), "cores": (30, 200), "lowPriorityCores": (0, 24), "a": (0, 1)}},
        skus=[sku(A100, "eastus", ("1", "3")), sku(T4, "eastus"), sku(T4, "westus"), sku("Standard_D8s_v5", "eastus")],
        prices=[
            price(A100, "eastus", 7.35, "Windows"),
            price(A100, "eastus", 0.9, "Low Priority"),
            price(A100, "eastus", 3.67),
            price(A100, "eastus", 1.1, "Spot"),
            price(A100, "eastus", 3.4, currency="EUR"),
            price(A100, "westus", 4.0),
            disk_price("P10", "eastus", 19.71),
        ],
    )


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureHttp]:
    """Azure, with a login that it accepts; nothing of this machine's own login or cache is used."""
    for name in ("ARM_TENANT_ID", "ARM_CLIENT_ID", "ARM_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with AzureHttp(tmp_path, market()) as running:
        for name, value in running.env().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def ask(azure: AzureHttp) -> Ask:
    """Asks for everything about one A100 size in eastus; keywords change what is wanted."""

    def asked(patience: Patience = QUICK, **changes: object) -> Survey:
        values: dict[str, object] = {
            "region": "eastus",
            "subscription": SUBSCRIPTION,
            "sizes": frozenset({A100}),
            "disks": frozenset({"P10"}),
            **changes,
        }
        return survey(Wanted(**values), patience)  # type: ignore[arg-type]

    return asked
