"""Local clouds for tests: `cloud` is one for all, `own_cloud` one for a test that breaks it."""

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kaito_components.codes import codes
from kaito_components.errors import Finding
from local_cloud.azure_http import AzureHttp
from local_cloud.instance import Instance
from local_cloud.nodes import core_api
from local_cloud.shared import shared_instance
from tests.azure_market import market

CHECKOUT = hashlib.sha256(str(Path(__file__).parent).encode()).hexdigest()[:8]


@pytest.fixture(autouse=True, scope="session")
def every_finding_is_registered() -> Iterator[None]:
    """A finding with a code or a severity that `data/findings.csv` does not have cannot be made in a test."""
    make = Finding.__init__

    def checked(self: Finding, *args: Any, **values: Any) -> None:
        make(self, *args, **values)
        known = codes().get(self.code)
        assert known, f"{self.code} is not registered"
        weighed = {"info"} if self.accepted else {"error"} if "warning" in known.severities else set()
        assert self.severity in {*known.severities, *weighed}, f"{self.code} is not registered as {self.severity}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Finding, "__init__", checked)
        yield


@pytest.fixture(scope="session")
def cloud() -> Iterator[Instance]:
    """A running local cloud, shared by all tests, in all workers: leave it as you found it."""
    with shared_instance(f"test-{CHECKOUT}") as instance:
        yield instance


@pytest.fixture
def own_cloud() -> Iterator[Instance]:
    """A running local cloud of the test's own."""
    instance = Instance(f"test-{uuid.uuid4().hex[:12]}")
    try:
        instance.up()
        yield instance
    finally:
        instance.down()


@pytest.fixture
def namespace(cloud: Instance) -> Iterator[str]:
    """A new namespace of the shared cloud; its deletion goes on in the background."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    with core_api(cloud.kubeconfig) as api:
        api.create_namespace({"metadata": {"name": name}})
        yield name
        api.delete_namespace(name)


@pytest.fixture
def azure_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureHttp]:
    """What a preview asks Azure, with a login that it accepts; this machine's own login and cache are not used."""
    for name in ("ARM_TENANT_ID", "ARM_CLIENT_ID", "ARM_CLIENT_SECRET", "ARM_SUBSCRIPTION_ID", "AZURE_SUBSCRIPTION_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with AzureHttp(tmp_path, market()) as running:
        for name, value in running.env().items():
            monkeypatch.setenv(name, value)
        yield running
