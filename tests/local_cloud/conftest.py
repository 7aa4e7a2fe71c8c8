"""A simulated node for a test."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from local_cloud.instance import Instance
from local_cloud.nodes import apply_node, delete_node, node_manifest

CLUSTER = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/group"
    "/providers/Microsoft.ContainerService/managedClusters/cluster"
)


@pytest.fixture
def manifest() -> dict[str, Any]:
    """A node with two GPUs that repels pods without a toleration of `sku`."""
    name = f"aks-{uuid.uuid4().hex[:10]}-12345678-vmss000000"
    taints = [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}]
    labels = {"apps": "test"}
    return node_manifest(name, "gpu", CLUSTER, "Standard_NC12s_v3", 12, 224 * 2**30, 2, "eastus", labels, taints)


@pytest.fixture
def node(cloud: Instance, manifest: dict[str, Any]) -> Iterator[str]:
    """The name of that node in the shared cloud."""
    name = manifest["metadata"]["name"]
    apply_node(cloud.kubeconfig, manifest)
    yield name
    delete_node(cloud.kubeconfig, name)
