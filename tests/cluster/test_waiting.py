"""Waiting for Workspaces: over as soon as they are ready, patient where it helps, and clear where it does not."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from kubernetes import client
from live_workspace import LiveWorkspace

from kaito_components.live.cluster import Cluster
from kaito_components.live.snapshot import Goal
from kaito_components.live.waiting import NotReady, Reached, is_reached, wait
from local_cloud.instance import Instance

MakeWorkspace = Callable[..., LiveWorkspace]


class Wait:
    """A wait and what it says."""

    def __init__(self, workspace: LiveWorkspace, **goal: Any) -> None:
        self.said: list[str] = []
        self.goal: Goal = replace(workspace.goal, **goal)
        self._kubeconfig = workspace.kubeconfig

    def run(self, seconds: float = 60) -> tuple[Reached, float]:
        """What was reached, and when."""
        cluster = Cluster.from_text(self._kubeconfig)
        try:
            return wait(cluster, self.goal, seconds, self.said.append), time.monotonic()
        finally:
            cluster.close()

    def failure(self, seconds: float = 60) -> str:
        """The message with which it fails."""
        with pytest.raises(NotReady) as error:
            self.run(seconds)
        return str(error.value)


def seen_ready(workspace: LiveWorkspace) -> float:
    """When a reader that asks all the time first sees a ready endpoint and an available Deployment."""
    slices = client.DiscoveryV1Api(workspace.api)
    while True:
        deployment = workspace.apps.read_namespaced_deployment(workspace.name, workspace.namespace)
        listed = slices.list_namespaced_endpoint_slice(
            workspace.namespace, label_selector=f"kubernetes.io/service-name={workspace.name}"
        ).items
        ready = [entry for one in listed for entry in one.endpoints or [] if entry.conditions.ready]
        if ready and deployment.status.available_replicas:
            return time.monotonic()
        time.sleep(0.05)


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_inference_is_ready_with_its_node_pod_and_endpoint(make_workspace: MakeWorkspace, kind: str) -> None:
    workspace = make_workspace(kind)
    workspace.add_node()
    workspace.make()
    reached, _ = Wait(workspace).run()
    assert reached.row.workspace_ready and reached.row.worker_nodes == tuple(workspace.nodes)
    assert len(reached.pods) == 1 and reached.pods[0].startswith(workspace.name)


def test_a_wait_is_over_within_a_second_of_the_condition(
    make_workspace: MakeWorkspace, background: ThreadPoolExecutor
) -> None:
    workspace = make_workspace()
    workspace.make()
    running = background.submit(Wait(workspace).run)
    time.sleep(2)  # the wait is under way when the node joins
    workspace.add_node()
    visible = seen_ready(workspace)
    _, over = running.result()
    assert over - visible < 1


def test_tuning_has_started_while_its_job_runs_and_completes_later(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace("Job")
    workspace.add_node()
    workspace.make()
    started, at = Wait(workspace, until="started").run()
    completed, later = Wait(workspace, until="completed").run()
    assert (started.row.job_started, started.row.workspace_ready, completed.row.workspace_ready) == (True, False, True)
    assert later - at > 1


def test_each_stage_is_told(make_workspace: MakeWorkspace, background: ThreadPoolExecutor) -> None:
    workspace = make_workspace()
    workspace.make()
    watched = Wait(workspace)
    running = background.submit(watched.run)
    time.sleep(1)
    workspace.add_node()
    running.result()
    assert watched.said[0].startswith(f"{workspace.name}: 0 of 1 nodes with apps={workspace.name} ready")
    assert any("0 of 1 pods ready" in line for line in watched.said)


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (
            "ImagePullBackOff",
            "Deployment",
            ["ImagePullError", '"example.com/model:1"', "the registry does not have it"],
        ),
        ("CrashLoopBackOff", "Deployment", ["ContainerCrashLoopBackOff", "exit code 1, 3 restarts", "| RuntimeError"]),
        ("OOMKilled", "StatefulSet", ["ContainerOOMKilled", "memory limit is 8Gi", "1 restart"]),
        (
            "InitError",
            "Deployment",
            ["init container download ended with exit code 1", "the end of the log of download"],
        ),
        ("InitError", "Job", ["JobFailed", "init container download ended with exit code 1"]),
        ("CrashLoopBackOff", "Job", ["JobFailed", "BackoffLimitExceeded", "exit code 1"]),
        ("OOMKilled", "Job", ["ContainerOOMKilled", "memory limit is 8Gi"]),
    ],
)
def test_what_will_not_pass_ends_the_wait_early(
    make_workspace: MakeWorkspace, fault: str, kind: str, said: list[str]
) -> None:
    workspace = make_workspace(kind)
    workspace.add_node()
    limits = {"nvidia.com/gpu": "2", "memory": "8Gi"}
    containers = [{"name": "main", "image": "example.com/model:1", "resources": {"limits": limits}}]
    init = {"initContainers": [{"name": "download", "image": "example.com/download:1"}]} if fault == "InitError" else {}
    workspace.make(fault, job={"backoffLimit": 0} if kind == "Job" else {}, containers=containers, **init)
    started = time.monotonic()
    message = Wait(workspace).failure(120)
    assert all(part in message for part in said), message
    assert message.startswith(f"Workspace {workspace.name} cannot become ready. {'Job' if kind == 'Job' else 'Pod'} ")
    assert time.monotonic() - started < 60


def test_a_model_that_is_never_ready_is_told_at_the_deadline(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace()
    workspace.add_node()
    workspace.make("NeverReady")
    message = Wait(workspace).failure(6)
    assert message.startswith(f"Workspace {workspace.name} is not ready after 6 s. It waited for: 0 of 1 pods ready")
    assert "Readiness probe failed: HTTP probe failed with statuscode: 503" in message


def test_a_node_that_is_not_ready_is_waited_for_and_named(
    make_workspace: MakeWorkspace, background: ThreadPoolExecutor
) -> None:
    workspace = make_workspace()
    node = workspace.add_node("NotReady")
    workspace.make()
    assert f"Node {node}: NodeNotReady: it is not Ready: KubeletNotReady" in Wait(workspace).failure(4)
    running = background.submit(Wait(workspace).run)
    workspace.heal_node(node)
    assert running.result()[0].row.resource_ready


def test_gpus_that_others_hold_are_told_with_the_schedulers_words(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace()
    node = workspace.add_node()
    taken = {"limits": {"nvidia.com/gpu": "2"}}
    spec = {"nodeName": node, "containers": [{"name": "other", "image": "example.com/other:1", "resources": taken}]}
    workspace.core.create_namespaced_pod(workspace.namespace, {"metadata": {"name": "other"}, "spec": spec})
    workspace.make()
    message = Wait(workspace).failure()
    assert (
        "Unschedulable" in message
        and "1 Insufficient nvidia.com/gpu" in message
        and "Other pods hold the GPUs" in message
    )


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_a_quota_that_is_used_up_is_told(make_workspace: MakeWorkspace, kind: str) -> None:
    workspace = make_workspace(kind)
    workspace.add_node()
    quota = {"metadata": {"name": "gpus"}, "spec": {"hard": {"requests.nvidia.com/gpu": "1"}}}
    workspace.core.create_namespaced_resource_quota(workspace.namespace, quota)
    time.sleep(1)  # until the quota is in force
    workspace.make()
    message = Wait(workspace).failure()
    assert "QuotaExceeded" in message and "exceeded quota: gpus" in message


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_a_pod_that_the_namespaces_standard_refuses_is_told(make_workspace: MakeWorkspace, kind: str) -> None:
    workspace = make_workspace(kind)
    enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
    workspace.core.patch_namespace(workspace.namespace, {"metadata": {"labels": enforced}})
    workspace.make()
    message = Wait(workspace).failure()
    assert "PodRefused" in message and 'violates PodSecurity "restricted' in message
    assert f"or the policy of namespace {workspace.namespace} that refuses it" in message


def test_a_change_waits_for_its_own_pods_whatever_the_old_ones_do(
    make_workspace: MakeWorkspace, background: ThreadPoolExecutor
) -> None:
    workspace = make_workspace()
    workspace.add_node(gpus=4)
    workspace.make("CrashLoopBackOff")
    Wait(workspace).failure()
    (old,) = (pod.metadata.name for pod in workspace.core.list_namespaced_pod(workspace.namespace).items)
    workspace.change(image="example.com/model:2")
    reached, _ = Wait(workspace).run()
    assert len(reached.pods) == 1 and old not in reached.pods


def test_a_workload_that_is_deleted_while_it_is_waited_for_is_told(
    make_workspace: MakeWorkspace, background: ThreadPoolExecutor
) -> None:
    workspace = make_workspace()
    workspace.make()
    running = background.submit(Wait(workspace).failure)
    time.sleep(1)
    workspace.apps.delete_namespaced_deployment(workspace.name, workspace.namespace)
    assert f"Deployment {workspace.namespace}/{workspace.name}: WorkloadMissing: it does not exist" in running.result()


def test_a_look_tells_whether_the_goal_is_still_reached(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace()
    node = workspace.add_node()
    workspace.make()
    Wait(workspace).run()
    cluster = Cluster.from_text(workspace.kubeconfig)
    assert is_reached(cluster, workspace.goal)
    workspace.core.patch_node(node, {"metadata": {"labels": {"apps": "somebody-else"}}})
    assert not is_reached(cluster, workspace.goal)
    cluster.close()


def test_an_api_server_that_restarts_does_not_end_the_wait(own_cloud: Instance, background: ThreadPoolExecutor) -> None:
    workspace = LiveWorkspace(own_cloud, "default")
    workspace.make()
    watched = Wait(workspace)
    running = background.submit(watched.run, 120)
    time.sleep(1)
    own_cloud.stop_api_server()
    time.sleep(3)
    own_cloud.start_api_server()
    workspace.add_node()
    assert running.result()[0].row.workspace_ready
    assert any("does not answer" in line and "trying again" in line for line in watched.said)
    workspace.api.close()
