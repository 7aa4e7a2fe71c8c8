"""`kaito:network` on a real API server: made by the switch, changed in place, gone with the switch and the stack."""

from collections.abc import Callable
from typing import Any

from kubernetes import client, config

from local_cloud.instance import Instance
from local_cloud.stack import Stack
from tests.engine.workspaces import inference

MakeStack = Callable[..., Stack]


def policies(cloud: Instance, namespace: str) -> list[Any]:
    with config.new_client_from_config(str(cloud.kubeconfig)) as connection:
        return list(client.NetworkingV1Api(connection).list_namespaced_network_policy(namespace).items)


def test_a_network_policy_comes_and_goes_with_its_switch(
    cloud: Instance, make_stack: MakeStack, namespace: str
) -> None:
    stack = make_stack(inference(), network={"policy": True, "fromNamespaces": ["apps"]})
    stack.up()
    (made,) = policies(cloud, namespace)
    asked = made.spec.ingress[0]
    assert asked.ports[0].port == 5000 and asked._from[1].namespace_selector.match_expressions[0].values == ["apps"]
    assert stack.preview("--expect-no-changes").ops == {}
    stack.destroy()
    assert not policies(cloud, namespace) and stack.resources().total() == 0
