"""What is ours is kept as declared; what is somebody else's is left alone."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes import client, config

from local_cloud.instance import Instance
from local_cloud.stack import Stack
from tests.engine.conftest import Azure
from tests.engine.workspaces import inference

MakeStack = Callable[..., Stack]


@pytest.fixture
def apps(cloud: Instance) -> Iterator[Any]:
    """The API group of Deployments, as another user of the cluster has it."""
    with config.new_client_from_config(str(cloud.kubeconfig)) as connection:
        yield client.AppsV1Api(connection)


def deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "r.example.com/theirs:1"}]}}
    return {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": labels}, "template": pod}}


def test_what_was_changed_by_hand_is_shown_by_refresh_and_put_back_by_up(
    make_stack: MakeStack, apps: Any, namespace: str
) -> None:
    stack = make_stack(inference())
    stack.up()
    image = [{"name": "inference", "image": "r.example.com/tampered:1"}]
    by_hand = {"spec": {"replicas": 0, "template": {"spec": {"containers": image}}}}
    apps.patch_namespaced_deployment("phi", namespace, by_hand, field_manager="kubectl-edit")
    drift = stack.refresh("--expect-no-changes", check=False)
    assert drift.code != 0 and "phi-deployment" in drift.text
    assert stack.up().ops["phi-deployment"] == "update"
    spec = apps.read_namespaced_deployment("phi", namespace).spec
    assert spec.replicas == 1 and "tampered" not in spec.template.spec.containers[0].image
    assert stack.preview("--expect-no-changes").ops == {}


def test_a_workload_of_somebody_else_fails_the_preview(make_stack: MakeStack, apps: Any, namespace: str) -> None:
    apps.create_namespaced_deployment(namespace, deployment("phi"), field_manager="helm")
    stack = make_stack(inference())
    refused = stack.preview(check=False)
    assert refused.code != 0
    assert f"Deployment {namespace}/phi (made with helm) stands there already and is not this stack's" in refused.text


def test_two_stacks_do_not_take_each_others_pool_or_objects(make_stack: MakeStack, azure: Azure) -> None:
    first, second = make_stack(inference()), make_stack(inference())
    first.up()
    assert f"(of stack organization/kaito/{first.name})" in second.preview(check=False).text
    assert "cannot create already existing resource" in second.up(check=False).text
    second.destroy()
    assert len(azure.pools) == 1 and first.preview("--expect-no-changes").ops == {}


def test_one_name_in_two_namespaces_is_two_workspaces(make_stack: MakeStack, azure: Azure, namespace: str) -> None:
    """The other namespace is `default`, and the name nobody else's."""
    one, other = inference(f"phi-{azure.name}"), inference(f"phi-{azure.name}")
    other["metadata"]["namespace"] = namespace
    stack = make_stack()
    stack.config["kaito:workspaces"] = [{"inline": one}, {"inline": other}]
    stack.up()
    assert len(azure.pools) == 2 and len(stack.outputs()) == 2
