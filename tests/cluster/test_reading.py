"""The client's edge: what the API server refuses, what ends a watch, and what stays on disk."""

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config
from live_workspace import LiveWorkspace

from kaito_components.live.cluster import Cluster, Query, Refused, Unreachable, Watches
from kaito_components.live.cluster.client import Expired
from kaito_components.live.waiting import NotReady, wait
from kaito_components.nodes.existing import ExistingNodesProvider
from local_cloud.instance import Instance

NODES = Query("/api/v1/nodes", "Node")


def kubeconfig_with(cloud: Instance, user: dict[str, Any], **cluster: Any) -> str:
    """The instance's kubeconfig with another user."""
    content = json.loads(cloud.kubeconfig.read_text())
    content["users"][0]["user"] = user
    content["clusters"][0]["cluster"] = {**content["clusters"][0]["cluster"], **cluster}
    return json.dumps(content)


@pytest.fixture
def reader(cloud: Instance) -> Iterator[Cluster]:
    cluster = Cluster.from_text(cloud.kubeconfig.read_text())
    yield cluster
    cluster.close()


@pytest.fixture
def stranger(cloud: Instance, namespace: str) -> str:
    """The kubeconfig of a service account that may do nothing."""
    with config.new_client_from_config(str(cloud.kubeconfig)) as api:
        core = client.CoreV1Api(api)
        core.create_namespaced_service_account(namespace, {"metadata": {"name": "stranger"}})
        token = core.create_namespaced_service_account_token("stranger", namespace, {"spec": {}}).status.token
    return kubeconfig_with(cloud, {"token": token})


def test_credentials_that_are_not_accepted_are_said_without_them(cloud: Instance) -> None:
    with pytest.raises(Expired, match="does not accept the kubeconfig's credentials") as error:
        Cluster.from_text(kubeconfig_with(cloud, {"token": "s3cr3t"})).get(NODES)
    assert "s3cr3t" not in str(error.value)


def test_a_missing_permission_names_what_is_needed(stranger: str) -> None:
    with pytest.raises(Refused, match=r'cannot list resource "nodes".* needs to get, list and watch'):
        Cluster.from_text(stranger).get(NODES)


def test_a_wait_without_permission_fails_at_once_and_not_at_its_deadline(
    cloud: Instance, namespace: str, stranger: str
) -> None:
    workspace, cluster, started = LiveWorkspace(cloud, namespace), Cluster.from_text(stranger), time.monotonic()
    with pytest.raises(NotReady, match="cannot list resource"):
        wait(cluster, workspace.goal, 60, print)
    assert time.monotonic() - started < 8
    workspace.api.close()


def test_a_server_with_another_authority_is_not_trusted(cloud: Instance) -> None:
    content = json.loads(cloud.kubeconfig.read_text())
    del content["clusters"][0]["cluster"]["certificate-authority-data"]
    with pytest.raises(Refused, match="no trust between us: certificate verify failed"):
        Cluster.from_text(json.dumps(content)).get(NODES)


def test_a_server_that_is_not_there_does_not_answer(cloud: Instance) -> None:
    text = kubeconfig_with(cloud, {}, server="https://127.0.0.1:1")
    with pytest.raises(Unreachable, match=r"https://127.0.0.1:1 does not answer: Connection refused"):
        Cluster.from_text(text).get(NODES)


def test_no_key_stays_on_disk(cloud: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    clusters = [Cluster.from_text(cloud.kubeconfig.read_text()) for _ in range(2)]
    assert list(tmp_path.iterdir()) == []
    assert all(cluster.get(NODES).version for cluster in clusters)


def test_the_threads_of_a_watch_end_with_it(reader: Cluster) -> None:
    before = set(threading.enumerate())
    with Watches(reader, {"nodes": NODES}) as watches:
        while not watches.is_complete:
            watches.wait(5)
        (own,) = set(threading.enumerate()) - before
        assert own.is_alive()
    own.join(5)
    assert not own.is_alive()


def test_a_change_is_seen_at_once(reader: Cluster, cloud: Instance, namespace: str) -> None:
    maps = Query(f"/api/v1/namespaces/{namespace}/configmaps", "ConfigMap", fields="metadata.name=seen")
    with Watches(reader, {"maps": maps}) as watches, config.new_client_from_config(str(cloud.kubeconfig)) as api:
        while not watches.is_complete:
            watches.wait(5)
        client.CoreV1Api(api).create_namespaced_config_map(namespace, {"metadata": {"name": "seen"}})
        made = time.monotonic()
        while not watches.objects("maps"):
            assert watches.wait(5)
        assert time.monotonic() - made < 0.5


def nodes_wanted(cloud: Instance, workspace: LiveWorkspace, gpus: float) -> dict[str, Any]:
    wanted = {"node_selector": {"apps": workspace.name}, "expected_nodes": 1.0, "gpus_per_node": gpus}
    return {**wanted, "kubeconfig": cloud.kubeconfig.read_text(), "context": None}


def test_existing_nodes_are_found_and_named(cloud: Instance, namespace: str) -> None:
    workspace, provider = LiveWorkspace(cloud, namespace), ExistingNodesProvider()
    node = workspace.add_node()
    while failures := provider.check({}, nodes_wanted(cloud, workspace, 2.0)).failures:
        assert "not Ready" in failures[0].reason
    assert provider.create(nodes_wanted(cloud, workspace, 2.0)).outs["node_names"] == [node]
    (failure,) = provider.check({}, nodes_wanted(cloud, workspace, 4.0)).failures
    assert f"4 GPUs each; found 1: {node} (2 GPUs allocatable)" in failure.reason
    workspace.remove()
