"""A namespace that the real API server holds to the Pod Security Standard `restricted`: what it takes, and what not."""

from collections.abc import Callable
from typing import Any

from kubernetes import client, config

from local_cloud.instance import Instance
from local_cloud.stack import Stack
from tests.engine.conftest import Azure
from tests.engine.test_lifecycle import change
from tests.engine.test_tuned_serving import server_pods, until
from tests.engine.workspaces import inference, tuning

FROM_THE_NODE = {"pulumi.kaito.sh/weights": "hostPath:/models"}


def test_what_it_would_not_take_stops_the_preview_and_serving_tuning_and_serving_what_was_tuned_run_there(
    make_stack: Callable[..., Stack], cloud: Instance, azure: Azure, restricted: str, pods: Callable[[], list[Any]]
) -> None:
    serves = inference("serve", "Standard_D8s_v5", preset={"name": "smollm2-135m-instruct"})
    serves["metadata"]["annotations"] = FROM_THE_NODE
    stack = make_stack(serves, tuning())
    refused = stack.preview(check=False)
    assert refused.code != 0 and f"namespace {restricted} takes no pod that is not restricted" in refused.text
    assert "this Workspace needs privileged: volume" in refused.text and "is of the kind hostPath" in refused.text
    said = {line.partition("takes no pod")[2] for line in refused.text.splitlines()} - {""}
    assert len(said) == 1 and azure.pools == set()  # the other one may run there
    change(stack, 0, lambda one: one["metadata"]["annotations"].clear())
    stack.up()
    with config.new_client_from_config(str(cloud.kubeconfig)) as connection:
        scale = {"spec": {"replicas": 1}}  # as the Job's last step does
        client.AppsV1Api(connection).patch_namespaced_deployment_scale("tune", restricted, scale)
    until(lambda: len(server_pods(cloud, restricted)) == 1)
    assert len(pods()) == 3
