"""A simulated node for a test."""

import uuid
from collections.abc import Iterator

import pytest

from local_cloud.instance import Instance
from local_cloud.nodes import apply_node, delete_node, node_manifest

CLUSTER = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/group"
    "/providers/Microsoft.ContainerService/managedClusters/cluster"
)


@pytest.fixture
def node(cloud: Instance) -> Iterator[str]:
    """The name of a node with two GPUs; only pods that select it by kubernetes.io/hostname go there."""
    name = f"aks-{uuid.uuid4().hex[:10]}-12345678-vmss000000"
    taints = [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}]
    manifest = node_manifest(
        name, "gpu", CLUSTER, "Standard_NC12s_v3", 12, 224 * 2**30, 2, "eastus", {"apps": "test"}, taints
    )
    apply_node(cloud.kubeconfig, manifest)
    yield name
    delete_node(cloud.kubeconfig, name)
