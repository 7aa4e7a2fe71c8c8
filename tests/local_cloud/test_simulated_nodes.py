"""Pods and Jobs on simulated nodes, healthy and with each fault, as the API server shows them."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from kubernetes import client

from local_cloud.instance import Instance
from local_cloud.nodes import apply_node, core_api, delete_node

Object = dict[str, Any]
SECONDS = 30.0


@dataclass
class Pods:
    """Makes pods on one node and looks at them as plain dicts."""

    core: Any
    namespace: str
    node: str

    def spec(self, init: bool, restart: str) -> Object:
        spec: Object = {
            "nodeSelector": {"kubernetes.io/hostname": self.node},
            "tolerations": [{"key": "sku", "operator": "Exists"}],
            "restartPolicy": restart,
            "containers": [{"name": "main", "image": "example.com/model:1"}],
        }
        if init:
            spec["initContainers"] = [{"name": "download", "image": "example.com/download:1"}]
        return spec

    def start(self, fault: str = "", init: bool = False, restart: str = "Always", by: str = "labels") -> str:
        """Makes a pod, armed with a fault by label or annotation, and returns its name."""
        metadata = {"generateName": "pod-", by: {"local-cloud/fault": fault} if fault else {}}
        body = {"metadata": metadata, "spec": self.spec(init, restart)}
        return str(self.core.create_namespaced_pod(self.namespace, body).metadata.name)

    def start_job(self, annotations: dict[str, str] | None = None, fault: str = "") -> str:
        """Makes a Job of one attempt and returns its name."""
        metadata = {"annotations": annotations or {}, "labels": {"local-cloud/fault": fault} if fault else {}}
        template = {"metadata": metadata, "spec": self.spec(False, "Never")}
        body = {"metadata": {"generateName": "job-"}, "spec": {"backoffLimit": 0, "template": template}}
        return str(self.batch.create_namespaced_job(self.namespace, body).metadata.name)

    @property
    def batch(self) -> Any:
        return client.BatchV1Api(self.core.api_client)

    def plain(self, found: Any) -> Object:
        return dict(self.core.api_client.sanitize_for_serialization(found))

    def taints(self) -> set[str]:
        """The keys of the node's taints."""
        return {taint.key for taint in self.core.read_node(self.node).spec.taints or []}

    def status(self, pod: str) -> Object:
        return dict(self.plain(self.core.read_namespaced_pod(pod, self.namespace))["status"])

    def job(self, name: str) -> Object:
        return dict(self.plain(self.batch.read_namespaced_job(name, self.namespace))["status"])

    def when(self, pod: str, condition: Callable[[Object], Any]) -> Object:
        """The pod's status once it fulfils the condition."""
        return until(lambda: self.status(pod), condition)

    def events(self, pod: str) -> list[tuple[str, str]]:
        """Type and reason of the pod's events."""
        found = self.core.list_namespaced_event(self.namespace, field_selector=f"involvedObject.name={pod}")
        return [(event.type, event.reason) for event in found.items]


def until(look: Callable[[], Object], condition: Callable[[Object], Any]) -> Object:
    deadline = time.monotonic() + SECONDS
    while not condition(seen := look()):
        assert time.monotonic() < deadline, f"not within {SECONDS:.0f} s: {seen}"
        time.sleep(0.1)
    return seen


def conditions(status: Object) -> dict[str, str]:
    return {condition["type"]: condition["status"] for condition in status.get("conditions", [])}


def is_ready(status: Object) -> bool:
    return conditions(status).get("Ready") == "True"


def waits_for(reason: str, field: str = "containerStatuses") -> Callable[[Object], bool]:
    def check(status: Object) -> bool:
        return any(item["state"].get("waiting", {}).get("reason") == reason for item in status.get(field, []))

    return check


@pytest.fixture
def pods(cloud: Instance, namespace: str, node: str) -> Iterator[Pods]:
    with core_api(cloud.kubeconfig) as core:
        yield Pods(core, namespace, node)


def test_a_node_is_ready_with_the_labels_taints_and_gpus_of_aks(pods: Pods) -> None:
    node = until(lambda: pods.plain(pods.core.read_node(pods.node)), lambda node: is_ready(node["status"]))
    labels = node["metadata"]["labels"]
    assert labels["kubernetes.azure.com/agentpool"] == labels["agentpool"] == "gpu"
    assert labels["node.kubernetes.io/instance-type"] == "Standard_NC12s_v3"
    assert labels["kubernetes.azure.com/cluster"] == "MC_group_cluster_eastus"
    assert labels["topology.kubernetes.io/region"] == "eastus"
    assert (labels["accelerator"], labels["apps"]) == ("nvidia", "test")
    assert node["status"]["capacity"]["nvidia.com/gpu"] == node["status"]["allocatable"]["nvidia.com/gpu"] == "2"
    assert {"key": "sku", "value": "gpu", "effect": "NoSchedule"} in node["spec"]["taints"]
    assert node["spec"]["providerID"].endswith(f"/virtualMachineScaleSets/{pods.node[:-6]}/virtualMachines/0")


def test_applying_a_node_again_keeps_the_taints_of_kubernetes(cloud: Instance, manifest: Object, pods: Pods) -> None:
    pods.core.patch_node(pods.node, {"spec": {"unschedulable": True}})
    until(lambda: {"taints": pods.taints()}, lambda seen: seen["taints"] == {"sku", "node.kubernetes.io/unschedulable"})
    del manifest["spec"]["taints"]
    manifest["metadata"]["labels"]["apps"] = "other"
    manifest["status"]["capacity"]["nvidia.com/gpu"] = "4"
    apply_node(cloud.kubeconfig, manifest)
    node = pods.plain(pods.core.read_node(pods.node))
    assert node["metadata"]["labels"]["apps"] == "other"
    assert pods.taints() == {"node.kubernetes.io/unschedulable"}
    assert node["status"]["capacity"]["nvidia.com/gpu"] == "4"


def test_deleting_a_node_takes_its_pods_along(cloud: Instance, pods: Pods) -> None:
    pods.when(pods.start(), is_ready)
    delete_node(cloud.kubeconfig, pods.node)
    assert pods.core.list_namespaced_pod(pods.namespace).items == []
    assert pods.node not in {node.metadata.name for node in pods.core.list_node().items}


def test_deleting_a_node_takes_the_pods_of_daemon_sets_along_which_come_again_as_long_as_it_is_there(
    cloud: Instance, pods: Pods
) -> None:
    template = {"metadata": {"labels": {"app": "plugin"}}, "spec": pods.spec(False, "Always")}
    spec = {"selector": {"matchLabels": {"app": "plugin"}}, "template": template}
    body = {"metadata": {"name": "plugin"}, "spec": spec}
    client.AppsV1Api(pods.core.api_client).create_namespaced_daemon_set(pods.namespace, body)
    until(lambda: pods.plain(pods.core.list_namespaced_pod(pods.namespace)), lambda found: found["items"])
    delete_node(cloud.kubeconfig, pods.node)
    until(lambda: pods.plain(pods.core.list_namespaced_pod(pods.namespace)), lambda found: not found["items"])


def test_deleting_a_node_that_is_gone_is_fine(cloud: Instance) -> None:
    delete_node(cloud.kubeconfig, "nobody")


def test_a_pod_becomes_ready_with_an_address(pods: Pods) -> None:
    status = pods.when(pods.start(), is_ready)
    assert status["phase"] == "Running"
    assert status["podIP"]
    assert status["containerStatuses"][0]["state"].keys() == {"running"}


def test_init_containers_end_before_the_containers_run(pods: Pods) -> None:
    status = pods.when(pods.start(init=True), is_ready)
    download = status["initContainerStatuses"][0]["state"]["terminated"]
    assert download["reason"] == "Completed"
    assert download["finishedAt"] <= status["containerStatuses"][0]["state"]["running"]["startedAt"]


def test_a_deleted_pod_is_gone_within_seconds(pods: Pods) -> None:
    pod = pods.start()
    pods.when(pod, is_ready)
    pods.core.delete_namespaced_pod(pod, pods.namespace)
    until(lambda: {"left": len(pods.core.list_namespaced_pod(pods.namespace).items)}, lambda seen: seen["left"] == 0)


def test_a_pod_whose_image_never_pulls_can_be_deleted(pods: Pods) -> None:
    pod = pods.start("ImagePullBackOff")
    pods.when(pod, waits_for("ImagePullBackOff"))
    pods.core.delete_namespaced_pod(pod, pods.namespace)
    until(lambda: {"left": len(pods.core.list_namespaced_pod(pods.namespace).items)}, lambda seen: seen["left"] == 0)


def test_a_job_completes(pods: Pods) -> None:
    job = pods.start_job({"local-cloud/job-seconds": "1"})
    assert until(lambda: pods.job(job), lambda status: conditions(status).get("Complete") == "True")["succeeded"] == 1


def test_a_job_that_never_completes_keeps_running(pods: Pods) -> None:
    job = pods.start_job({"local-cloud/job-seconds": "never"})
    until(lambda: pods.job(job), lambda status: status.get("ready") == 1)
    time.sleep(4)  # longer than a Job runs by default
    assert pods.job(job)["active"] == 1


@pytest.mark.parametrize("by", ["labels", "annotations"])
def test_an_image_that_cannot_be_pulled(pods: Pods, by: str) -> None:
    pod = pods.start("ImagePullBackOff", by=by)
    pods.when(pod, waits_for("ErrImagePull"))
    status = pods.when(pod, waits_for("ImagePullBackOff"))
    assert status["phase"] == "Pending"
    message = status["containerStatuses"][0]["state"]["waiting"]["message"]
    assert message.startswith('Back-off pulling image "example.com/model:1": ErrImagePull: ')
    assert ("Warning", "Failed") in pods.events(pod)
    assert ("Normal", "BackOff") in pods.events(pod)


@pytest.mark.parametrize(
    ("fault", "reason", "code"), [("CrashLoopBackOff", "Error", 1), ("OOMKilled", "OOMKilled", 137)]
)
def test_a_container_that_crashes_again_and_again(pods: Pods, fault: str, reason: str, code: int) -> None:
    pod = pods.start(fault)
    pods.when(pod, lambda status: status.get("containerStatuses", [{}])[0].get("restartCount", 0) >= 2)
    status = pods.when(pod, waits_for("CrashLoopBackOff"))
    container = status["containerStatuses"][0]
    assert (container["lastState"]["terminated"]["reason"], container["lastState"]["terminated"]["exitCode"]) == (
        reason,
        code,
    )
    assert "restarting failed container=main" in container["state"]["waiting"]["message"]
    assert not is_ready(status)
    assert ("Warning", "BackOff") in pods.events(pod)


@pytest.mark.parametrize(("fault", "reason"), [("CrashLoopBackOff", "Error"), ("OOMKilled", "OOMKilled")])
def test_a_jobs_pod_that_ends_badly_fails_the_job(pods: Pods, fault: str, reason: str) -> None:
    job = pods.start_job(fault=fault)
    until(lambda: pods.job(job), lambda status: conditions(status).get("Failed") == "True")
    pod = pods.core.list_namespaced_pod(pods.namespace).items[0].metadata.name
    status = pods.status(pod)
    assert status["phase"] == "Failed"
    assert status["containerStatuses"][0]["state"]["terminated"]["reason"] == reason


def test_a_crashed_container_has_last_words(pods: Pods) -> None:
    pod = pods.start("CrashLoopBackOff")
    pods.when(pod, waits_for("CrashLoopBackOff"))
    words = pods.core.read_namespaced_pod_log(pod, pods.namespace, previous=True, tail_lines=2)
    assert "RuntimeError" in words
    assert len(words.splitlines()) == 2


def test_a_running_container_says_that_it_is_simulated(pods: Pods) -> None:
    pod = pods.start()
    pods.when(pod, is_ready)
    assert "simulated" in pods.core.read_namespaced_pod_log(pod, pods.namespace)


def test_a_pod_that_never_becomes_ready_runs(pods: Pods) -> None:
    pod = pods.start("NeverReady")
    pods.when(pod, lambda status: status["phase"] == "Running")
    until(lambda: {"events": pods.events(pod)}, lambda seen: ("Warning", "Unhealthy") in seen["events"])
    time.sleep(1)
    assert not is_ready(pods.status(pod))


def test_an_init_container_that_fails_again_and_again(pods: Pods) -> None:
    pod = pods.start("InitError", init=True)
    status = pods.when(pod, waits_for("CrashLoopBackOff", "initContainerStatuses"))
    assert status["initContainerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 1
    assert status["phase"] == "Pending"
    assert conditions(status)["Initialized"] == "False"


def test_an_init_container_that_fails_once_fails_a_pod_that_never_restarts(pods: Pods) -> None:
    status = pods.when(pods.start("InitError", init=True, restart="Never"), lambda seen: seen["phase"] == "Failed")
    assert status["initContainerStatuses"][0]["state"]["terminated"]["reason"] == "Error"


@pytest.mark.parametrize("fault", ["ImagePullBackOff", "CrashLoopBackOff", "NeverReady"])
def test_a_pod_recovers_when_its_fault_is_removed(pods: Pods, fault: str) -> None:
    pod = pods.start(fault)
    pods.when(pod, waits_for(fault) if fault != "NeverReady" else lambda status: status["phase"] == "Running")
    pods.core.patch_namespaced_pod(pod, pods.namespace, {"metadata": {"labels": {"local-cloud/fault": None}}})
    pods.when(pod, is_ready)


@pytest.mark.parametrize("fault", ["Typo", "InitError"])
def test_a_fault_that_cannot_be_is_an_event_and_the_pod_does_not_run(pods: Pods, fault: str) -> None:
    pod = pods.start(fault)
    until(lambda: {"events": pods.events(pod)}, lambda seen: ("Warning", "UnknownFault") in seen["events"])
    assert pods.status(pod)["phase"] == "Pending"


def test_a_node_fault_makes_the_node_not_ready_until_it_is_removed(pods: Pods) -> None:
    def look() -> Object:
        return dict(pods.plain(pods.core.read_node(pods.node))["status"])

    until(look, is_ready)
    pods.core.patch_node(pods.node, {"metadata": {"labels": {"local-cloud/fault": "NotReady"}}})
    status = until(look, lambda seen: not is_ready(seen))
    ready = next(condition for condition in status["conditions"] if condition["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "KubeletNotReady")
    pods.core.patch_node(pods.node, {"metadata": {"labels": {"local-cloud/fault": None}}})
    until(look, is_ready)


def test_a_deployment_rolls_and_its_service_has_endpoints(pods: Pods) -> None:
    apps = client.AppsV1Api(pods.core.api_client)
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": pods.spec(False, "Always")}
    body = {"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": labels}, "template": template}}
    apps.create_namespaced_deployment(pods.namespace, body)
    service = {"metadata": {"name": "web"}, "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 5000}]}}
    pods.core.create_namespaced_service(pods.namespace, service)
    slices = client.DiscoveryV1Api(pods.core.api_client)
    found = until(
        lambda: pods.plain(slices.list_namespaced_endpoint_slice(pods.namespace)),
        lambda seen: any(e["conditions"]["ready"] for s in seen["items"] for e in s.get("endpoints") or []),
    )
    assert found["items"][0]["ports"][0]["port"] == 5000
