"""An InferenceSet from its file to running replicas: scaled, changed one after the other, taken away."""

from collections.abc import Callable
from typing import Any

from kubernetes import client, config

from local_cloud.instance import Instance
from local_cloud.stack import Stack
from tests.engine.conftest import Azure
from tests.engine.test_changes import SETS, cells, documented

Files = Callable[..., list[str]]


LARGER = "Standard_NC40ads_H100_v5"


def inference_set(
    replicas: int, preset: str = "phi-4-mini-instruct", size: str = "Standard_NC24ads_A100_v4"
) -> dict[str, Any]:
    template = {
        "resource": {"instanceType": size},
        "inference": {"preset": {"name": preset}},
    }
    spec = {"replicas": replicas, "labelSelector": {"matchLabels": {"apps": "phi"}}, "template": template}
    return {"apiVersion": "kaito.sh/v1beta1", "kind": "InferenceSet", "metadata": {"name": "phi"}, "spec": spec}


def test_a_set_grows_shrinks_rolls_and_leaves_nothing(
    make_stack: Callable[..., Stack], files: Files, azure: Azure, cloud: Instance, namespace: str
) -> None:
    stack = make_stack(inference_set(2))
    stack.up()
    assert len(azure.pools) == 2 and endpoints(cloud, namespace) == 2
    assert stack.preview("--expect-no-changes").ops == {}
    files(inference_set(3))
    grown = stack.up()
    assert set(grown.ops) == {f"phi-2{part}" for part in ("", "-pool", "-service", "-deployment", "-ready")}
    assert said("`spec.replicas`") == {cells(grown.order, name) for name in ("phi-0", "phi-1")}
    files(inference_set(2, preset="phi-3-mini-128k-instruct"))
    changed = stack.up()
    order = [name for op, name in changed.order if op == "update" and name != "phi-service"]
    assert order == ["phi-0-deployment", "phi-0-ready", "phi-1-deployment", "phi-1-ready"]
    assert said("`spec.template.inference.preset.name`") == {cells(changed.order, name) for name in ("phi-0", "phi-1")}
    assert len(azure.pools) == 2 and endpoints(cloud, namespace) == 2
    files(inference_set(1, preset="phi-3-mini-128k-instruct"))
    assert said("`spec.replicas`") == {cells(stack.up().order, "phi-0")}
    assert len(azure.pools) == 1 and endpoints(cloud, namespace) == 1
    files(inference_set(1, preset="phi-3-mini-128k-instruct", size=LARGER))
    assert said("`spec.template.resource.instanceType`") == {cells(stack.up().order, "phi-0")}
    assert len(azure.pools) == 1 and endpoints(cloud, namespace) == 1
    stack.destroy()
    assert azure.pools == set() and stack.resources().total() == 0


def said(change: str) -> set[tuple[str, ...]]:
    """What docs/changes.md says of each replica that stays."""
    return {documented()[SETS, change]}


def endpoints(cloud: Instance, namespace: str) -> int:
    """How many pods the set's Service leads to."""
    with config.new_client_from_config(str(cloud.kubeconfig)) as connection:
        slices = client.DiscoveryV1Api(connection).list_namespaced_endpoint_slice(
            namespace, label_selector="kubernetes.io/service-name=phi"
        )
    return sum(len(one.endpoints or []) for one in slices.items)
