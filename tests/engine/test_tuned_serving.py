"""A tuning Workspace serves what it tuned: the Job's own ServiceAccount gives the server its pod."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from local_cloud.instance import Instance
from local_cloud.nodes import core_api
from local_cloud.providers.azure_native.ids import SUBSCRIPTION, ResourceId
from local_cloud.stack import PROJECT, Stack
from tests.engine.conftest import Azure
from tests.engine.test_lifecycle import change
from tests.engine.workspaces import tuning
from tuning_image.errors import UserError
from tuning_image.output import handover

MakeStack = Callable[..., Stack]


@pytest.fixture
def job(cloud: Instance, namespace: str, tmp_path: Path) -> Callable[[], handover.Api]:
    """The API server as the Job `tune` sees it, with the rights of its ServiceAccount."""

    def enter() -> handover.Api:
        with config.new_client_from_config(str(cloud.kubeconfig)) as connection:
            core = client.CoreV1Api(connection)
            asked = {"spec": {"audiences": [], "expirationSeconds": 3600}}
            token = core.create_namespaced_service_account_token("tune-scaler", namespace, asked).status.token
            server = connection.configuration.host
            authority = Path(connection.configuration.ssl_ca_cert).read_bytes()
        (tmp_path / "token").write_text(token)
        (tmp_path / "ca.crt").write_bytes(authority)
        return handover.Api(server, tmp_path)

    return enter


def status(cloud: Instance, namespace: str) -> dict[str, Any]:
    """The row of `kaito status`."""
    command = [str(PROJECT / ".venv/bin/python"), "-m", "kaito_components.cli", "status", "-n", namespace]
    options = ["--kubeconfig", str(cloud.kubeconfig), "--format", "json"]
    (row,) = json.loads(subprocess.check_output([*command, *options], text=True, timeout=60))
    return {key: row.get(key) for key in ("jobStarted", "inferenceReady", "workspaceReady")}


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def server(cloud: Instance, namespace: str) -> Any:
    """What the server's Deployment asks for: replicas, pod template and the rest."""
    with config.new_client_from_config(str(cloud.kubeconfig)) as connection:
        (found,) = client.AppsV1Api(connection).list_namespaced_deployment(namespace).items
        return found.spec


def server_pods(cloud: Instance, namespace: str) -> set[str]:
    """The names of the server's pods that are Ready and stay."""
    with core_api(cloud.kubeconfig) as api:
        found = api.list_namespaced_pod(namespace, label_selector="pulumi.kaito.sh/part=serving").items
    conditions = {
        one.metadata.name: one.status.conditions or [] for one in found if not one.metadata.deletion_timestamp
    }
    return {name for name, all_ in conditions.items() if any(c.type == "Ready" and c.status == "True" for c in all_)}


def test_the_server_comes_up_after_the_job_stays_through_updates_and_takes_the_next_adapter(
    make_stack: MakeStack, cloud: Instance, namespace: str, job: Callable[[], handover.Api]
) -> None:
    stack = make_stack(tuning())
    stack.up()
    assert not server_pods(cloud, namespace)
    handover.check(f"{namespace}/tune", job())
    handover.serve(f"{namespace}/tune", job())
    until(lambda: status(cloud, namespace) == dict.fromkeys(("jobStarted", "inferenceReady", "workspaceReady"), True))
    (first,) = server_pods(cloud, namespace)
    assert stack.preview("--expect-no-changes").ops == {}
    change(stack, 0, lambda one: one["tuning"]["input"].update(urls=["https://example.com/other.parquet"]))
    before = server(cloud, namespace)
    assert stack.up().ops == {"tune-job": "replace", "tune-ready": "update"}
    assert server(cloud, namespace) == before and before.replicas == 1  # waits for the GPU with the old adapter
    change(stack, 0, lambda one: one["metadata"].update(annotations={"pulumi.kaito.sh/api-key-secret": "key"}))
    assert stack.up().ops == {"tune-deployment": "update", "tune-ready": "update"}
    until(lambda: len(server_pods(cloud, namespace)) == 1)  # rolled with the key, and not scaled back to nothing
    handover.serve(f"{namespace}/tune", job())
    until(lambda: len(server_pods(cloud, namespace)) == 1)
    assert server_pods(cloud, namespace) != {first}
    stack.destroy()
    assert stack.resources().total() == 0


def test_where_the_pool_may_grow_the_old_adapter_serves_on_while_the_next_job_runs(
    make_stack: MakeStack, cloud: Instance, azure: Azure, namespace: str, job: Callable[[], handover.Api]
) -> None:
    stack = make_stack(tuning(), nodes={"minCount": 1, "maxCount": 2})
    stack.up()
    handover.serve(f"{namespace}/tune", job())
    until(lambda: len(server_pods(cloud, namespace)) == 1)
    first = server_pods(cloud, namespace)
    change(stack, 0, lambda one: one["tuning"]["input"].update(urls=["https://example.com/second.parquet"]))
    second = stack.start_up()
    until(lambda: waits_for_a_node(cloud, namespace))
    grow(azure)
    said, _ = second.communicate(timeout=120)
    assert second.returncode == 0, said
    assert server_pods(cloud, namespace) == first
    handover.serve(f"{namespace}/tune", job())
    until(lambda: len(server_pods(cloud, namespace) - first) == 1)


def waits_for_a_node(cloud: Instance, namespace: str) -> bool:
    """Whether the Job has a pod, and the scheduler finds no place for it."""
    with core_api(cloud.kubeconfig) as api:
        found = api.list_namespaced_pod(namespace, label_selector="batch.kubernetes.io/job-name=tune").items
    return any(c.type == "PodScheduled" and c.status == "False" for one in found for c in one.status.conditions or [])


def grow(azure: Azure) -> None:
    """What AKS's autoscaler does for such a pod."""
    (pool,) = azure.pools
    id = str(ResourceId(SUBSCRIPTION, azure.name, azure.name, pool))
    kept = ("nodeLabels", "nodeTaints", "enableAutoScaling", "minCount", "maxCount")
    properties = azure.arm.pools(azure.name, azure.name)[pool]
    azure.arm.put(id, {"properties": {**{name: properties[name] for name in kept}, "count": 2}})
    azure.arm.wait(id)
    azure.arm.converge()


def test_the_job_may_scale_no_other_deployment(
    make_stack: MakeStack, namespace: str, job: Callable[[], handover.Api]
) -> None:
    make_stack(tuning()).up()
    with pytest.raises(UserError, match='cannot get resource "deployments/scale"'):
        handover.serve(f"{namespace}/other", job())


def test_up_may_wait_until_the_tuned_model_answers(
    make_stack: MakeStack, cloud: Instance, namespace: str, job: Callable[[], handover.Api]
) -> None:
    stack = make_stack(tuning())
    (path,) = stack.config["kaito:workspaces"]
    stack.config["kaito:workspaces"] = [{"file": path, "wait": {"until": "ready"}}]
    running = stack.start_up()
    until(lambda: exists(cloud, namespace))
    handover.serve(f"{namespace}/tune", job())
    said, _ = running.communicate(timeout=120)
    assert running.returncode == 0, said
    row = stack.outputs()[f"{namespace}/tune"]["status"]
    assert row["jobStarted"] and row["inferenceReady"] and row["workspaceReady"]


def exists(cloud: Instance, namespace: str) -> bool:
    with config.new_client_from_config(str(cloud.kubeconfig)) as connection:
        return bool(client.AppsV1Api(connection).list_namespaced_deployment(namespace).items)
