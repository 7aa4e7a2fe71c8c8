"""An Azure for each test: with rules alone, with a plugin process, or with nodes in the shared local cloud."""

import shutil
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from azure_cloud import SYSTEM, Azure, Plugin, started_plugin

from local_cloud.instance import Instance
from local_cloud.providers.azure_native import seed, unseed
from local_cloud.providers.azure_native.ids import SUBSCRIPTION, ResourceId


def without_kubernetes(folder: Path) -> Azure:
    made = Azure(folder, "test")
    made.arm.configure(operationSeconds=0)
    made.arm.put(str(ResourceId(SUBSCRIPTION, "test")), {"location": "East US"})
    made.arm.put(made.cluster_id, {"location": "eastus", "properties": {"agentPoolProfiles": [SYSTEM]}})
    made.arm.wait(made.cluster_id)
    return made


@pytest.fixture
def azure(tmp_path: Path) -> Azure:
    """A cluster without a Kubernetes behind it; operations on it end at once."""
    return without_kubernetes(tmp_path)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    """A plugin process for tests that change nothing in Azure."""
    with started_plugin(without_kubernetes(tmp_path_factory.mktemp("azure"))) as started:
        yield started


def cluster_of_its_own(folder: Path) -> Iterator[Azure]:
    made = Azure(folder, f"t{uuid.uuid4().hex[:10]}")
    made.arm.configure(operationSeconds=0, retrySeconds=0.01)
    seed(folder, made.name, "eastus")
    yield made
    unseed(folder, made.name)


@pytest.fixture
def kubernetes_azure(cloud: Instance, tmp_path: Path) -> Iterator[Azure]:
    """A cluster whose nodes are in the shared local cloud, in an Azure of the test's own."""
    shutil.copy(cloud.kubeconfig, tmp_path / "kubeconfig")
    yield from cluster_of_its_own(tmp_path)


@pytest.fixture(scope="module")
def writer(cloud: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    """The process behind `plugin`: starting one takes longer than most tests."""
    folder = tmp_path_factory.mktemp("azure")
    shutil.copy(cloud.kubeconfig, folder / "kubeconfig")
    with started_plugin(Azure(folder, "")) as started:
        yield started


@pytest.fixture
def plugin(writer: Plugin) -> Iterator[Plugin]:
    """A configured plugin process and a cluster of the test's own."""
    for azure in cluster_of_its_own(writer.azure.folder):
        yield replace(writer, azure=azure)
