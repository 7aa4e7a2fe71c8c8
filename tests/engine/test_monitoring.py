"""`kaito:monitoring` on a real API server: without the Prometheus operator's kind, and then with it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes import client, config

from local_cloud.instance import Instance
from local_cloud.stack import Stack
from tests.engine.test_findings import said
from tests.engine.test_tuned_serving import until
from tests.engine.workspaces import inference

MakeStack = Callable[..., Stack]
GROUP, PLURAL = "monitoring.coreos.com", "servicemonitors"
SCHEMA = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
KIND = {
    "metadata": {"name": f"{PLURAL}.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"plural": PLURAL, "singular": "servicemonitor", "kind": "ServiceMonitor"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": SCHEMA}],
    },
}
BOTH = {"dashboard": True, "serviceMonitor": True}


@pytest.fixture
def connection(cloud: Instance) -> Iterator[Any]:
    """A client of the API server."""
    with config.new_client_from_config(str(cloud.kubeconfig)) as made:
        yield made


@pytest.fixture
def install(connection: Any) -> Iterator[Callable[[], None]]:
    """Makes the kind, for one test alone, and waits until the API server tells of it; it is taken away again."""
    kinds, name = client.ApiextensionsV1Api(connection), KIND["metadata"]["name"]

    def make() -> None:
        kinds.create_custom_resource_definition(KIND)
        until(lambda: any(one.name == GROUP for one in client.ApisApi(connection).get_api_versions().groups))

    yield make
    if any(one.metadata.name == name for one in kinds.list_custom_resource_definition().items):
        kinds.delete_custom_resource_definition(name)


def monitors(connection: Any, namespace: str) -> list[Any]:
    objects = client.CustomObjectsApi(connection)
    return list(objects.list_namespaced_custom_object(GROUP, "v1", namespace, PLURAL)["items"])


def test_a_service_monitor_is_made_as_soon_as_the_cluster_has_the_kind(
    connection: Any, install: Callable[[], None], make_stack: MakeStack, namespace: str
) -> None:
    stack = make_stack(inference(), monitoring=BOTH)
    (found,) = said(stack.preview(), "service-monitor-unknown")
    assert found[0] == "warning" and found[1].endswith(f"kaito:index:Workspace::{namespace}/phi")
    assert "phi-servicemonitor" not in stack.up().ops
    install()
    assert stack.up().ops == {"phi-servicemonitor": "create"}
    (made,) = monitors(connection, namespace)
    (service,) = client.CoreV1Api(connection).list_namespaced_service(namespace).items
    assert made["spec"]["selector"]["matchLabels"].items() <= service.metadata.labels.items()
    assert stack.preview("--expect-no-changes").ops == {}
    stack.destroy()
    assert not monitors(connection, namespace) and stack.resources().total() == 0


def test_the_dashboard_is_there_once_until_destroy(connection: Any, make_stack: MakeStack) -> None:
    stack = make_stack(inference("a"), inference("b"), monitoring={"dashboard": True})
    stack.up()
    (name,) = {one["outputs"]["metadata"]["name"] for one in stack.export()["resources"] if "ConfigMap" in one["type"]}
    core = client.CoreV1Api(connection)
    (found,) = core.list_namespaced_config_map("default", field_selector=f"metadata.name={name}").items
    assert found.metadata.labels["grafana_dashboard"] == "1" and '"panels"' in found.data[f"{name}.json"]
    stack.destroy()
    assert not core.list_namespaced_config_map("default", field_selector=f"metadata.name={name}").items
