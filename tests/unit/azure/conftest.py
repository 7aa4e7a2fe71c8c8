"""Questions to the Azure of the tests."""

from collections.abc import Callable

import pytest

from kaito_components.azure.patience import Patience
from kaito_components.azure.survey import Survey, Wanted, survey
from local_cloud.azure_http import AzureHttp
from local_cloud.providers.azure_native.ids import SUBSCRIPTION
from tests.azure_market import A100

QUICK = Patience(tries=3, connect_seconds=2, read_seconds=2, backoff_seconds=0.01, wait_seconds=3)
Ask = Callable[..., Survey]


@pytest.fixture
def ask(azure_http: AzureHttp) -> Ask:
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
