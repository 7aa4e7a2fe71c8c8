"""Simulated nodes as AKS makes them. Called by the Azure stand-in for each instance of an agent pool, and by tests."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from local_cloud.providers.kubernetes.client import APPLY, ApiError, Cluster

FIELD_MANAGER = "local-cloud"
MERGE = "application/merge-patch+json"
MAX_PODS = 110
SUFFIX = len("000000")  # the instance number that ends the name of a scale set's machine
RESERVED_MILLICPU = 180
RESERVED_MEMORY_SHARE = 0.06  # what AKS keeps for kubelet and system on a large VM, about
SYSTEM_TAINTS = "node.kubernetes.io/"
SECONDS_TO_DRAIN = 10.0


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
        name: ends with the six characters that number the machine in its scale set.
        cluster_id: ARM id of the managed cluster.
        memory_bytes: of the VM; what pods may use is less.
        labels: the pool's `nodeLabels`.
        taints: dicts with key, value, effect.
        zone: number of the availability zone, as in the pool's `availabilityZones`.
    """
    _, _, subscription, _, resource_group, *_, cluster = cluster_id.split("/")
    node_group = f"MC_{resource_group}_{cluster}_{region}"
    provider_id = (
        f"azure:///subscriptions/{subscription}/resourceGroups/{node_group}/providers/Microsoft.Compute"
        f"/virtualMachineScaleSets/{name[:-SUFFIX]}/virtualMachines/{int(name[-SUFFIX:], 36)}"
    )
    spec: dict[str, Any] = {"providerID": provider_id}
    if taints:
        spec["taints"] = [dict(taint) for taint in taints]
    zone_label = f"{region}-{zone}" if zone else "0"
    own_labels = _labels(name, pool, node_group, vm_size, gpus, region, zone_label)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {**own_labels, **labels},
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "spec": spec,
        "status": _resources(cpus, memory_bytes, gpus),
    }


def _labels(name: str, pool: str, node_group: str, vm_size: str, gpus: int, region: str, zone: str) -> dict[str, str]:
    accelerator = {"accelerator": "nvidia", "kubernetes.azure.com/accelerator": "nvidia"} if gpus else {}
    return {
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
        "node.kubernetes.io/instance-type": vm_size,
        "topology.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": zone,
        **accelerator,
    }


def _resources(cpus: int, memory_bytes: int, gpus: int) -> dict[str, dict[str, str]]:
    extended = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    capacity = {"cpu": str(cpus), "memory": f"{memory_bytes // 1024}Ki", "pods": str(MAX_PODS), **extended}
    usable_kib = int(memory_bytes * (1 - RESERVED_MEMORY_SHARE)) // 1024
    allocatable = {**capacity, "cpu": f"{cpus * 1000 - RESERVED_MILLICPU}m", "memory": f"{usable_kib}Ki"}
    return {"capacity": capacity, "allocatable": allocatable}


@contextmanager
def core_api(kubeconfig: Path | str) -> Iterator[Any]:
    """The official client for core objects, which takes a second to import; its connections are closed at the end."""
    from kubernetes import client, config

    with config.new_client_from_config(str(kubeconfig)) as connection:
        yield client.CoreV1Api(connection)


def apply_node(kubeconfig: Path | str, manifest: Mapping[str, Any]) -> None:
    """Creates the node, or brings its labels, taints and capacity to what the manifest says."""
    asked = {"fieldManager": FIELD_MANAGER, "force": "true"}
    with closing(Cluster(str(kubeconfig))) as api:
        path = _path(manifest["metadata"]["name"])
        api.call("PATCH", path, _with_system_taints(api, path, manifest), APPLY, **asked)
        api.call("PATCH", f"{path}/status", dict(manifest), APPLY, **asked)


def conditions(kubeconfig: Path | str, name: str) -> list[dict[str, Any]]:
    """What the node's kubelet says of it."""
    with closing(Cluster(str(kubeconfig))) as api:
        return list(api.call("GET", _path(name))["status"].get("conditions") or [])


def _path(name: str) -> str:
    return f"/api/v1/nodes/{name}"


def _with_system_taints(api: Cluster, path: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with the taints that Kubernetes itself has put there: the list is one field with one owner."""
    with suppress(ApiError):
        existing = api.call("GET", path)["spec"].get("taints") or []
        system = [taint for taint in existing if taint["key"].startswith(SYSTEM_TAINTS)]
        taints = [*manifest["spec"].get("taints", []), *system]
        return {**manifest, "spec": {**manifest["spec"], "taints": taints}}
    return dict(manifest)


def delete_node(kubeconfig: Path | str, name: str, seconds_to_drain: float = SECONDS_TO_DRAIN) -> None:
    """Drains the node and deletes it, as deleting a VM of a pool does; absent is fine."""
    with closing(Cluster(str(kubeconfig))) as api:
        try:
            api.call("PATCH", _path(name), {"spec": {"unschedulable": True}}, MERGE)
            _drain(api, name, seconds_to_drain)
            api.call("DELETE", _path(name))
            for pod in _pods(api, name):  # nobody else ends them now
                _delete(api, pod, gracePeriodSeconds="0")
        except ApiError as refused:
            if refused.code != 404:
                raise


def _drain(api: Cluster, name: str, seconds: float) -> None:
    """Lets pods end, but for those of DaemonSets, which come again as long as the node is there."""
    deadline = time.monotonic() + seconds
    while pods := [pod for pod in _pods(api, name) if not _is_of_daemon_set(pod)]:
        for pod in pods:
            if "deletionTimestamp" not in pod["metadata"]:
                _delete(api, pod)
        if time.monotonic() > deadline:
            return
        time.sleep(0.2)


def _pods(api: Cluster, name: str) -> list[dict[str, Any]]:
    return list(api.call("GET", "/api/v1/pods", fieldSelector=f"spec.nodeName={name}")["items"])


def _is_of_daemon_set(pod: Mapping[str, Any]) -> bool:
    return any(owner["kind"] == "DaemonSet" for owner in pod["metadata"].get("ownerReferences") or [])


def _delete(api: Cluster, pod: Mapping[str, Any], **options: str) -> None:
    metadata = pod["metadata"]
    with suppress(ApiError):
        api.call("DELETE", f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}", **options)
