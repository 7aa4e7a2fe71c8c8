"""Machines of agent pools as Nodes of a real API server.

Source of the labels: AKS's documentation, "Reserved system labels" (Use labels in an AKS cluster), and its pages on GPU
and spot node pools.
"""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from azure_cloud import GPU_SIZE, Azure

from local_cloud.instance import Instance
from local_cloud.nodes import core_api
from local_cloud.providers.azure_native import ClusterUnreachable, converge, seed


def nodes(azure: Azure, pool: str = "gpu") -> dict[str, Any]:
    """The pool's nodes, by the end of their names."""
    group = f"MC_{azure.name}_{azure.name}_eastus"
    selector = f"agentpool={pool},kubernetes.azure.com/cluster={group}"
    with core_api(azure.folder / "kubeconfig") as api:
        return {node.metadata.name[-6:]: node for node in api.list_node(label_selector=selector).items}


def put(azure: Azure, **properties: Any) -> None:
    azure.put(**properties)
    converge(azure.folder)


def test_a_machine_has_akss_labels_the_pools_own_its_taints_and_gpus(kubernetes_azure: Azure) -> None:
    put(kubernetes_azure, nodeLabels={"apps": "phi"}, nodeTaints=["sku=gpu:NoSchedule"], availabilityZones=["2"])
    [node] = nodes(kubernetes_azure).values()
    expected = {
        "apps": "phi", "agentpool": "gpu", "kubernetes.azure.com/agentpool": "gpu", "accelerator": "nvidia",
        "kubernetes.azure.com/mode": "user", "node.kubernetes.io/instance-type": GPU_SIZE,
        "topology.kubernetes.io/region": "eastus", "topology.kubernetes.io/zone": "eastus-2",
    }  # fmt: skip
    assert expected.items() <= node.metadata.labels.items()
    assert ("sku", "gpu", "NoSchedule") in {(taint.key, taint.value, taint.effect) for taint in node.spec.taints}
    assert node.status.capacity["nvidia.com/gpu"] == "1" and node.status.capacity["cpu"] == "24"
    assert node.metadata.name.startswith("aks-gpu-") and node.spec.provider_id.startswith("azure:///subscriptions/")


def test_a_system_machine_has_no_gpu(kubernetes_azure: Azure) -> None:
    [node] = nodes(kubernetes_azure, "system").values()
    assert node.metadata.labels["kubernetes.azure.com/mode"] == "system"
    assert "accelerator" not in node.metadata.labels and "nvidia.com/gpu" not in node.status.capacity


def test_machines_follow_the_count(kubernetes_azure: Azure) -> None:
    for count in (2, 3, 1, 0):
        put(kubernetes_azure, count=count)
        assert sorted(nodes(kubernetes_azure)) == [f"{number:06}" for number in range(count)]


def test_with_autoscaling_machines_start_at_the_count(kubernetes_azure: Azure) -> None:
    put(kubernetes_azure, count=2, enableAutoScaling=True, minCount=1, maxCount=5)
    assert len(nodes(kubernetes_azure)) == 2


def test_machines_follow_labels_and_taints(kubernetes_azure: Azure) -> None:
    put(kubernetes_azure, nodeLabels={"apps": "phi", "old": "x"}, nodeTaints=["sku=gpu:NoSchedule"])
    put(kubernetes_azure, nodeLabels={"apps": "llama"})
    [node] = nodes(kubernetes_azure).values()
    assert node.metadata.labels["apps"] == "llama" and "old" not in node.metadata.labels
    assert "sku" not in {taint.key for taint in node.spec.taints or []}


def test_spot_machines_are_labelled_and_tainted_by_aks(kubernetes_azure: Azure) -> None:
    put(kubernetes_azure, scaleSetPriority="Spot", spotMaxPrice=-1)
    [node] = nodes(kubernetes_azure).values()
    assert node.metadata.labels["kubernetes.azure.com/scalesetpriority"] == "spot"
    assert "kubernetes.azure.com/scalesetpriority" in {taint.key for taint in node.spec.taints}


def test_deleting_a_pool_takes_its_machines_and_their_pods(kubernetes_azure: Azure, namespace: str) -> None:
    put(kubernetes_azure)
    [name] = [node.metadata.name for node in nodes(kubernetes_azure).values()]
    pod = {"containers": [{"name": "main", "image": "none"}], "nodeName": name}
    with core_api(kubernetes_azure.folder / "kubeconfig") as api:
        api.create_namespaced_pod(namespace, {"metadata": {"name": "pod"}, "spec": pod})
        kubernetes_azure.arm.delete(kubernetes_azure.pool_id())
        kubernetes_azure.arm.wait(kubernetes_azure.pool_id())
        converge(kubernetes_azure.folder)
        assert nodes(kubernetes_azure) == {}
        end = time.monotonic() + 10
        while api.list_namespaced_pod(namespace).items:
            assert time.monotonic() < end, "the pod stayed"
            time.sleep(0.1)


def test_a_pool_that_could_not_be_allocated_has_no_machines_and_keeps_those_it_has(kubernetes_azure: Azure) -> None:
    kubernetes_azure.arm.inject("AllocationFailed", pool="gpu", operation="create", when="end")
    with pytest.raises(Exception, match="AllocationFailed"):
        put(kubernetes_azure)
    converge(kubernetes_azure.folder)
    assert nodes(kubernetes_azure) == {}
    put(kubernetes_azure)
    kubernetes_azure.arm.inject("AllocationFailed", pool="gpu", operation="update", when="end")
    with pytest.raises(Exception, match="AllocationFailed"):
        put(kubernetes_azure, count=2)
    converge(kubernetes_azure.folder)
    assert len(nodes(kubernetes_azure)) == 1


def test_whoever_looks_next_makes_the_machines_of_an_operation_that_nobody_waited_for(kubernetes_azure: Azure) -> None:
    kubernetes_azure.arm.inject(seconds=0.3, pool="gpu")
    kubernetes_azure.begin()
    converge(kubernetes_azure.folder)
    assert nodes(kubernetes_azure) == {}
    time.sleep(0.35)
    converge(kubernetes_azure.folder)
    assert len(nodes(kubernetes_azure)) == 1


def test_nodes_wait_for_an_api_server_that_does_not_answer(cloud: Instance, tmp_path: Path) -> None:
    text = cloud.kubeconfig.read_text()
    (tmp_path / "kubeconfig").write_text(re.sub(r"https://127.0.0.1:\d+", "https://127.0.0.1:1", text))
    with pytest.raises(ClusterUnreachable):
        seed(tmp_path, "away", "eastus")
    state = json.loads((tmp_path / "azure" / "state.json").read_text())
    assert state["machines"] == {} and len(state["resources"]) == 3
