"""Simulated nodes as AKS makes them. Called by the Azure stand-in for each instance of an agent pool, and by tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FIELD_MANAGER = "local-cloud"
MAX_PODS = 110  # AKS's own default is 30 or 250 by network plugin; kubelet's is this
SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000000"
RESERVED_MILLICPU = 180  # what AKS keeps for the system on a GPU size, about
RESERVED_MEMORY_SHARE = 0.06


def node_manifest(
    name: str,
    pool: str,
    cluster_id: str,
    vm_size: str,
    cpus: int,
    memory_bytes: int,
    gpus: int,
    region: str,
    labels: Mapping[str, str],
    taints: Sequence[Mapping[str, str]],
    zone: str | None = None,
) -> dict[str, Any]:
    """The Node of one VM of an agent pool.

    Args:
        cluster_id: ARM id of the managed cluster.
        memory_bytes: of the VM; what pods may use is less.
        labels: the pool's `nodeLabels`.
        taints: dicts with key, value, effect.
        zone: number of the availability zone, as in the pool's `availabilityZones`.
    """
    parts = cluster_id.split("/")
    resource_group, cluster = parts[parts.index("resourceGroups") + 1], parts[-1]
    node_group = f"MC_{resource_group}_{cluster}_{region}"
    scale_set, number = name[:-6], int(name[-6:], 36)
    extended = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    capacity = {"cpu": str(cpus), "memory": f"{memory_bytes // 1024}Ki", "pods": str(MAX_PODS), **extended}
    usable_kib = int(memory_bytes * (1 - RESERVED_MEMORY_SHARE)) // 1024
    allocatable = {**capacity, "cpu": f"{cpus * 1000 - RESERVED_MILLICPU}m", "memory": f"{usable_kib}Ki"}
    own_labels = {
        "agentpool": pool,
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.azure.com/agentpool": pool,
        "kubernetes.azure.com/cluster": node_group,
        "kubernetes.azure.com/mode": "user",
        "kubernetes.azure.com/role": "agent",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/role": "agent",
        "node.kubernetes.io/instance-type": vm_size,
        "topology.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": f"{region}-{zone}" if zone else "0",
        **({"accelerator": "nvidia", "kubernetes.azure.com/accelerator": "nvidia"} if gpus else {}),
    }
    machine = f"{SUBSCRIPTION}/resourceGroups/{node_group}/providers/Microsoft.Compute/virtualMachineScaleSets"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {**own_labels, **labels},
            "annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
        },
        "spec": {
            "providerID": f"azure://{machine}/{scale_set}/virtualMachines/{number}",
            "taints": [dict(taint) for taint in taints],
        },
        "status": {"capacity": capacity, "allocatable": allocatable},
    }


def core_api(kubeconfig: Path | str) -> Any:
    """The Kubernetes client for core objects."""
    from kubernetes import client, config

    return client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))


def apply_node(kubeconfig: Path | str, manifest: Mapping[str, Any]) -> None:
    """Creates the node, or brings its labels, taints and capacity to what the manifest says."""
    api = core_api(kubeconfig)
    body = dict(manifest)
    options = {"field_manager": FIELD_MANAGER, "force": True, "_content_type": "application/apply-patch+yaml"}
    api.patch_node(manifest["metadata"]["name"], body, **options)
    api.patch_node_status(manifest["metadata"]["name"], body, **options)


def delete_node(kubeconfig: Path | str, name: str) -> None:
    """Deletes the node, as the cloud's node lifecycle controller does when a VM is gone; absent is fine."""
    from kubernetes.client import ApiException

    try:
        core_api(kubeconfig).delete_node(name)
    except ApiException as error:
        if error.status != 404:
            raise
